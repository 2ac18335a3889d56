"""Weights over the epochs, at their edges and from plain data."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from darkknowledge.errors import UsageError
from darkknowledge.objective import Constant, Linear, WarmUp, schedule


def test_a_constant_is_the_same_always() -> None:
    assert [Constant(0.9)(epoch) for epoch in (0, 0.5, 100)] == [0.9, 0.9, 0.9]


@pytest.mark.parametrize(("epoch", "weight"), [(0, 1.0), (2.5, 0.75), (5, 0.5), (10, 0.0), (10.5, 0.0), (1000, 0.0)])
def test_linear_goes_from_start_to_end_and_stays(epoch: float, weight: float) -> None:
    assert Linear(start=1, end=0, epochs=10)(epoch) == pytest.approx(weight)


@pytest.mark.parametrize(("epoch", "weight"), [(0, 0.0), (1, 0.045), (19.999, 0.9), (20, 0.9), (21, 0.9)])
def test_warm_up_grows_from_zero_to_its_value(epoch: float, weight: float) -> None:
    assert WarmUp(value=0.9, epochs=20)(epoch) == pytest.approx(weight, rel=1e-4)


def test_no_epochs_give_the_end_at_once() -> None:
    assert WarmUp(value=0.9, epochs=0)(0) == 0.9
    assert Linear(start=1, end=0.3, epochs=0)(0) == 0.3


@given(epochs=st.floats(0, 1e3), epoch=st.floats(0, 1e4), start=st.floats(0, 10), end=st.floats(0, 10))
def test_linear_never_leaves_the_range_between_its_ends(epochs: float, epoch: float, start: float, end: float) -> None:
    weight = Linear(start, end, epochs)(epoch)
    assert min(start, end) * (1 - 1e-12) <= weight <= max(start, end) * (1 + 1e-12)


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (0.9, Constant(0.9)),
        (1, Constant(1)),
        ({"name": "constant", "value": 0.9}, Constant(0.9)),
        ({"name": "linear", "start": 0, "end": 1, "epochs": 10}, Linear(0, 1, 10)),
        ({"name": "warm_up", "value": 0.5, "epochs": 4}, WarmUp(0.5, 4)),
        (WarmUp(0.5, 4), WarmUp(0.5, 4)),
    ],
)
def test_plain_data_describe_a_schedule(plain: Any, expected: Any) -> None:
    assert schedule(plain) == expected


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"name": "linaer", "start": 0, "end": 1, "epochs": 10}, "Did you mean 'linear'"),
        ({"start": 0, "end": 1, "epochs": 10}, "no name"),
        ({"name": "linear", "start": 0, "end": 1}, "missing or unknown: epochs"),
        ({"name": "warm_up", "value": 1, "epochs": 3, "stop": 4}, "missing or unknown: stop"),
        ({"name": "warm_up", "value": -1, "epochs": 3}, "value=-1"),
        ({"name": "warm_up", "value": 1, "epochs": math.nan}, "epochs=nan"),
        (-0.1, "weight=-0.1"),
        (math.inf, "weight=inf"),
        ("0.5", "weight='0.5'"),
        (None, "weight=None"),
        (True, "weight=True"),
    ],
)
def test_what_is_no_schedule_is_refused(plain: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schedule(plain)
