"""Run folders whose ``run.json`` says what it should not, and whose other parts are something else, elsewhere or everywhere."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from darkknowledge.errors import DarkKnowledgeError, IntegrityError, UsageError
from darkknowledge.training.checkpoint import load_state
from security.hostile.file import Calls, Hostile, Opened, command, empty_of, harm, nested, pickled, sha256, vouched
from security.hostile.runs import EVALUATED, LEARNED_FROM, LISTED, LOOKED_AT, RESUMED, RUN, evaluated, put, resumed, run
from security.hostile.torch_files import compressed, script

KIND = "Records, states and other parts of runs"


def saying(**facts: Any) -> Opened:
    return run(record=lambda record: record.update(facts))


def row(name: str, build: Opened, says: str, refused: type[DarkKnowledgeError] = IntegrityError, open: Opened = evaluated) -> Hostile:
    return Hostile(name, build, open, refused, says)


def listed(name: str, build: Opened, says: str = "damaged") -> Hostile:
    return Hostile(name, build, LISTED, says=says)


NO_RECORD = "run.json is not the record of a run"
OUTSIDE = {"../../../../etc/passwd": {"bytes": 1, "sha256": "0"}}

RECORDS = [
    row("record that is deep", run(says=nested(100_000)), "run.json is not valid JSON"),
    row("record that is a list", run(says="[]"), "run.json is not the file that was written"),
    row("record of 5 GB", put("run.json", empty_of(5 << 30)), "run.json is not valid JSON: it is no file of at most 33,554,432 bytes"),
    listed("record of 5 GB in a list", put("run.json", empty_of(5 << 30))),
    row("record that is a pipe", put("run.json", os.mkfifo), "is no run folder", UsageError),
    listed("record that is a pipe in a list", put("run.json", os.mkfifo)),
    row("record without fingerprints", run(record=lambda record: record.pop("data_fingerprint")), "does not say which data the run was trained on"),
    row("record with a number for a fingerprint", saying(data_fingerprint=5), NO_RECORD),
    row("record with a number for a transfer set", saying(transfer=5), NO_RECORD),
    Hostile(
        "record with a transfer set that is a device",
        saying(transfer={"path": "/dev/zero", "sha256": ""}),
        EVALUATED,
        says="no agreement with the teacher for runs/run: /dev/zero is a file, not the folder of a transfer set",
    ),
    row("record of changes that are none", saying(changes=[{"settings": {"data.name": 5}}]), NO_RECORD),
    row("record of scores that are none", saying(validation={"last": 5}), "run.json does not say what came of the run", open=resumed),
    row("record that vouches for a file elsewhere", saying(files=OUTSIDE), "a file outside its folder is named", open=LOOKED_AT),
    row("record that vouches for numbers", saying(files={"config.yaml": 5}), "does not say what the files beside it are", open=LOOKED_AT),
    listed("record that began at a number", saying(started=5)),
    listed("record of a kind that is a list", saying(kind=["x"])),
    listed("record of an accuracy of 10⁴⁰⁰", saying(validation={"last": {"accuracy": 10**400}})),
    listed("record of an accuracy in words", saying(validation={"last": {"accuracy": "much"}})),
    listed("record with a terminal's commands", saying(kind="\x1b]0;ran\x07\x1b[2J[red]", status="\x1b[2J"), "[red]"),
    row("record with a terminal's commands for a status", saying(status="\x1b[2J"), "is not finished (status: �[2J)", UsageError, EVALUATED),
]


def state(folder: Path) -> object:
    return load_state(folder / RUN / "checkpoint")


def with_state(make: Callable[[Path], bytes], name: str = "state-00000001-{}.pt") -> Opened:
    """A run under way, whose training state has a name that vouches for it."""

    def keep(path: Path) -> None:
        content = make(path.parents[1])
        (path / "checkpoint").mkdir()
        (path / "checkpoint" / name.format(sha256(content))).write_bytes(content)

    return run(record=lambda record: record.update(status="preempted"), put=keep)


def in_state(make: Callable[[Path], Any]) -> Opened:
    def content(folder: Path) -> bytes:
        file = io.BytesIO()
        torch.save({"schema": 1, **make(folder)}, file)
        return file.getvalue()

    return with_state(content)


def state_of(make: Callable[[Path], object]) -> Opened:
    """Such a state that is something else."""

    def keep(path: Path) -> None:
        (path / "checkpoint").mkdir()
        make(path / "checkpoint" / f"state-00000001-{'0' * 64}.pt")

    return run(record=lambda record: record.update(status="preempted"), put=keep)


NOT_WRITTEN = "is not the file that was written"

STATES = [
    row("state with code", in_state(lambda f: {"step": harm(f)}), "holds Python objects and not only weights", open=state),
    row("state with code to go on with", in_state(lambda f: {"step": harm(f)}), "holds Python objects and not only weights", open=RESUMED),
    row("state that is a bare pickle", with_state(pickled), "holds Python objects and not only weights", open=state),
    row("state that is compressed", with_state(compressed), "would fill more memory than it has bytes", open=state),
    row(
        "state that fills the memory", in_state(lambda f: {"step": Calls(bytearray, 1 << 33)}), "would fill more memory than it has bytes", open=state
    ),
    row("state of TorchScript", with_state(script), "is damaged, or no file of PyTorch's", open=state),
    row("state that nobody vouches for", with_state(pickled, f"state-00000001-{'0' * 64}.pt"), NOT_WRITTEN, open=state),
    row("state that is a pipe", state_of(os.mkfifo), NOT_WRITTEN, open=LOOKED_AT),
    row("state that is a device", state_of(lambda path: path.symlink_to("/dev/zero")), NOT_WRITTEN, open=LOOKED_AT),
    row("state of another network", in_state(lambda f: {"step": 1}), "the training state is none of this network and recipe", open=RESUMED),
]


def pickled_best(path: Path) -> None:
    (path / "best").mkdir()
    (path / "best" / "model.safetensors").write_bytes(pickled(path.parents[1]))
    (path / "best" / "config.json").write_bytes((path / "model" / "config.json").read_bytes())
    vouched(path / "best", "config.json", "model.safetensors")


def everywhere(path: Path) -> None:
    """Two links to itself: 2⁴⁰ runs in each other."""
    (path / "a").symlink_to(".")
    (path / "b").symlink_to(".")


def with_set(path: Path) -> None:
    """A set of the teacher's answers that somebody has left there."""
    (path / "transfer" / "x").mkdir(parents=True)
    (path / "transfer" / "x" / "manifest.json").write_text(nested(100_000))


