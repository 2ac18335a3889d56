"""Which records of the MNIST experiments the report takes, and which it refuses: by name, before it writes anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmarks.hinton2015.page import main
from benchmarks.hinton2015.report.provenance import made_with, planned
from benchmarks.hinton2015.report.records import Records, read

from darkknowledge.errors import IntegrityError
from hinton2015_records import MACHINE, found, headline, keep, write


def refused(folder: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By those who read the records, and by the page's command, which writes nothing then."""
    with pytest.raises(IntegrityError) as caught:
        read(folder)
    assert words in str(caught.value)
    docs = folder / "docs"
    docs.mkdir()
    assert main(["--results", str(folder), "--docs", str(docs), "--readme", str(docs / "README.md")]) == IntegrityError.exit_code
    assert words in capsys.readouterr().err
    assert not list(docs.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"errors": -1},
        {"errors": 10_001},
        {"errors": 145},
        {"errors": 146.0},
        {"errors": True},
        {"errors": None},
        {"examples": 0},
        {"nll": float("nan")},
        {"nll": "0.05"},
        {"ece": -0.1},
        {"core_seconds": float("inf")},
        {"wrong": [1, 2]},
        {"wrong": {"x": 3}},
        {"errors": 1, "wrong": {"60000": 10}},
        {"errors": 1, "wrong": {"59999": 3}},
        {"errors": 1, "wrong": {"70000": 3}},
        {"split": "train"},
        {"split": ["test"]},
        {"seed": "0"},
        {"seed": -1},
        {"width": [800]},
        {"arm": 3},
        {"name": "alone/800-1"},
        {"training": "fast"},
        {"errors_of_last_epoch": -1},
    ],
    ids=str,
)
def test_a_record_that_contradicts_itself_is_refused_by_name(tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, "alone/800-0", 146, **change)
    refused(tmp_path, "800-0.json is no record", capsys)


def test_a_file_that_is_no_json_is_refused_and_one_without_an_arm_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stale.json").write_text('{"errors": 3}')
    (tmp_path / "list.json").write_text("[1]")
    assert read(tmp_path) == (Records(()), Records(()))
    (tmp_path / "half.json").write_text('{"arm": ')
    refused(tmp_path, "half.json", capsys)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("alone/800-0", {"stamp": "0123456789abcdef"}, "alone/800-0 is a run of another recipe"),
        ("alone/800-0", {"stamp": None}, "alone/800-0 is a run of another recipe"),
        ("alone/800-0", {"arm": "soft"}, "alone/800-0 has arm 'soft', and by the plan 'alone'"),
        ("alone/800-0", {"seed": 1}, "alone/800-0 has seed 1, and by the plan 0"),
        ("alone/800-0", {"split": "validation", "wrong": {}, "errors": 0}, "alone/800-0 has split 'validation', and by the plan 'test'"),
        ("soft/800-0/T20", {"temperature": 10.0}, "soft/800-0/T20 has temperature 10.0, and by the plan 20.0"),
        ("few-hard/0.03-0", {"share": None}, "few-hard/0.03-0 has share None, and by the plan 0.03"),
        ("selection/soft/0.1", {"training": {"learning_rate": 0.2}}, "by the plan {'learning_rate': 0.1}"),
    ],
)
def test_a_record_that_differs_from_the_plan_is_refused_by_name(
    name: str, change: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path, name, 146, **change)
    refused(tmp_path, words, capsys)


def test_a_run_that_diverged_is_of_the_plan_too_or_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = planned()["alone/800-0"].note
    write(tmp_path, "alone/800-0", {**note, "stamp": "0123456789abcdef", "diverged": True})
    refused(tmp_path, "alone/800-0 is a run of another recipe", capsys)


def test_a_record_that_the_plan_does_not_have_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, "alone/800-0", 146)
    own = json.loads((tmp_path / "alone" / "800-0.json").read_text())
    write(tmp_path, "alone/800-again", own | {"name": "alone/800-again"})
    refused(tmp_path, "alone/800-again is no run of the plan", capsys)


@pytest.mark.parametrize("name", ["soft/800-0/T20", "ten", "views/8-0/last"])
def test_a_run_whose_teacher_was_trained_again_since_is_refused_by_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, name, 74)
    read(tmp_path)
    teacher = "selection/teacher-150-medium-0.1-small" if name.startswith("views") else "teacher/0"
    keep(tmp_path, teacher, 68, model_fingerprint="other weights")
    refused(tmp_path, f"{name} learned from other teachers than those that have records", capsys)


def test_a_student_of_a_network_that_is_no_teacher_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That this network is measured is not enough."""
    keep(tmp_path, "alone/800-0", 146)
    keep(tmp_path, "soft/800-0/T20", 74, teacher_fingerprints=["weights of alone/800-0"])
    refused(tmp_path, "soft/800-0/T20 learned from other teachers", capsys)


def test_one_machine_is_named_in_one_sentence_and_two_in_one_each(tmp_path: Path) -> None:
    headline(tmp_path)
    told = "Abacus, 2 cores; Python 3.11.7, darkknowledge 0.1.0, torch 2.15.0 and numpy 2.4.6"

    def sentences() -> str:
        return made_with(record.what for record in found(tmp_path).finished)

    assert sentences() == f"{told}."
    keep(tmp_path, "alone/800-0", 146, made_with=MACHINE | {"processor": "Slide rule"})
    keep(tmp_path, "alone/800-1", 150, made_with=MACHINE | {"processor": "Slide rule"})
    assert sentences() == f"{told} (13 runs). {told.replace('Abacus', 'Slide rule')} (2 runs)."
    assert made_with([]) == "Hardware and versions were not noted."


def test_a_student_of_another_seeds_teacher_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, "teacher/3", 70)
    keep(tmp_path, "soft/800-0/T20", 74, teacher_fingerprints=["weights of teacher/3"])
    refused(tmp_path, "soft/800-0/T20 learned from other teachers", capsys)
