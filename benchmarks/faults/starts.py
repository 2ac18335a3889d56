"""Many trainings that start within one second in the same place, and two on one folder."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import yaml

import darkknowledge
from benchmarks.faults.children import Job, Tell
from benchmarks.faults.kills_training import SPAN, Reference
from benchmarks.faults.telling import training
from benchmarks.faults.world import NETWORK, QUIET, World, fresh
from darkknowledge.errors import BusyError
from darkknowledge.runs.folder import RunFolder


def together(world: World, count: int) -> dict[str, Any]:
    """So many trainings in folders of their own choosing, all begun at the same moment."""
    place = fresh(world.folder / "together")
    place.mkdir()
    children = [world.start(starting(world, place, seed)) for seed in range(count)]
    for child in children:
        child.hear("ready")
    (place / "go").touch()
    codes = [child.end() for child in children]
    made = [child.said_already("made") for child in children]
    times = sorted(float(word.values[1]) for word in made if word)
    own = sum(word is not None and seed_of(place / word.values[0]) == seed for seed, word in enumerate(made))
    return {
        "starts": count,
        "folders": len({word.values[0] for word in made if word}),
        "lie there": len(list((place / "runs").glob("*/run.json"))),
        "with their own configuration": own,
        "finished": sum(json.loads(path.read_text())["status"] == "finished" for path in place.glob("runs/*/run.json")),
        "exit codes": {str(code): codes.count(code) for code in sorted({*codes})},
        "seconds between the first folder and the last": round(times[-1] - times[0], 3) if times else None,
        "messages": [child.message[-500:] for child in children if child.code],
    }


def starting(world: World, place: Path, seed: int) -> Job:
    """A training of a step that waits, just before its folder is made, until all of them are there; it tells where it was made and when."""

    def job(tell: Tell) -> None:
        os.chdir(place)
        create = RunFolder.create

        def telling(*arguments: Any, **named: Any) -> RunFolder:
            tell("ready")
            while not (place / "go").exists():
                time.sleep(0.001)
            made = create(*arguments, **named)
            tell("made", made.path, time.monotonic())
            return made

        RunFolder.create = telling  # type: ignore[method-assign]
        darkknowledge.train(NETWORK, world.data, training={"steps": 1, "threads": 1, "seed": seed}, logging=QUIET)

    return job


def seed_of(folder: Path) -> int:
    """The seed of the run in a folder."""
    return int(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["training"]["seed"])


def two_on_one_folder(world: World, pairs: int, moments: random.Random, *, reference: Reference | None = None) -> dict[str, Any]:
    """A second process on the folder of a training or a recording at work: it must exit with 7, name the first, and not disturb it."""
    folder = world.folder / "shared"
    reference = reference or Reference.of(world, fresh(folder))
    refused = undisturbed = 0
    faults: list[str] = []
    for number in range(pairs):
        fresh(folder)
        job = training(world, folder) if number % 2 == 0 else lambda tell: world.record(folder)
        holder = world.start(job)
        while not (folder / ".lock").exists() or not (folder / ".lock").read_bytes():
            holder.listen(0.001)
        holder.listen(moments.uniform(0, SPAN * reference.step if number % 2 == 0 else reference.step))  # a recording is soon over
        holder.send(signal.SIGSTOP)  # however long the second one takes
        late = world.start(job)
        late.end()
        holder.send(signal.SIGCONT)
        holder.end()
        if late.code == BusyError.exit_code and f'"pid": {holder.pid}' in late.message and "Traceback" not in late.message:
            refused += 1
        else:
            faults.append(f"exit code {late.code}: {late.message[-300:]}")
        finished = holder.last("finished")
        undisturbed += holder.code == 0 and (finished is None or finished.values == (reference.weights,))
    return {"pairs": pairs, "refused, with the holder's name": refused, "holders undisturbed": undisturbed, "faults": faults}
