from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from darkknowledge.training.randomness import mix, order, seed_step


@pytest.mark.parametrize("epoch", range(4))
def test_the_order_of_an_epoch_is_a_permutation(epoch: int) -> None:
    assert sorted(order(50, seed=3, epoch=epoch).tolist()) == list(range(50))


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    first = order(50, seed=3, epoch=2)
    torch.rand(17)
    random.random()
    assert torch.equal(order(50, seed=3, epoch=2), first)
    others = [order(50, seed=seed, epoch=epoch) for seed, epoch in ((3, 1), (2, 2), (2, 3))]
    assert all(not torch.equal(other, first) for other in others)


def test_the_order_leaves_the_generator_of_others_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    order(50, seed=3, epoch=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_follows_from_seed_and_step_alone() -> None:
    dropout = nn.Dropout(0.5)

    def masked(seed: int, step: int) -> Tensor:
        seed_step(seed, step, torch.device("cpu"))
        result: Tensor = dropout(torch.ones(200))
        return result

    first = masked(3, 7)
    torch.rand(17)
    assert torch.equal(masked(3, 7), first)
    assert all(not torch.equal(masked(*other), first) for other in ((3, 8), (4, 7), (7, 3)))


def test_the_mixture_is_splitmix64() -> None:
    """The first output of the generator seeded with 0, as published with the xoshiro generators, is 0xE220A8397B1DCDAF."""
    start = 0x9E3779B97F4A7C15
    assert mix(-start) == 0xE220A8397B1DCDAF >> 1


def test_the_mixture_spreads_neighbours() -> None:
    found = [mix(seed, step) for seed in range(100) for step in range(100)]
    assert len(set(found)) == len(found)
    assert all(0 <= number < 2**63 for number in found)
    share = sum(number >> 62 for number in found) / len(found)
    assert share == pytest.approx(0.5, abs=0.02)
