from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from darkknowledge.model import build
from darkknowledge.model._dropout import LEVELS, Dropout

PROBABILITIES = [0.1, 0.2, 0.3, 0.5, 1 / 3, 0.9, 1 / LEVELS, 1 - 1 / LEVELS, 0.999]


def mask(probability: float, size: int, *, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return Dropout(probability)(torch.ones(size))


@pytest.fixture
def torchs_own(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes that torch's dropout was called with."""
    called: list[torch.Size] = []
    usual = nn.Dropout.forward
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, input: called.append(input.shape) or usual(self, input))
    return called


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_as_many_are_dropped_as_a_binomial_law_expects(probability: float) -> None:
    size = 400_000
    dropped = int((mask(probability, size) == 0).sum())
    assert stats.binomtest(dropped, size, probability).pvalue > 1e-4


@pytest.mark.parametrize("probability", PROBABILITIES)
def test_what_is_kept_is_scaled_so_that_the_mean_stays(probability: float) -> None:
    """The scale belongs to the probability that is drawn, which is off by half a level at most."""
    drawn = round(probability * LEVELS) / LEVELS
    assert abs(drawn - probability) <= 0.5 / LEVELS
    found = mask(probability, 200_000)
    assert set(found.unique().tolist()) <= {0.0, np.float32(1 / (1 - drawn)).item()}
    assert found.max() > 0
    assert (1 - drawn) / (1 - probability) == pytest.approx(1, rel=0.5 / LEVELS / (1 - probability) + 1e-12)


def test_neighbours_rows_and_steps_are_independent() -> None:
    """Four units share a draw of 64 bits, of which each takes its own 16."""
    kept = (mask(0.5, 4 * 100_000) > 0).double() - 0.5
    others = [kept.roll(shift) for shift in (1, 2, 3, 4, 5, 64)] + [(mask(0.5, 400_000, seed=1) > 0).double() - 0.5]
    assert all(abs((kept * other).mean()) < 4.5 * 0.25 / 400_000**0.5 for other in others)
    by_place = (kept.view(-1, 4) > 0).double().mean(0)
    assert torch.all((by_place - 0.5).abs() < 4.5 * 0.5 / 100_000**0.5)
    words = (kept.view(-1, 4) > 0).long() @ torch.tensor([1, 2, 4, 8])
    assert stats.chisquare(torch.bincount(words, minlength=16).numpy()).pvalue > 1e-4


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others() -> None:
    assert torch.equal(mask(0.3, 1001, seed=5), mask(0.3, 1001, seed=5))
    assert not torch.equal(mask(0.3, 1001, seed=5), mask(0.3, 1001, seed=6))
    torch.manual_seed(5)
    dropout = Dropout(0.3)
    assert not torch.equal(dropout(torch.ones(1001)), dropout(torch.ones(1001)))


def test_the_gradient_is_the_mask() -> None:
    inputs = torch.randn(37, 5, requires_grad=True)
    outputs = Dropout(0.4)(inputs)
    weights = torch.randn(37, 5)
    (outputs * weights).sum().backward()
    applied = (outputs != 0) / (1 - round(0.4 * LEVELS) / LEVELS)
    torch.testing.assert_close(outputs, inputs * applied, rtol=1e-6, atol=0)
    assert inputs.grad is not None
    torch.testing.assert_close(inputs.grad, weights * applied, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_type_of_the_input_stays_and_the_scale_is_exact_in_it(dtype: torch.dtype, torchs_own: list[torch.Size]) -> None:
    outputs = Dropout(0.3)(torch.ones(1000, dtype=dtype))
    assert outputs.dtype == dtype
    drawn = round(0.3 * LEVELS) / LEVELS
    assert set(outputs.unique().tolist()) == {0.0, torch.tensor(1 / (1 - drawn), dtype=torch.float64).to(dtype).item()}
    assert torchs_own == []


def test_under_autocast_what_a_layer_hands_over_in_bfloat16_is_dropped_in_it(torchs_own: list[torch.Size]) -> None:
    network = build("hinton_mlp", num_classes=3, input_shape=(1, 8, 8), mean=[0.5], std=[0.5], hidden=[40], input_dropout=0.2, hidden_dropout=0.5)
    seen: list[tuple[torch.dtype, torch.dtype]] = []
    for module in network.modules():
        if isinstance(module, Dropout):
            module.register_forward_hook(lambda module, given, found: seen.append((given[0].dtype, found.dtype)))
    torchs_own.clear()  # building looks at the network in evaluation
    with torch.autocast("cpu", torch.bfloat16):
        loss = network(torch.rand(6, 1, 8, 8)).float().logsumexp(1).sum()
    loss.backward()
    assert seen == [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())
    assert torchs_own == []


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (5,), (3, 7), (2, 3, 5), (0,), (0, 8), (4, 0)])
def test_any_size_will_do(shape: tuple[int, ...], torchs_own: list[torch.Size]) -> None:
    inputs = torch.ones(shape, requires_grad=True)
    outputs = Dropout(0.5)(inputs)
    outputs.sum().backward()
    assert outputs.shape == shape
    assert inputs.grad is not None
    assert torch.equal(inputs.grad, outputs.detach())
    assert set(outputs.unique().tolist()) <= {0.0, 2.0}
    assert torchs_own == []


