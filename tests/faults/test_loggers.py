"""Loggers of somebody else's that break: what was there to be found is found before the first step, and what breaks later ends nothing."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import darkknowledge
from darkknowledge.errors import ResourceError
from darkknowledge.model import fingerprint
from darkknowledge.training.metric_files import read_records
from pipeline.small import STUDENT

SHORT = {"steps": 6, "batch_size": 64, "log_every": 2, "threads": 1, "precision": "fp32"}


def train(out: Path, **logging: Any) -> darkknowledge.Trained:
    return darkknowledge.train(STUDENT, training=SHORT, logging={"progress": False, **logging}, out=out)


class Broken:
    """Stands for Weights & Biases, and breaks at one of its calls."""

    offline, base_url = False, "https://localhost"
    Error = RuntimeError
    errors = SimpleNamespace(CommError=ConnectionError, AuthenticationError=PermissionError)

    def __init__(self, call: str) -> None:
        self.call, self.calls = call, 0

    def __getattr__(self, call: str) -> Any:
        def answer(*values: Any, **named: Any) -> Broken:
            self.calls += call == "log"
            if call == self.call:
                raise self.Error("the service is <b>gone</b>")
            return self

        return answer


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> darkknowledge.Trained:
    return train(tmp_path_factory.mktemp("whole") / "run")


def same(made: darkknowledge.Trained, whole: darkknowledge.Trained) -> bool:
    """Whether one run is the other, in its network and in its numbers."""
    numbers = [read_records(one.path / "metrics.jsonl") for one in (made, whole)]
    return fingerprint(made.network) == fingerprint(whole.network) and numbers[0] == numbers[1]


@pytest.mark.parametrize(("call", "heard"), [("log", 1), ("finish", 4)])
def test_a_service_that_breaks_while_a_run_is_under_way_is_said_once_and_left_alone(
    call: str, heard: int, whole: darkknowledge.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb = Broken(call)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    assert same(train(tmp_path / "<i>run</i>", wandb=True), whole)
    said = capsys.readouterr().err
    assert said.count("warning: Weights & Biases fails, and the run goes on without it: the service is <b>gone</b>\n") == 1
    assert wandb.calls == heard


def test_a_tensorboard_whose_disk_is_full_is_said_once_and_left_alone(
    whole: darkknowledge.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def full(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    assert same(train(tmp_path / "run", tensorboard=True), whole)
    said = capsys.readouterr().err
    assert said.count("warning: TensorBoard fails, and the run goes on without it: [Errno 28] No space left on device\n") == 1


def test_a_service_that_does_not_begin_ends_the_run_before_its_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", Broken("init"))
    with pytest.raises(ResourceError, match=r"Weights & Biases does not start: the service[\s\S]*WANDB_MODE=offline, or logging.wandb=false"):
        train(tmp_path / "run", wandb=True)
    assert read_records(tmp_path / "run" / "metrics.jsonl") == []
    assert not (tmp_path / "run" / "model").exists()


def test_an_extra_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.delitem(sys.modules, "darkknowledge.training.lightning_module", raising=False)
    with pytest.raises(ResourceError, match=r"Lightning is not installed\n  fix: pip install 'darkknowledge\[trainer\]'") as refused:
        _ = darkknowledge.DistillationModule
    assert refused.value.exit_code == 5
