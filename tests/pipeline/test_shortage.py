"""Too little memory in every stage: exit code 5, what to write instead, and nothing lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
import torch
from torch import Tensor

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.model.hinton_mlp import HintonMLP
from pipeline.small import LOGGING

TRAIN = ["train", "model.hidden=[8]", "training.epochs=2", "training.batch_size=64", "training.threads=1", "logging.progress=false"]
EAGER = [*TRAIN, "training.checkpoint_every=0"]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """``with short(n)``: the n-th question to a network takes more memory than there is."""

    @contextmanager
    def until(call: int) -> Iterator[None]:
        usual, calls = HintonMLP.forward, iter(range(1, 1 << 30))

        def forward(self: HintonMLP, inputs: Tensor) -> Tensor:
            if next(calls) == call:
                torch.empty(1 << 50, dtype=torch.uint8)
            return usual(self, inputs)

        with monkeypatch.context() as patch:
            patch.setattr(HintonMLP, "forward", forward)
            yield

    return until


def test_training(short: Callable[[int], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    with short(5):
        assert main([*EAGER, f"out={run}"]) == 5
    said = capsys.readouterr().err
    assert "error: the memory is not enough to train run in batches of 64\n  where: cpu, " in said
    assert re.search(rf"the state of step [34] is kept in {run}/checkpoint: resume=true resume_changes=\[training.accumulate\] goes on from it", said)
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert main([*EAGER, f"out={run}", "resume=true", "training.accumulate=2", "resume_changes=[training.accumulate]"]) == 0


def test_recording(short: Callable[[int], Any], runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["record", f"teacher={runs / 'teacher-0'}", f"out={tmp_path / 'set'}", "threads=1", "progress=false", "batch_size=256", "shard_rows=512"]
    with short(5):
        assert main(words) == 5
    said = capsys.readouterr().err
    assert "error: the memory is not enough to ask the teacher about 256 pictures at a time\n  where: cpu, " in said
    assert "batch_size=128" in said
    assert (tmp_path / "set" / "shards").is_dir()
    assert main(words) == 0


def test_recording_on_the_way_to_a_student(short: Callable[[int], Any], runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = copytree(runs / "teacher-0", tmp_path / "teacher", ignore=ignore_patterns("transfer"))  # where sets lie that others have recorded
    words = ["distill", f"teacher={teacher}", f"out={tmp_path / 'run'}", "student.hidden=[8]", "training.steps=2", "data.augment=jitter"]
    words += ["training.threads=1", "logging.progress=false"]
    with short(4):
        assert main(words) == 5
    assert "transfer.mode=live" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(words) == 0


@pytest.mark.parametrize("call", [1, 2])
def test_evaluation(
    call: int, short: Callable[[int], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = darkknowledge.train({"name": "hinton_mlp", "hidden": [8]}, training={"steps": 2, "threads": 1}, logging=LOGGING, out=tmp_path / "run").path
    words = ["evaluate", f"run={run}", "cost=false", "threads=1", "batch_size=200"]
    with short(call):
        assert main(words) == 5
    assert "error: the memory is not enough to ask networks about 200 pictures at a time\n" in (said := capsys.readouterr().err)
    assert "  fix: batch_size=50\n" in said
    assert not (run / "evaluation-test.json").exists()
    usual, asked = HintonMLP.forward, []

    def forward(self: HintonMLP, inputs: Tensor) -> Tensor:
        asked.append(len(inputs))
        return usual(self, inputs)

    monkeypatch.setattr(HintonMLP, "forward", forward)
    assert main(words) == 0
    assert max(asked) == 200


@pytest.mark.usefixtures("no_costs")
def test_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "seeds=1", "student.hidden=[8]", "teacher.model.hidden=[8]", "teacher.training.steps=3", "teacher.check=false"]
    words += ["training.steps=3", "training.threads=1", "teacher.training.threads=1", "logging.progress=false", f"out={tmp_path / 'whole'}"]

    def fail(*arguments: Any, **named: Any) -> None:
        torch.empty(1 << 50)

    with monkeypatch.context() as patch:
        patch.setattr("darkknowledge.pipeline.run.evaluate_subject", fail)
        assert main(words) == 5
    assert f"dk evaluate run=[{tmp_path / 'whole'}/alone-0,…] batch_size=256" in capsys.readouterr().err
    networks = {path: path.read_bytes() for path in (tmp_path / "whole").rglob("model.safetensors")}
    assert len(networks) >= 3
    assert main([*words, "resume=true"]) == 0
    assert {path: path.read_bytes() for path in networks} == networks
