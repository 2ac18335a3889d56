"""The examples of users' own loops run and show what they claim."""

from __future__ import annotations

from importlib import import_module

import pytest

LOOPS = ["bare_loop", "transfer_set_loop", "lightning_trainer", "hugging_face_trainer"]


@pytest.mark.filterwarnings("ignore")  # the trainers of others have remarks of their own
@pytest.mark.parametrize("name", LOOPS)
def test_the_teachers_answers_for_unlabelled_pictures_are_worth_more_than_the_few_labels(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = import_module(f"examples.{name}").main()
    assert list(result) == ["teacher", "student alone", "student distilled"]
    assert result["teacher"] > 0.96
    assert 0.8 < result["student alone"] < result["student distilled"] - 0.02
    assert result["student distilled"] > 0.93
    printed = [line for line in capsys.readouterr().out.splitlines() if "test accuracy" in line]
    assert printed == [f"{network:18} test accuracy {accuracy:.1%}" for network, accuracy in result.items()]
