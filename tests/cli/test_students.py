"""Several students from the command line: a list of them, or a grid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.world import Program, tree
from darkknowledge.pipeline import distill
from darkknowledge.pipeline.list import list_runs

SHORT = ["student.hidden=[16]", "training.steps=3", "training.threads=1", "logging.progress=false"]


def record(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((path / "run.json").read_text())
    return found


def test_a_list_of_students_is_trained_together_and_shown_in_a_table(dk: Program, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "students"
    students = "students=[{temperature:2},{temperature:8},{student:{hidden:[12]},name:small}]"
    done = dk("distill", "teacher=runs/teacher", *SHORT, students, f"out={out}")
    assert done.code == 0, done.err
    assert done.err.count("teacher: accuracy") == 1
    assert "objective of 0: 0.9 × 2² KL" in done.err
    rows = [line for line in done.out.splitlines() if str(out) in line]
    assert [[word in row for word in ("[16]", "[12]", "2.0", "8.0", "4.0", "%")] for row in rows] == [
        [True, False, True, False, False, True],
        [True, False, False, True, False, True],
        [False, True, False, False, True, True],
    ]
    assert "objective.temperature" in done.out
    assert "training.seed" not in done.out
    assert [record(out / name)["together"] for name in ("0", "1", "small")] == [3, 3, 3]
    assert dk("evaluate", f"run={out}/small", "cost=false").code == 0
    assert "small" in dk("list", f"root={tmp_path}").out
    assert dk("verify", f"{out}/0").code == 0


def test_the_jobs_of_a_grid_with_one_teacher_and_the_same_data_share_them(
    dk: Program, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(distill, "load_data", lambda settings, usual=distill.load_data: loaded.append(settings) or usual(settings))
    words = ["objective.temperature=1,4", "training.seed=0,1", "data.fraction=1,0.5"]
    done = dk("distill", "-m", "teacher=runs/teacher", *SHORT, *words, f"out={tmp_path / 'grid'}")
    assert done.code == 0, done.err
    assert done.err.count("job: ") == 8
    assert len(loaded) == 2
    assert done.err.count("teacher: accuracy") == 2
    assert {run.path.name: run.status for run in list_runs(tmp_path / "grid")} == {str(index): "finished" for index in range(8)}
    assert [record(tmp_path / "grid" / str(index))["together"] for index in range(8)] == [2] * 8
    for column in ("objective.temperature", "training.seed", "data.fraction"):
        assert column in done.out
    again = dk("distill", "-m", "teacher=runs/teacher", *SHORT, *words, f"out={tmp_path / 'grid'}", "resume=true")
    assert (again.code, again.err.count("already finished")) == (0, 8)


def test_a_student_of_a_grid_that_diverges_is_said_at_the_end(dk: Program, world: Path, tmp_path: Path) -> None:
    done = dk("distill", "-m", "teacher=runs/teacher", *SHORT, "training.learning_rate=0.1,1e30", f"out={tmp_path / 'grid'}")
    assert done.code == 6
    assert "1 of 2 students diverged, the others are kept" in done.err
    assert "diverged" in done.out
    assert [record(tmp_path / "grid" / name)["status"] for name in "01"] == ["finished", "failed"]


def test_a_grid_may_hold_lists_of_students(dk: Program, world: Path, tmp_path: Path) -> None:
    words = ["students=[{temperature:2},{temperature:8}]", "training.seed=0,1"]
    done = dk("distill", "-m", "teacher=runs/teacher", *SHORT, *words, f"out={tmp_path / 'grid'}")
    assert done.code == 0, done.err
    assert [record(tmp_path / "grid" / part)["together"] for part in ("0/0", "0/1", "1/0", "1/1")] == [2] * 4


def test_a_dry_run_says_what_each_student_would_be(dk: Program, world: Path) -> None:
    before = tree(world)
    done = dk("distill", "teacher=runs/teacher", "students=[{temperature:2},{seed:3,name:other}]", "--dry-run")
    assert (done.code, done.err) == (0, "")
    for word in ("student 0: objective: 0.9 × 2² KL", "student other: 30 epochs", "seed 3", "into a new folder under runs/"):
        assert word in done.out
    assert tree(world) == before
