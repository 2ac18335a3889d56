from __future__ import annotations

from typing import Any

import pydantic
import pytest

from darkknowledge.training.recipe import Recipe

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"steps": 0},
        {"batch_size": 0},
        {"accumulate": 0},
        {"optimizer": "adam"},
        {"learning_rate": 0},
        {"learning_rate": -0.1},
        {"learning_rate": NAN},
        {"learning_rate": INFINITY},
        {"momentum": 1},
        {"momentum": NAN},
        {"weight_decay": -1e-4},
        {"schedule": "linear"},
        {"warmup": -1},
        {"warmup": INFINITY},
        {"milestones": (0,)},
        {"milestones": (NAN,)},
        {"decay": 0},
        {"decay": 1.1},
        {"decay": NAN},
        {"clip_norm": 0},
        {"ema": 0},
        {"ema": 1},
        {"ema": NAN},
        {"precision": "fp16"},
        {"compile": True},
        {"compile": "yes"},
        {"device": "gpu"},
        {"threads": 0},
        {"validate_every": 0},
        {"validate_every": -1},
        {"validate_every": 1.5},
        {"validate_every": None},
        {"seed": -1},
        {"seed": 2**31},
        {"log_every": 0},
        {"checkpoint_every": -1},
        {"checkpoint_every": NAN},
        {"epoch": 3},
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused_under_its_name(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(pydantic.ValidationError) as refused:
        Recipe(**values)
    assert refused.value.errors()[0]["loc"][0] == name


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(pydantic.ValidationError):
        Recipe().epochs = 3  # type: ignore[misc]


def test_the_extremes_that_make_sense_are_accepted() -> None:
    Recipe(epochs=1, steps=1, batch_size=1, momentum=0, warmup=0, decay=1, checkpoint_every=0, seed=2**31 - 1)


def test_a_step_schedule_without_a_step_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="needs milestones"):
        Recipe(schedule="step")
