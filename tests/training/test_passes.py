from __future__ import annotations

import pytest
import torch
from torch import Tensor

from darkknowledge.contract import Batch, Output
from darkknowledge.objective import DistillationLoss
from darkknowledge.training.loop import fit
from darkknowledge.training.passes import Passes
from darkknowledge.training.randomness import order
from darkknowledge.training.recipe import Recipe
from training.small import CLASSES, mlp, points

PLAIN = Recipe(epochs=5, batch_size=8, learning_rate=0.1, precision="fp32", threads=1)


class Listener:
    """A teacher that writes down which example was shown in which view."""

    class_names = tuple("abc")

    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []

    def __call__(self, batch: Batch) -> Output:
        assert batch.views is not None
        self.heard += zip(batch.ids.tolist(), batch.views.tolist(), strict=True)
        return Output.single(torch.zeros(len(batch), CLASSES))

    def to(self, device: torch.device | str) -> Listener:
        return self


def pairs(rows: tuple[Tensor, Tensor]) -> list[tuple[int, int]]:
    return list(zip(*(column.tolist() for column in rows), strict=True))


@pytest.mark.parametrize(
    "change",
    [
        *({}, {"views": 1}, {"views": 2}, {"steps": 7, "views": 3}, {"steps": 7}, {"shuffle_block": 4}, {"accumulate": 2}),
        *({"epochs": 9, "views": 4}, {"epochs": 9, "views": 4, "steps": 14}, {"epochs": 9, "views": 4, "steps": 17}, {"steps": 4}),
    ],
)
def test_the_rows_known_in_advance_are_those_that_the_loop_shows_its_teacher(change: dict[str, int]) -> None:
    recipe, examples, teacher = PLAIN.model_copy(update=change), points(30, noise=0.1), Listener()
    fit(mlp(), DistillationLoss().mixture, examples, recipe, teacher=teacher)
    assert pairs(Passes(examples.ids, recipe).rows()) == sorted(set(teacher.heard))


def test_views_shared_by_the_epochs_need_as_many_rows_for_any_number_of_epochs() -> None:
    recipe = PLAIN.model_copy(update={"views": 2})
    few, many = (Passes(torch.arange(10), recipe.model_copy(update={"epochs": epochs})).rows() for epochs in (2, 9))
    assert pairs(few) == pairs(many) == [(example, view) for example in range(10) for view in range(2)]


@pytest.mark.parametrize(("count", "block"), [(1000, 1), (1000, 7), (5, 100), (64, 1)])
def test_a_block_shuffle_shows_everything_once_and_every_epoch_in_another_order(count: int, block: int) -> None:
    first, second = (order(count, seed=1, epoch=epoch, block=block) for epoch in (0, 1))
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(count))
    assert not torch.equal(first, second)
    assert torch.equal(first, order(count, seed=1, epoch=0, block=block))


def test_a_block_shuffle_reads_a_few_stretches_at_a_time_and_leaves_no_order_within_them() -> None:
    positions, block = order(100_000, seed=0, epoch=3, block=100), 100
    window = positions[: 64 * block]
    assert len((window // block).unique()) == 64, "the first window holds 64 whole blocks"
    neighbours = (positions[1:] - positions[:-1]) == 1
    assert neighbours.float().mean() < 0.001
