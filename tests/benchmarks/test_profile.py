"""The profile names the operators of a step, and their shares make a whole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from benchmarks._measuring import Run
from benchmarks.profile import measure as profiling
from benchmarks.profile.kinds import QUICK, starting


@pytest.mark.filterwarnings("ignore")
def test_shares_sum_to_one_and_matrix_products_are_counted_once_a_layer_and_direction(tmp_path: Path) -> None:
    kind = next(iter(QUICK.values()))
    found = {each.operator: each for each in profiling.operators(starting(kind, tmp_path), kind.steps)}
    assert math.isclose(sum(each.share for each in found.values()), 1.0)
    # Two layers forwards; backwards a gradient of each weight, and of the second layer's input.
    assert found["aten::addmm"].calls == 2
    assert found["aten::mm"].calls == 3


def test_operators_of_little_weight_are_not_named() -> None:
    found = [profiling.Spent("large", 0.97, 9.7, 1), profiling.Spent("small", 0.02, 0.2, 1)]
    assert [each["operator"] for each in profiling.as_json(found, 11.0)["from 3%"]] == ["large"]
    assert profiling.as_json(found, 11.0)["operators ms"] == 9.9


@pytest.mark.filterwarnings("ignore")
def test_a_quick_run_has_a_table_for_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run("profile", quick=True)
    profiling.measure(run)
    assert set(run.parts) == set(QUICK)
    assert "ms a step" in capsys.readouterr().out
