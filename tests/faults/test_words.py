"""Words of the command line that no one would write, and some that a script might."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from darkknowledge.cli.main import main

NONSENSE = {
    "itself": (["out=${out}"], "Recursive interpolation detected"),
    "in a circle": (["training.seed=${training.epochs}", "training.epochs=${training.seed}"], "Recursive interpolation detected"),
    "nowhere": (["out=${nowhere}"], "Interpolation key 'nowhere' not found"),
    "tab": (["\ttraining.epochs=3"], "cannot be read"),
    "line": (["training.epochs=3\n4"], "cannot be read"),
    "colons": (["model.hidden={3: 4: 5}"], "Cannot merge"),
    "many brackets": (["model.hidden=" + "[" * 200 + "]" * 200], "cannot be applied: maximum recursion depth exceeded"),
    "more brackets": (["model.hidden=" + "[" * 1000 + "]" * 1000], "cannot be read: maximum recursion depth exceeded"),
    "digits": ([f"training.epochs={'9' * 5000}"], "cannot be read"),
    "infinite": (["training.epochs=1e400"], "training.epochs=inf must be a valid integer"),
    "list": (["training.epochs=[1]"], "training.epochs=[1] must be a valid integer"),
    "section": (["training=3"], "cannot be applied"),
    "nothing": (["out=a\0b"], "cannot be read"),
    "no text": (["out=a\udcff"], "cannot be read"),
}


@pytest.mark.parametrize(("words", "said"), NONSENSE.values(), ids=NONSENSE)
def test_a_word_that_makes_no_sense_is_refused_in_words(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") <= 4
    assert list(tmp_path.iterdir()) == []


def test_a_word_of_a_hundred_thousand_letters_is_only_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"out={'a' * 100_000}"]) == 5
    assert f"a: {os.strerror(errno.ENAMETOOLONG)}" in capsys.readouterr().err
