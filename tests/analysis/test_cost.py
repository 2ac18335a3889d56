from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from darkknowledge.analysis import count_macs, count_parameters, measure_cost, measure_latency
from darkknowledge.errors import UsageError


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 800), nn.ReLU(), nn.Linear(800, 800), nn.ReLU(), nn.Linear(800, 10))


class Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.pad = width - channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        skip = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.pad))
        return torch.relu(self.body(x) + skip)


def resnet20() -> nn.Module:
    """He et al. (2016), section 4.2, with the parameter-free shortcut."""
    blocks = [Block(c, w, s) for w, c in ((16, 16), (32, 16), (64, 32)) for c, s in ((c, 1 if w == 16 else 2), (w, 1), (w, 1))]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def test_an_mlp_costs_what_the_hand_counts() -> None:
    assert count_macs([mlp()], torch.zeros(1, 1, 28, 28)) == 784 * 800 + 800 * 800 + 800 * 10
    assert count_parameters([mlp()]) == 785 * 800 + 801 * 800 + 801 * 10


def test_resnet_20_costs_what_is_published() -> None:
    network = resnet20()
    by_hand = 1024 * 27 * 16 + 6 * 1024 * 144 * 16 + 256 * (144 * 32 + 5 * 288 * 32) + 64 * (288 * 64 + 5 * 576 * 64) + 640
    assert count_macs([network], torch.zeros(1, 3, 32, 32)) == by_hand
    assert by_hand == pytest.approx(40.8e6, rel=0.01)
    assert count_parameters([network]) == pytest.approx(0.27e6, rel=0.01)


def test_attention_is_counted_in_eval_mode_too() -> None:
    layer = nn.TransformerEncoderLayer(64, 4, dim_feedforward=128, batch_first=True)
    by_hand = 10 * (4 * 64 * 64 + 2 * 64 * 128) + 2 * 10 * 10 * 64
    assert count_macs([layer.eval().requires_grad_(False)], torch.zeros(1, 10, 64)) == by_hand
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_ensemble_costs_the_sum_and_a_shared_parameter_counts_once() -> None:
    networks = [nn.Linear(5, 3), nn.Linear(5, 3)]
    assert count_parameters(networks) == 36
    assert count_parameters([networks[0], networks[0]]) == 18
    assert count_macs(networks, torch.zeros(1, 5)) == 30


def test_measuring_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    network[1].eval()
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost = measure_cost([network], torch.ones(1, 4), seconds=0.02)
    assert [module.training for module in network.modules()] == modes
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert (cost.parameters, cost.macs, cost.file_bytes) == (4 * 4 + 4 + 8 + 10, 24, None)


def test_the_mode_is_restored_after_a_failure() -> None:
    network = nn.Linear(4, 2).train()
    with pytest.raises(RuntimeError):
        count_macs([network], torch.ones(1, 5))
    assert network.training


class Sleeper(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.01 if len(x) == 1 else 0.03)
        return x


def test_latency_is_the_time_of_one_pass() -> None:
    one, four = (measure_latency([Sleeper()], torch.zeros(1, 2), batch_size=size, seconds=0.2) for size in (1, 4))
    assert 0.01 <= one.first_quartile <= one.median <= one.third_quartile
    assert max(0.03, one.median) <= four.median
    assert (one.batch_size, four.batch_size) == (1, 4)
    assert 2 <= one.repeats <= 20
    assert (one.threads, one.device) == (torch.get_num_threads(), "cpu")


def test_a_slow_network_is_timed_once() -> None:
    assert measure_latency([Sleeper()], torch.zeros(1, 2), batch_size=1, seconds=0).repeats == 1


def test_the_size_of_the_files_is_added_up(tmp_path: Path) -> None:
    for name, size in (("a", 100), ("b", 23)):
        (tmp_path / name).write_bytes(bytes(size))
    cost = measure_cost([nn.Linear(2, 2)], torch.zeros(1, 2), files=[tmp_path / "a", tmp_path / "b"], batch_sizes=(3,), seconds=0)
    assert cost.file_bytes == 123
    assert [latency.batch_size for latency in cost.latency] == [3]


def test_the_networks_are_a_sequence_and_the_example_a_batch_of_one() -> None:
    with pytest.raises(UsageError, match=r"1 networks on an example \(2, 4\)"):
        measure_cost([nn.Linear(4, 2)], torch.zeros(2, 4))
    with pytest.raises(UsageError, match=r"for Sequential, a single one\n  fix: pass \[network\]"):
        measure_cost(mlp(), torch.zeros(1, 784))
    with pytest.raises(UsageError, match="0 networks"):
        measure_cost([], torch.zeros(1, 4))
