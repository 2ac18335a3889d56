"""``dk verify``: whatever a run keeps, a changed bit in it is found and its file named."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.errors import IntegrityError, Interrupted
from darkknowledge.pipeline.verify import verify
from darkknowledge.runs.files import verify_digest
from darkknowledge.runs.folder import RunFolder
from darkknowledge.training.checkpoint import saved_states
from darkknowledge.transfer import export
from pipeline.small import LOGGING, STEPS, STUDENT


@pytest.fixture(scope="module")
def kept(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything that one can keep: two networks, an evaluation, a transfer set, another run."""
    path = tmp_path_factory.mktemp("kept") / "teacher"
    shutil.copytree(runs / "teacher-0", path, ignore=shutil.ignore_patterns("transfer"))
    darkknowledge.distill(path, STUDENT, training=STEPS | {"steps": 2}, logging=LOGGING, out=path / "student")
    darkknowledge.evaluate(path, cost=False)
    return path


def flip(path: Path, choose: random.Random) -> None:
    data = bytearray(path.read_bytes())
    bit = choose.randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_file_that_was_altered_is_named(kept: Path) -> None:
    assert len(verify(kept)) == 8
    choose = random.Random(0)
    files = [path for path in sorted(kept.rglob("*")) if path.is_file() and path.name != ".lock"]
    assert {path.name for path in files} >= {
        "run.json", "config.yaml", "environment.json", "metrics.jsonl", "metrics.csv", "model.safetensors", "config.json", "manifest.json",
        "evaluation-test.json", "answers-test.safetensors", "00000-of-00001.arrow", "00000-of-00001.json",
    }  # fmt: skip
    for path in files:
        own = path.read_bytes()
        flip(path, choose)
        with pytest.raises(IntegrityError) as caught:
            verify(kept)
        told = str(caught.value)
        assert path.name in told or path.name == "manifest.json", path
        assert str(path.parent) in told or path.parent.name == "shards", path
        path.write_bytes(own)
    assert len(verify(kept)) == 8


def test_no_student_learns_from_answers_that_were_altered(kept: Path, tmp_path: Path) -> None:
    (found,) = (kept / "transfer").iterdir()
    shutil.copytree(found, tmp_path / "set")
    for path in (tmp_path / "set").glob("shards/*.arrow"):
        flip(path, random.Random(3))
        with pytest.raises(IntegrityError, match=f"{path.name} is not the file that was written"):
            darkknowledge.distill(transfer=tmp_path / "set", training=STEPS | {"steps": 2}, logging=LOGGING, out=tmp_path / "student")
    assert not (tmp_path / "student").exists()
    with pytest.raises(IntegrityError, match="is not the file that was written"):
        export(tmp_path / "set", tmp_path / "set.parquet")
    assert not (tmp_path / "set.parquet").exists()


def test_all_of_them_are_named_at_once_and_the_exit_code_is_4(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(kept, tmp_path / "run")
    altered = ["run.json", "model/model.safetensors", "best/config.json", "answers-test.safetensors", "student/config.yaml", "student/metrics.csv"]
    for name in altered:
        flip(tmp_path / "run" / name, random.Random(1))
    (tmp_path / "run" / "best" / "model.safetensors").unlink()
    assert main(["verify", str(tmp_path / "run")]) == 4
    said = capsys.readouterr().err
    for name in (*altered, "best/model.safetensors"):
        assert f"{tmp_path / 'run' / name}: {Path(name).name}" in said


def test_a_run_that_is_not_finished_is_looked_at_too(stop: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop("run", 3)
    with pytest.raises(Interrupted):
        darkknowledge.train(STUDENT, training=STEPS | {"checkpoint_every": 0.0}, logging=LOGGING, out=tmp_path / "run")
    states = saved_states(tmp_path / "run" / "checkpoint")
    (tmp_path / "run" / "model").mkdir()  # as a kill at the very end leaves it
    (tmp_path / "run" / "model" / "config.json").touch()
    assert main(["verify", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "run: a run that is preempted, with 0 lines of metrics" in said
    assert all(f"{path}: a training state, every byte as it was written" in said for path in states)
    flip(states[0], random.Random(2))
    with pytest.raises(IntegrityError, match=f"{states[0].name} is not the file that was written"):
        verify(tmp_path / "run")


def test_a_state_that_a_run_replaces_during_the_look_is_no_damage(stop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop("run", 3)
    with pytest.raises(Interrupted):
        darkknowledge.train(STUDENT, training=STEPS | {"checkpoint_every": 0.0}, logging=LOGGING, out=tmp_path / "run")

    def replaced(path: Path) -> None:
        path.unlink(missing_ok=True)
        verify_digest(path)

    monkeypatch.setattr("darkknowledge.pipeline.verify.verify_digest", replaced)
    assert sum("replaced meanwhile" in line for line in verify(tmp_path / "run")) == 2


def test_a_finished_run_without_its_network_is_damaged(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept / "student", tmp_path / "run")
    (tmp_path / "run" / "model" / "manifest.json").unlink()
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"model has no manifest.json"):
            verify(tmp_path / "run")
        shutil.rmtree(tmp_path / "run" / "model", ignore_errors=True)


def test_a_folder_of_runs_that_has_no_network_is_looked_through(tmp_path: Path) -> None:
    for name in ("whole", "whole/alone-0", "whole/distilled-0"):
        RunFolder.create(tmp_path / name, kind="train", config={})
    assert [line.partition(":")[0] for line in verify(tmp_path / "whole")] == [
        str(tmp_path / name) for name in ("whole", "whole/alone-0", "whole/distilled-0")
    ]