def test_strides_do_not_matter() -> None:
    plain = torch.randn(4, 3, 6, 5)
    for inputs in (plain.to(memory_format=torch.channels_last), plain.transpose(0, 3), plain[:, ::2], plain[:1].expand(4, 3, 6, 5)):
        torch.manual_seed(2)
        outputs = Dropout(0.5)(inputs)
        torch.manual_seed(2)
        assert torch.equal(outputs, Dropout(0.5)(inputs.contiguous()))
        assert 0 < (outputs == 0).double().mean() < 1


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.5, 1.0])
def test_evaluation_changes_nothing(probability: float) -> None:
    inputs = torch.randn(9, 4)
    before = torch.random.get_rng_state()
    assert torch.equal(Dropout(probability).eval()(inputs), inputs)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("probability", [0.0, 1e-9, 0.49 / LEVELS, 1 - 0.49 / LEVELS, 1.0])
def test_a_probability_too_near_to_0_or_1_is_left_to_torch(probability: float, torchs_own: list[torch.Size]) -> None:
    found = mask(probability, 1000)
    torch.manual_seed(0)
    assert torch.equal(found, nn.functional.dropout(torch.ones(1000), probability))
    assert torchs_own == [torch.Size([1000])]


def test_what_torch_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match="probability"):
        Dropout(1.5)
    with pytest.raises(RuntimeError):
        Dropout(0.5)(torch.ones(4, dtype=torch.int64))


def test_in_place_means_in_place() -> None:
    inputs = torch.ones(1000)
    assert Dropout(0.5, inplace=True)(inputs) is inputs
    assert 0 < (inputs == 0).double().mean() < 1


def test_compiled_and_exported_it_is_torchs_own(torchs_own: list[torch.Size]) -> None:
    inputs = torch.ones(1000)
    torch.manual_seed(3)
    found = torch.compile(Dropout(0.25), backend="eager", fullgraph=True)(inputs)
    torch.manual_seed(3)
    assert torch.equal(found, nn.functional.dropout(inputs, 0.25))
    exported = torch.export.export(Dropout(0.25), (inputs,))
    assert any("dropout" in str(node.target) for node in exported.graph.nodes)
    torch.compiler.reset()


def test_under_functional_transforms_it_is_torchs_own(torchs_own: list[torch.Size]) -> None:
    dropout, inputs = Dropout(0.5), torch.ones(6, 500)
    different = torch.func.vmap(dropout, randomness="different")(inputs)
    assert len({tuple(row) for row in different.tolist()}) == 6
    assert len({tuple(row) for row in torch.func.vmap(dropout, randomness="same")(inputs).tolist()}) == 1
    with pytest.raises(RuntimeError, match="randomness"):
        torch.func.vmap(dropout)(inputs)
    gradient = torch.func.grad(lambda given: dropout(given).sum())(inputs)
    assert set(gradient.unique().tolist()) == {0.0, 2.0}
    assert len(torchs_own) == 4


def test_a_device_of_another_kind_is_torchs_own(torchs_own: list[torch.Size]) -> None:
    assert Dropout(0.5)(torch.ones(3, device="meta")).device.type == "meta"
    assert torchs_own == [torch.Size([3])]


def test_the_numbers_are_drawn_where_the_input_is_whatever_torchs_default() -> None:
    inputs = torch.ones(1000)
    with torch.device("meta"):
        assert set(Dropout(0.5)(inputs).unique().tolist()) == {0.0, 2.0}


def test_its_numbers_do_not_depend_on_threads() -> None:
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(mask(0.5, 300_000))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


def test_it_looks_and_copies_like_torchs() -> None:
    assert str(Dropout(0.5)) == str(nn.Dropout(0.5))
    assert isinstance(copy.deepcopy(Dropout(0.5)), nn.Dropout)
    assert Dropout(0.5).state_dict() == {}
