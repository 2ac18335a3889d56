"""Jobs of the MNIST experiments in processes: what is done, what fails, and what a process that is lost costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.hinton2015.runner import needed, run_all

from darkknowledge.cli.main import guarded
from darkknowledge.runs.folder import lock
from moments import moment, named, place_in


def test_jobs_are_done_and_failures_told_and_a_lost_process_costs_nobody_else_anything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = place_in(tmp_path)
    bad, dies = moment("bad", "fail"), moment("dies", "die")
    after = moment("after/bad", "nothing", bad)
    todo = named(
        moment("beside", "short"), dies, bad, after, moment("last", "nothing", after), moment("dies-once", "die once"), moment("held", "held"),
        moment("group/talks", "speak"), moment("needs-dies", "nothing", dies),
    )  # fmt: skip
    failed = run_all(todo, place, processes=2)
    assert failed == {
        "bad": "the disk is a plate\n  fix: eat from it",
        "after/bad": "left out, it needs bad",
        "last": "left out, it needs after/bad",
        "dies": "its process ended with exit code -9",
        "needs-dies": "left out, it needs dies",
    }
    done = {"beside", "dies-once", "held", "group/talks"}
    assert {name for name in todo if place.result(name).exists()} == done
    said = (place.work / "log" / "group" / "talks.txt").read_text()
    assert sorted(said.splitlines()) == ["said aloud", "said by a library", "said in a low voice"]
    assert "Traceback" in (place.work / "log" / "bad.txt").read_text()
    out, err = capfd.readouterr()
    assert out == ""
    lines = [line.partition("min  ")[2] for line in err.splitlines()]
    assert lines[0] == "9 jobs to do, under a minute left"
    assert "dies-once: its process ended with exit code -9; once more, from its last saved state" in lines
    assert len(lines) == 1 + len(todo) + 2, err
    assert any(re.fullmatch(r"beside: 7 errors on test; \d/9, under a minute left", line) for line in lines)
    assert any(re.match(r"bad: failed: the disk is a plate; \d/9", line) for line in lines)
    assert list(needed(todo, place)) == [name for name in todo if name not in done]


def test_two_runners_in_one_folder_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = place_in(tmp_path)
    place.work.mkdir()
    with lock(place.work):
        assert guarded(lambda: len(run_all(named(moment("a")), place, processes=1))) == 7
    assert "is in use by" in capsys.readouterr().err
