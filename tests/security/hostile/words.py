"""Words of the command line, and configurations that lie where a command is given: no flag reads one."""

from __future__ import annotations

from pathlib import Path

from darkknowledge.errors import UsageError
from security.hostile.file import Hostile, command

KIND = "Words of the command line"


def planted(folder: Path) -> None:
    """Configurations that lie where a command is given."""
    for name in ("evil", "train", "config", ".env"):
        text = "# @package _global_\nout: ${oc.env:HOME}\ntraining:\n  _target_: os.system\n"
        (folder / f"{name}.yaml").write_text(text)


def row(name: str, says: str, *words: str) -> Hostile:
    return Hostile(f"words {name}", planted, command(*words), UsageError, says)


TO_EVIL = f"experiment={'../' * 20}{Path.cwd().anchor}tmp/evil"

HOSTILE = [
    row("that name a file of configuration", "unknown flag --config", "train", "--config", "evil.yaml"),
    row("that name a folder of configurations", "unknown flag --config-dir=.", "train", "--config-dir=.", "--config-name=evil"),
    row("that choose a file here", "there is no training './evil'", "train", "training=./evil", "--cfg", "job"),
    row("that choose a file elsewhere", "names no choice", "run", TO_EVIL, "--cfg", "job"),
    row("that choose a file above", "training=../../evil names no choice", "train", "training=../../evil", "--cfg", "job"),
    row("that choose two files above", "names no choice", "train", "+training=[default,../../evil]", "--cfg", "job"),
    row("that search elsewhere", "unknown key 'hydra.searchpath'", "train", "hydra.searchpath=[file://.]", "--cfg", "job"),
    row("that launch with another class", "unknown key 'hydra.launcher", "train", "hydra.launcher._target_=os.system", "--cfg", "job"),
    row("that read the environment", "a configuration reads nothing from the environment", "train", "out=${oc.env:HOME}", "--cfg", "job"),
    row("that name what is to be made", "hinton_mlp has no option '_target_'", "train", "+model._target_=os.system", "out=runs/new"),
    row("that name a class beside the keys", "unknown key '_target_'", "train", "+_target_=os.system", "--dry-run"),
    row(
        "that name a class for a student",
        "unknown key 'students.0._target_'",
        "distill",
        "students=[{_target_: os.system}]",
        "teacher=a",
        "--dry-run",
    ),
    row("that name a function for data", "there is no data 'os.system'", "train", "data=os.system", "--dry-run"),
]

SOUND = [
    Hostile("words", planted, command("run", "--cfg", "job")),
    Hostile("words for a plan", planted, command("train", "model=hinton_mlp", "--dry-run")),
]
