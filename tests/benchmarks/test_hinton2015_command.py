"""The command line of the MNIST experiments: what it tells, and what it refuses before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.hinton2015 import __main__ as program
from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.selection import STAGES

from darkknowledge.cli.main import guarded
from darkknowledge.errors import IntegrityError
from moments import finish, place_in, write_record


def call(*words: object) -> int:
    return guarded(lambda: program.main([str(word) for word in words]))


def test_help_tells_each_row_once_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(program.ABOUT) == [*ROWS, *STAGES]
    with pytest.raises(SystemExit) as ended:
        call("--help")
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for row, about in program.ABOUT.items():
        assert [line.split() for line in lines].count([row, *about.split()]) == 1
    assert max(map(len, lines)) <= 125


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["P3b-veiws"], 2, ["there is no row 'P3b-veiws'", "Did you mean 'P3b-views'?"]),
        (["P1", "ensembl"], 2, ["there is no row 'ensembl'", "Did you mean 'ensemble'?"]),
        (["P1", "--data", "nowhere"], 3, ["nowhere does not exist"]),
        (["P1", "--data", "."], 3, ["train-images-idx3-ubyte"]),
    ],
)
def test_a_mistake_is_told_once(
    words: list[str], code: int, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*words, "--results", "results", "--work", "work") == code
    told = capsys.readouterr().err
    assert all(part in told for part in said), told
    assert told.count("error:") == 1
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--results", "--work"])
def test_what_another_recipe_left_is_refused_before_anything_starts(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, teacher = place_in(tmp_path), jobs(["P1"])["teacher/0"]
    stranger = replace(teacher, arguments={**teacher.arguments, "training": {"epochs": 1}})
    if option == "--results":
        write_record("teacher/0", {"stamp": stranger.stamp}, place)
    finish(stranger if option == "--work" else teacher, place)
    assert call("P3", "--data", "nowhere", "--work", place.work, "--results", place.results) == IntegrityError.exit_code
    told = capsys.readouterr().err
    assert ("results/teacher/0.json" if option == "--results" else "work/teacher/0") + " is of another recipe" in told
    assert f"give {option} a folder of its own" in told
    assert "Traceback" not in told
    assert not (place.work / "log").exists()


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_a_number_of_processes_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(SystemExit) as ended:
        call("--processes", count)
    assert ended.value.code == 2


def test_when_all_is_done_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for job in jobs(["P1"]).values():
        write_record(job.name, {"stamp": job.stamp}, place_in(tmp_path))
    assert call("P1", "--data", "nowhere", "--work", tmp_path / "work", "--results", tmp_path / "results") == 0
    assert "all 5 jobs have their records in" in capsys.readouterr().err


def test_failures_end_with_their_log_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "require_data", lambda place: None)
    monkeypatch.setattr(program, "run_all", lambda todo, place, processes: {"teacher/0": "no luck\n  fix: try", "teacher/1": "left out"})
    (tmp_path / "log" / "teacher").mkdir(parents=True)
    (tmp_path / "log" / "teacher" / "0.txt").touch()
    assert call("P1", "--work", tmp_path, "--results", tmp_path / "results") == 1
    assert capsys.readouterr().err.splitlines() == [
        "failed: teacher/0: no luck",
        "  fix: try",
        f"  log: {tmp_path}/log/teacher/0.txt",
        "failed: teacher/1: left out",
        "2 jobs failed, the others are done; the same command tries these again",
    ]
