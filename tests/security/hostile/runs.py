"""Run folders whose ``config.yaml`` says what it should not."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

import darkknowledge
from darkknowledge import data, model
from darkknowledge.errors import DarkKnowledgeError, DataError, IntegrityError, UsageError
from darkknowledge.pipeline._materials import split_fingerprint
from darkknowledge.pipeline.settings import TrainSettings, validate
from security.hostile.file import DISTILL, TRAIN, Hostile, Opened, command, empty_of, made, nested, pickled

KIND = "Configurations of runs"

RUN = "runs/run"
MODEL = {"name": "hinton_mlp", "hidden": [2], "input_dropout": 0.0, "hidden_dropout": 0.0}
ASKED: dict[str, Any] = {"model": MODEL, "training": {"steps": 1, "threads": 1}, "logging": {"progress": False}}


def evaluated(folder: Path) -> object:
    return darkknowledge.evaluate(folder / RUN, cost=False, threads=1)


def resumed(folder: Path) -> object:
    return darkknowledge.train(**ASKED, out=folder / RUN, resume=True)


LISTED, LOOKED_AT = command("list"), command("verify", RUN)
EVALUATED = command("evaluate", f"run={RUN}", "cost=false", "threads=1")
RESUMED = command(*TRAIN[:-1], f"out={RUN}", "resume=true")
LEARNED_FROM = command(*DISTILL, f"teacher={RUN}", "teacher.check=false")


@functools.cache
def digits() -> data.Dataset:
    return data.load("digits")


@functools.cache
def settings() -> dict[str, Any]:
    return validate(TrainSettings, ASKED).model_dump(mode="json")


def _save(folder: Path) -> None:
    found = digits()
    built = model.build(
        "hinton_mlp", num_classes=10, input_shape=(1, 8, 8), mean=found.mean, std=found.std, class_names=found.class_names, hidden=[2]
    )
    model.save(built, folder)


def run(
    config: Callable[[dict[str, Any]], object] = bool,
    record: Callable[[dict[str, Any]], object] = bool,
    *,
    text: str | None = None,
    says: str | None = None,
    put: Callable[[Path], object] = bool,
) -> Opened:
    """A finished run on the digits, with changes to its configuration, its record, their texts and its folder."""

    def build(folder: Path) -> None:
        path, found = folder / RUN, digits()
        made(_save, path / "model")
        values = json.loads(json.dumps(settings()))
        config(values)
        (path / "config.yaml").write_text(yaml.safe_dump(values) if text is None else text)
        facts = {"schema": 1, "kind": "train", "status": "finished", "started": "2026-11-21T08:00:00+0000"}
        facts |= {"data_fingerprint": found.fingerprint, "split_fingerprint": split_fingerprint(found), "validation": {"last": None, "best": None}}
        record(facts)
        (path / "run.json").write_text(json.dumps(facts) if says is None else says)
        put(path)

    return build


def put(name: str, make: Callable[[Path], object]) -> Opened:
    """A run of which a part is something else."""

    def replace(path: Path) -> None:
        if (path / name).exists():
            (path / name).rename(path.parents[1] / "moved")
        make(path / name)

    return run(put=replace)


def of_data(**values: Any) -> Opened:
    return run(lambda config: config["data"].update(values))


def of_teacher(*source: Any) -> Opened:
    return run(lambda config: config.update(teacher={"source": source}))


def of_checkpoint(folder: Path) -> None:
    """A teacher whose weights are a pickle beside the run."""
    of_teacher({"name": "hinton_mlp", "hidden": [2], "checkpoint": "w.pt"})(folder)
    (folder / "w.pt").write_bytes(pickled(folder))


LARGE = {"name": "hinton_mlp", "hidden": [1 << 17, 1 << 17]}


def of_small_checkpoint(folder: Path) -> None:
    """A teacher of billions of numbers, whose weights are those of the run."""
    place = f"{RUN}/model/model.safetensors"
    of_teacher({**LARGE, "checkpoint": place})(folder)


def laughing(line: str) -> Opened:
    """Nine lists, each holding the one before it nine times: 3.8 × 10⁸ values, and then where they are used."""
    lines = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 9)]
    return run(text="\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *lines, line]))


def merging(depth: int) -> Opened:
    """Mappings, each merged from the one before it nine times, before anybody looks at what they hold."""
    lines = [f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 9)}]}}" for number in range(1, depth)]
    return run(text="\n".join(["a0: &a0 {x: 1}", *lines]))


def row(name: str, build: Opened, says: str, refused: type[DarkKnowledgeError] = IntegrityError, open: Opened = evaluated) -> Hostile:
    return Hostile(f"run {name}", build, open, refused, says)


TAG = "config.yaml cannot be read: could not determine a constructor for the tag"
ALIAS = "config.yaml cannot be read: an alias stands for a part of it"
CODE = "which is not imported on the word of a file"
NO_FILE = "config.yaml cannot be read: it is no file of at most 262,144 bytes"
NO_ANSWER = "no agreement with the teacher for runs/run: "
MAKES = run(text="!!python/object/apply:os.system ['touch RAN']")

TEXTS = [
    row("that makes objects", MAKES, TAG),
    row("that makes objects, evaluated", MAKES, TAG, open=EVALUATED),
    row("that makes objects, gone on with", MAKES, TAG, open=RESUMED),
    row("that makes an object of its data", run(text="data: !!python/object/new:os.system ['touch RAN']"), TAG),
    row("that names a function", run(text="data: {name: !!python/name:os.system }"), TAG),
    Hostile("run that imports a module", run(text="data: !!python/module:ran"), LISTED, says="damaged"),
    row("of a billion values", laughing("data: {name: *a8}"), ALIAS),
    row("of a billion values to go on with", laughing("data: *a8"), ALIAS, open=resumed),
    row("of a billion values that are merged", merging(10), ALIAS),
    Hostile("run of a billion values in a list", laughing("data: {name: *a8}\nmodel: {name: *a8}\ntraining: {seed: *a8}"), LISTED, says="damaged"),
    row("that holds itself", run(text="&a\ndata: *a\n"), ALIAS),
    row("that is deep", run(text=nested(20_000)), "config.yaml cannot be read: maximum recursion depth exceeded"),
    row("of sixty numbers in one", run(text=f"data: 1{':1' * 30_000}.0"), "config.yaml cannot be read: int too large"),
    row("with a name of 60,000 digits", run(text=f"data: {{name: 0x{'f' * 50_000}}}"), "config.yaml cannot be read: Exceeds the limit"),
    row("with a date for a name", run(text="data: {name: 2026-11-21}"), "config.yaml cannot be read: Object of type date is not JSON"),
    row("that is a list", run(text="[1, 2]"), "config.yaml is no configuration"),
    row("that says nothing", run(text=""), "config.yaml is no configuration"),
    row("with a configuration of 5 GB", put("config.yaml", empty_of(5 << 30)), NO_FILE),
    row("with a configuration that is a pipe", put("config.yaml", os.mkfifo), NO_FILE),
    row("without data", run(text="data: 5"), "config.yaml does not say which data the run was trained on"),
]

DATA = [
    row("with _target_ in its data", of_data(_target_="os.system"), "config.yaml does not describe the data of the run"),
    row("with data of a module in the folder", of_data(name="ran:load"), CODE, UsageError),
    row("with data of a module, evaluated", of_data(name="ran:load"), CODE, UsageError, EVALUATED),
    row("with a recipe of a module in the folder", of_data(augment="ran:recipe"), CODE, UsageError),
    row("that reads the environment", of_data(name="mnist", root="${oc.env:HOME}"), "the data folder ${oc.env:HOME} does not exist", DataError),
    row("that wants to download", of_data(name="mnist", root="nowhere", download=True), "the data folder nowhere does not exist", DataError),
    row("with a path with an end of text", of_data(name="mnist", root="a\0b"), "does not exist", DataError),
]

TEACHERS = [
    row("with a teacher of a module in the folder", of_teacher("ran:Net"), CODE, UsageError),
    row("with a teacher built by a module", of_teacher({"name": "ran:Net"}), CODE, UsageError),
    row("with a teacher that is no teacher", run(lambda config: config.update(teacher="ran")), "config.yaml does not describe the teacher"),
    Hostile("run with a teacher from the hub", of_teacher("timm:hf-hub:stranger/network"), EVALUATED, says=NO_ANSWER),
    Hostile("run with a teacher that is published", of_teacher({"name": "torchvision:resnet18", "pretrained": True}), EVALUATED, says=NO_ANSWER),
    Hostile("run with a teacher of a trillion units", of_teacher({"name": "hinton_mlp", "hidden": [1 << 40]}), EVALUATED, says=NO_ANSWER),
    Hostile(
        "run with a teacher larger than its weights", of_small_checkpoint, EVALUATED, says=f"{NO_ANSWER}the network that is described is far larger"
    ),
    Hostile(
        "run with a teacher whose end is not in its weights",
        of_teacher({**LARGE, "checkpoint": f"{RUN}/model/model.safetensors", "head": "replace"}),
        EVALUATED,
        says=f"{NO_ANSWER}not all of its weights lie in a file",
    ),
    Hostile("run with a teacher that is a pickle", of_checkpoint, EVALUATED, says=f"{NO_ANSWER}w.pt holds Python objects"),
    Hostile(
        "run with a teacher in a secret",
        of_teacher({"name": "hinton_mlp", "checkpoint": "/etc/passwd"}),
        EVALUATED,
        says=f"{NO_ANSWER}passwd is damaged",
    ),
]

HOSTILE = [*TEXTS, *DATA, *TEACHERS]
SOUND = [
    Hostile("a run", run(), evaluated),
    Hostile("a run for a command", run(), EVALUATED),
    Hostile("a run to go on with", run(), resumed),
    Hostile("a run in a list", run(), LISTED, says="finished"),
    Hostile("a run to learn from", run(), LEARNED_FROM),
]
