"""What comes from the surroundings and not from a file: the environment, the current folder, the network, the terminal."""

from __future__ import annotations

import fractions
import socket
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from darkknowledge import model
from darkknowledge.cli.main import main
from darkknowledge.errors import UsageError
from darkknowledge.runs.torch_file import read_torch_file
from security.hostile.torch_files import SHAPE, network, weights

UNRESTRICTED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE")
@pytest.mark.parametrize("value", ["1", "y", "Y", "yes", "YES", "true", "True", "0", "n", "no", "false", "on", "2", " 1", ""])
def test_every_word_that_torch_takes_for_a_yes_is_refused_and_no_other(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"x": fractions.Fraction(1, 2)}, tmp_path / "objects.pt")
    torch.save(weights(), tmp_path / "w.pt")
    monkeypatch.setenv(UNRESTRICTED, value)
    try:
        torch.load(tmp_path / "objects.pt")
        honoured = True
    except Exception:
        honoured = False
    try:
        read_torch_file(tmp_path / "w.pt")
        refused = False
    except UsageError:
        refused = True
    assert refused == honoured


def test_with_it_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model.save(network(), tmp_path / "model")
    monkeypatch.setenv(UNRESTRICTED, "1")
    assert main(["list"]) == UsageError.exit_code
    assert UNRESTRICTED in capsys.readouterr().err
    with pytest.raises(UsageError, match=UNRESTRICTED):
        model.load(tmp_path / "model")
    with pytest.raises(UsageError, match=UNRESTRICTED):
        model.build("hinton_mlp", **SHAPE)


SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdefcanary00",
    "HF_TOKEN": "hf_canary",
    "AWS_SECRET_ACCESS_KEY": "canary",
    "MY_PASSWORD": "canary",
}


class Recorded(types.SimpleNamespace):
    """Stands for Weights & Biases: it keeps what it is told."""

    offline = False
    Error = RuntimeError

    def __init__(self) -> None:
        super().__init__(told=[])

    def Settings(self, **values: Any) -> dict[str, Any]:  # noqa: N802 — its name there
        return values

    def init(self, **values: Any) -> Recorded:
        self.told.append(values)
        return self

    def log(self, *values: Any, **more: Any) -> None:
        self.told.append((values, more))

    def finish(self) -> None:
        """Nothing."""


def test_a_run_connects_nowhere_and_keeps_no_secret_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*place: Any) -> None:
        raise AssertionError(f"it connects to {place}")

    wandb = Recorded()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    quick = ["training.steps=2", "training.threads=1", "training.checkpoint_every=0", "logging.progress=false"]
    assert main(["train", "model.hidden=[8]", *quick, "logging.wandb=true", "out=teacher"]) == 0
    assert main(["record", "teacher=teacher", "teacher.check=false", "out=set", "views=1", "threads=1", "progress=false"]) == 0
    assert main(["evaluate", "run=teacher", "cost=false"]) == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 12
    assert len(wandb.told) > 1
    assert [path for path in files if b"canary" in path.read_bytes()] == []
    assert "canary" not in repr(wandb.told)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["list", "root=nowhere"], False),
        (["train", "model=timm:resnet18", "data=mnist", "--cfg", "job"], False),
        (["train", "out=runs/2026-11-21", "data.root=/a/b:c/d", "--cfg", "job"], False),
        (["train", "out=runs/a:b", "--cfg", "job"], False),
        (["report", "runs=[a:b]", "--cfg", "job"], False),
        (["train", "model=own.networks:Small", "--cfg", "job"], True),
        (["distill", "student=own:Small", "teacher=a", "--cfg", "job"], True),
        (["train", "data.augment=own:recipe", "--cfg", "job"], True),
        (["evaluate", "run=a", "plugins=[own]", "--cfg", "job"], True),
    ],
)
def test_modules_are_looked_for_in_the_current_folder_only_where_one_is_named(
    words: list[str], named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(words) == 0
    assert (str(tmp_path) in sys.path) == named


def test_a_message_commands_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "\x1b]0;mine\x07\x1b[2J"]) == UsageError.exit_code
    shown = capsys.readouterr().err
    assert "mine" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)
