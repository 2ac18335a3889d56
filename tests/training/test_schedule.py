from __future__ import annotations

import pytest
import torch
from torch import nn

from darkknowledge.training.recipe import Recipe
from darkknowledge.training.schedule import learning_rate

STEPS, PER_EPOCH = 20, 4


def rates(recipe: Recipe, *, steps: int = STEPS) -> list[float]:
    return [learning_rate(recipe, epoch=step / PER_EPOCH, epochs=steps / PER_EPOCH) for step in range(steps)]


def by_torch(scheduler: type, **options: object) -> list[float]:
    """The rates that a scheduler of torch gives a plain loop."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.4)
    schedule = scheduler(optimizer, **options)
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_cosine_is_that_of_torch() -> None:
    recipe = Recipe(learning_rate=0.4, warmup=0)
    assert rates(recipe) == pytest.approx(by_torch(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=STEPS), rel=1e-9)


def test_the_step_schedule_is_that_of_torch() -> None:
    recipe = Recipe(learning_rate=0.4, warmup=0, schedule="step", milestones=(2, 4), decay=0.3)
    expected = by_torch(torch.optim.lr_scheduler.MultiStepLR, milestones=[2 * PER_EPOCH, 4 * PER_EPOCH], gamma=0.3)
    assert rates(recipe) == pytest.approx(expected, rel=1e-9)


def test_the_warm_up_is_linear_and_ends_at_the_peak() -> None:
    found = rates(Recipe(learning_rate=0.4, warmup=2, schedule="constant"))
    assert found[:9] == pytest.approx([0.004, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4])
    assert set(found[8:]) == {0.4}


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert rates(Recipe(learning_rate=0.4, warmup=0))[0] == 0.4


def test_the_cosine_begins_where_the_warm_up_ends_and_the_last_step_still_learns() -> None:
    found = rates(Recipe(learning_rate=0.4, warmup=1))
    assert found[PER_EPOCH] == max(found) == 0.4
    assert found[PER_EPOCH:] == sorted(found[PER_EPOCH:], reverse=True)
    assert 0 < found[-1] < 0.01


def test_a_warm_up_longer_than_training_takes_half_of_it() -> None:
    found = rates(Recipe(learning_rate=0.4, warmup=50))
    assert found.index(max(found)) == STEPS // 2
    assert max(found) == 0.4


def test_training_of_a_single_step_has_a_rate_above_0() -> None:
    for schedule in ("cosine", "step", "constant"):
        for warmup in (0, 1):
            (found,) = rates(Recipe(learning_rate=0.4, warmup=warmup, schedule=schedule, milestones=(1.0,)), steps=1)
            assert 0 < found <= 0.4


def test_a_milestone_at_a_fraction_of_an_epoch_counts_from_its_own_step() -> None:
    found = rates(Recipe(learning_rate=1, warmup=0, schedule="step", milestones=(2.25,), decay=0.5))
    assert found == [1.0] * 9 + [0.5] * 11
