"""Run folders as a table."""

from __future__ import annotations

from pathlib import Path

import darkknowledge
from darkknowledge.runs.folder import RunFolder, lock

CONFIG = {"data": {"name": "digits"}, "training": {"seed": 3}, "student": {"name": "cifar_resnet"}}


def test_a_run_is_listed_with_what_is_known_of_it(runs: Path) -> None:
    found = darkknowledge.list_runs(runs)
    assert [(run.path.name, run.kind, run.status, run.data, run.network, run.seed) for run in found] == [
        (f"teacher-{seed}", "train", "finished", "digits", "hinton_mlp", seed) for seed in (0, 1)
    ]
    assert all(run.validation_accuracy is not None and run.validation_accuracy > 0.5 for run in found)
    assert all(run.test_accuracy is None for run in found)


def test_the_networks_of_a_comparison_follow_it(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "whole", kind="run", config=CONFIG)
    RunFolder.create(tmp_path / "whole" / "alone-0", kind="train", config=CONFIG)
    found = darkknowledge.list_runs(tmp_path)
    assert [(run.path.relative_to(tmp_path).as_posix(), run.seed) for run in found] == [("whole", None), ("whole/alone-0", 3)]
    assert [run.network for run in found] == ["cifar_resnet", "cifar_resnet"]


def test_a_damaged_run_is_listed_as_such_beside_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        RunFolder.create(tmp_path / name, kind="train", config=CONFIG)
    (tmp_path / "a" / "run.json").write_text("{")
    assert {run.path.name: run.status for run in darkknowledge.list_runs(tmp_path)} == {"a": "damaged", "b": "created"}
    (tmp_path / "b" / "config.yaml").unlink()
    assert {run.status for run in darkknowledge.list_runs(tmp_path)} == {"damaged"}


def test_a_run_that_was_killed_is_listed_as_such(tmp_path: Path) -> None:
    for name in ("killed", "running"):
        RunFolder.create(tmp_path / name, kind="train", config=CONFIG).note(status="running")
    with lock(tmp_path / "running"):
        assert {run.path.name: run.status for run in darkknowledge.list_runs(tmp_path)} == {"killed": "killed", "running": "running"}


def test_where_nothing_lies_nothing_is_listed(tmp_path: Path) -> None:
    assert darkknowledge.list_runs(tmp_path / "nowhere") == []
