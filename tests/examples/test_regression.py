"""The regression example runs and shows what it claims."""

from __future__ import annotations

import pytest
from examples.regression import main


def test_the_distilled_student_is_nearer_to_the_teacher_than_the_one_trained_alone(capsys: pytest.CaptureFixture[str]) -> None:
    result = main()
    gap = result["student alone"] - result["teacher"]
    assert gap > 0.05
    assert result["student distilled"] - result["teacher"] < 0.5 * gap
    printed = capsys.readouterr().out
    assert all(f"{name:18} held-out" in printed for name in result)
