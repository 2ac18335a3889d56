"""Which folder a run may go on in: one that was begun, one where nothing is, and none that says something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.errors import BusyError, DataError, IntegrityError, Interrupted, UsageError
from darkknowledge.model import fingerprint
from darkknowledge.pipeline._folders import removed_on_failure
from darkknowledge.pipeline.settings import TrainSettings, validate
from darkknowledge.runs.folder import RunFolder
from darkknowledge.training.checkpoint import saved_states
from pipeline.small import LOGGING, STEPS, STUDENT, TEACHER, write_mnist

SHORT = STEPS | {"steps": 4, "checkpoint_every": 0.0}
LEFT = [".lock", "config.yaml", "environment.json", ".run.json.tmp-12-0123abcd"]
"""What a process leaves that is killed while it makes the folder, from its first file to its last."""


def train(out: Path, *, resume: bool = True, training: dict[str, Any] = SHORT) -> darkknowledge.Trained:
    return darkknowledge.train(STUDENT, training=training, logging=LOGGING, out=out, resume=resume)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> darkknowledge.Trained:
    return train(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("count", range(len(LEFT) + 1))
def test_where_a_process_was_killed_before_it_had_made_the_folder_a_run_begins(count: int, whole: darkknowledge.Trained, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in LEFT[:count]:
        (out / name).write_text("{")
    with pytest.raises(UsageError, match=r"run exists[\s\S]*resume=true"):
        train(out, resume=False)
    if count in (0, len(LEFT)):
        assert fingerprint(train(out).network) == fingerprint(whole.network)
        assert files(out) == files(whole.path)
        return
    RunFolder.create(out, kind="train", config={"seed": 3}, again=True)
    assert RunFolder(out).config == {"seed": 3}


def test_among_other_files_no_run_begins(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is no run folder"):
        train(tmp_path)
    assert files(tmp_path) == {"thesis.tex"}


@pytest.mark.parametrize("name", ["config.yaml", "environment.json"])
def test_a_file_of_somebody_else_that_is_called_as_one_of_ours_stays(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine: 1")
    with pytest.raises(UsageError, match="is no run folder"):
        train(tmp_path)
    assert files(tmp_path) == {name}
    assert (tmp_path / name).read_text() == "mine: 1"


def test_auto_says_the_same_as_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(TrainSettings, {"resume": "auto", "out": "x"}).resume is True
    with pytest.raises(UsageError, match="resume='car' must be"):
        validate(TrainSettings, {"resume": "car"})
    line = [
        "train",
        *(f"training.{key}={value}" for key, value in SHORT.items()),
        "model.hidden=[8]",
        "model.input_dropout=0.1",
        "logging.progress=false",
    ]
    for _ in range(2):
        assert main([*line, f"out={tmp_path / 'run'}", "resume=auto"]) == 0
    assert "is already finished" in capsys.readouterr().err
    assert main([*line, "resume=auto"]) == 2
    assert "does not say which run to go on with" in capsys.readouterr().err


@pytest.fixture
def interrupted(stop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after its third step, of which two states are kept: that step's, and that of the second."""
    stop("run", 3)
    with pytest.raises(Interrupted):
        train(tmp_path / "run")
    monkeypatch.undo()
    assert [path.name[6:21] for path in saved_states(tmp_path / "run" / "checkpoint")] == ["00000002-000000", "00000003-000000"]
    return tmp_path / "run"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def test_a_damaged_state_is_named_and_the_run_ends_as_if_it_were_whole(
    interrupted: Path, whole: darkknowledge.Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier, newest = saved_states(interrupted / "checkpoint")
    flip(newest)
    again = train(interrupted)
    said = capsys.readouterr().err
    assert f"warning: in {newest.parent} {newest.name} is not the file that was written: going on from the state before it, {earlier.name}" in said
    assert fingerprint(again.network) == fingerprint(whole.network)
    for name in ("metrics.jsonl", "metrics.csv"):
        assert (interrupted / name).read_bytes() == (whole.path / name).read_bytes()
    assert files(interrupted) == files(whole.path)


def test_where_no_state_is_whole_all_are_named_and_nothing_is_lost(interrupted: Path) -> None:
    states = saved_states(interrupted / "checkpoint")
    for path in states:
        flip(path)
    with pytest.raises(IntegrityError, match="2 faults were found") as caught:
        train(interrupted)
    assert all(str(path) in str(caught.value) for path in states)
    assert saved_states(interrupted / "checkpoint") == states


def test_what_killed_writers_have_left_is_gone_after_the_next_start(interrupted: Path, whole: darkknowledge.Trained) -> None:
    for name in (".run.json.tmp-9-00000000", "checkpoint/.state-00000004-000000.pt.tmp-9-00000000", "model/.model.safetensors.tmp-9-00000000"):
        (interrupted / name).parent.mkdir(exist_ok=True)
        (interrupted / name).write_bytes(b"half")
    assert files(train(interrupted).path) == files(whole.path)


def test_a_state_that_is_left_in_a_finished_run_goes_with_the_next_start(whole: darkknowledge.Trained) -> None:
    (whole.path / "checkpoint").mkdir()
    before = files(whole.path)
    train(whole.path)
    assert not (whole.path / "checkpoint").exists()
    assert files(whole.path) == before


def test_what_a_newer_version_wrote_and_what_was_altered_is_refused_in_words(interrupted: Path) -> None:
    path = interrupted / "run.json"
    own = path.read_text()
    path.write_text(json.dumps(json.loads(own) | {"schema": 3}))
    with pytest.raises(IntegrityError, match=r"run.json has schema 3, and 2 is the one known here") as caught:
        train(interrupted)
    assert caught.value.fix == "use a newer darkknowledge"
    path.write_text(own.replace('"kind": "train"', '"kind": "distill"'))
    with pytest.raises(IntegrityError, match=r"run.json is not the file that was written"):
        train(interrupted)
    path.write_text(own)
    config = interrupted / "config.yaml"
    config.write_text(config.read_text().replace("learning_rate: 0.05", "learning_rate: 0.04"))
    with pytest.raises(IntegrityError, match=r"config.yaml is not the file that was written"):
        train(interrupted, training=SHORT | {"learning_rate": 0.04})


@pytest.mark.parametrize(("error", "stays"), [(DataError("none"), False), (BusyError("a set"), False), (BusyError("held", where="{run}"), True)])
def test_a_new_folder_goes_with_a_failure_unless_another_process_works_in_it_by_now(error: Any, stays: bool, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="train", config={})
    if error.where:
        error.where = str(run.path)
    with pytest.raises(type(error)), removed_on_failure(run, fresh=True):
        raise error
    assert run.path.exists() is stays


@pytest.mark.usefixtures("no_costs")
def test_a_comparison_does_not_go_on_with_other_data_or_another_teacher_for_the_students_that_are_left(
    stop: Any, mnist: Path, tmp_path: Path
) -> None:
    data = {"name": "mnist", "root": mnist, "augment": "none"}

    def compare(*, resume: bool) -> darkknowledge.Comparison:
        return darkknowledge.run(
            data, student=STUDENT, teacher={"source": str(tmp_path / "teacher"), "check": False}, training=SHORT, seeds=2, logging=LOGGING,
            out=tmp_path / "whole", resume=resume,
        )  # fmt: skip

    for seed in (0, 1):
        darkknowledge.train(TEACHER, data, training=SHORT | {"seed": seed}, logging=LOGGING, out=tmp_path / f"teacher-{seed}")
    shutil.copytree(tmp_path / "teacher-0", tmp_path / "teacher")
    stop("alone-1", 2)
    with pytest.raises(Interrupted):
        compare(resume=False)
    write_mnist(mnist, shift=1)
    with pytest.raises(IntegrityError, match=r"the data is not what .*alone-0 was trained on"):
        compare(resume=True)
    write_mnist(mnist)
    shutil.rmtree(tmp_path / "teacher")
    shutil.copytree(tmp_path / "teacher-1", tmp_path / "teacher")
    with pytest.raises(IntegrityError, match=r"the teacher is no longer the one that .*distilled-0 learned from"):
        compare(resume=True)