def elsewhere(name: str) -> Opened:
    return put(name, lambda path: path.symlink_to("../../elsewhere"))


def locked(path: Path) -> None:
    facts = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(facts | {"status": "running"}))
    os.mkfifo(path / ".lock")


RESULT = "evaluation-test.json"

PARTS = [
    row(
        "run with a pickle for its best weights",
        run(put=pickled_best),
        "model.safetensors cannot be read",
        open=command("evaluate", f"run={RUN}", "weights=best"),
    ),
    row("run whose metrics lie elsewhere", elsewhere("metrics.jsonl"), "metrics.jsonl is a link out of the run folder", open=resumed),
    row("run whose checkpoints lie elsewhere", elsewhere("checkpoint"), "checkpoint is a link out of the run folder", open=RESUMED),
    row("run whose lock lies elsewhere", elsewhere(".lock"), ".lock is a link out of the run folder", open=resumed),
    listed("run whose lock is a pipe", run(put=locked), "killed"),
    row("run with metrics of 5 GB", put("metrics.jsonl", empty_of(5 << 30)), "line 1 of metrics.jsonl is no record", open=LOOKED_AT),
    row(
        "run with deep metrics",
        put("metrics.jsonl", lambda path: path.write_text(nested(100_000) + "\n")),
        "line 1 of metrics.jsonl is no record",
        open=LOOKED_AT,
    ),
    listed("run with a result that is deep", put(RESULT, lambda path: path.write_text(nested(100_000)))),
    listed("run with a result of 10⁴⁰⁰", put(RESULT, lambda path: path.write_text(json.dumps({"schema": 1, "accuracy": {"top1": 10**400}})))),
    Hostile("run that holds itself twice", run(put=everywhere), LOOKED_AT, says="runs/run/model: a network, every byte as it was written"),
    Hostile("run that holds itself twice in a list", run(put=everywhere), LISTED, says="finished"),
    Hostile("run with a deep set to learn from", run(put=with_set), LEARNED_FROM, says="recorded 256 answers"),
]

HOSTILE = [*RECORDS, *STATES, *PARTS]
SOUND = [
    Hostile("a state", in_state(lambda f: {"step": 1}), state),
    Hostile("a run under way", run(record=lambda record: record.update(status="preempted")), RESUMED),
    Hostile("a run that is looked at", run(), LOOKED_AT),
    Hostile("a run with a result", put(RESULT, lambda path: path.write_text('{"schema": 1, "accuracy": {"top1": 0.5}}')), LISTED, says="50.00%"),
]
