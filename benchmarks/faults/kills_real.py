"""Whole ``dk train`` and ``dk record`` processes that are killed: as the children, but seen from outside alone."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.faults.children import KILLED
from benchmarks.faults.kills_recording import Recordings
from benchmarks.faults.kills_training import Reference, Seen, files_of
from benchmarks.faults.programs import Program, dk
from benchmarks.faults.telling import digest_of_state
from benchmarks.faults.world import NETWORK, TRAINING, World, digest, fresh, leftovers
from darkknowledge import model
from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.training.checkpoint import load_state

VIEWS, SHARD_ROWS = 64, 4096
"""74,688 rows in 19 files, so that a recording takes about as long as the program's start."""
SPAN = 2.0
"""Seconds after the first record of a step over which the kills of a training are spread."""


class RealRecordings(Recordings):
    """``dk record``."""

    def __init__(self, world: World, moments: random.Random, *, teacher: Path) -> None:
        self.teacher = teacher
        super().__init__(world, moments)

    def start(self) -> Program:
        """A process that records, or goes on."""
        options = [f"teacher={self.teacher}", "data.augment=jitter", f"views={VIEWS}", f"shard_rows={SHARD_ROWS}", "threads=1", "progress=false"]
        return dk(self.world, "record", *options, f"out={self.folder}")


class RealTrainings:
    """``dk train`` in one folder after the other, killed and started until it comes to its end."""

    def __init__(self, world: World, moments: random.Random, reference: Reference) -> None:
        self.world, self.moments, self.reference, self.seen = world, moments, reference, Seen()
        self.folder = fresh(world.folder / "real-training")
        self.least = (0, 0)
        """The place of the state that was there after the last kill."""

    def start(self) -> Program:
        """A process that trains, or goes on."""
        network = [f"model.{name}={str(value).replace(' ', '')}" for name, value in NETWORK.items() if name != "name"]
        recipe = [f"training.{name}={value}" for name, value in TRAINING.items()]
        options = [*network, *recipe, "data.augment=jitter", "logging.progress=false", "resume=true"]
        return dk(self.world, "train", *options, f"out={self.folder}")

    def kill(self, count: int) -> Seen:
        """Kill so many, three of four while they train; then let the last one come to its end."""
        while sum(self.seen.phases.values()) < count:
            process = self.start()
            if self.moments.random() < 0.75:
                self.wait_for_steps(process)
                process.listen(self.moments.uniform(0, SPAN))
            else:
                process.listen(self.moments.uniform(0, 3.0))
            process.kill()
            self.judge(process)
        if self.folder.exists():
            process = self.start()
            process.end()
            self.judge(process)
        return self.seen

    def wait_for_steps(self, process: Program) -> None:
        """Until there is a record of a step that was not there before."""
        before = self.steps()
        while process.code is None and self.steps() <= before:
            process.listen(0.002)
        self.seen.leftovers |= {name for name in leftovers(self.folder) if f".tmp-{process.process.pid}-" not in name}

    def steps(self) -> int:
        """The last step that metrics.jsonl has a record of."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return int(json.loads(lines[-1])["step"]) if lines else 0

    def judge(self, process: Program) -> None:
        """Look at what lies there."""
        if process.code == KILLED:
            self.seen.phases[self.phase()] += 1
            self.look()
            return
        self.seen.judged += 1
        if process.code != 0:
            self.seen.unreadable.append(process.message[-500:])
        elif digest(model.load(self.folder / "model").state_dict()) != self.reference.weights:
            self.seen.other.append("the finished network")
        elif (found := files_of(self.folder)) != self.reference.files:
            self.seen.other.append(f"the files of the finished run: {sorted({*found} ^ {*self.reference.files})}")
        self.seen.leftovers |= {*leftovers(self.folder)}
        fresh(self.folder)
        self.least = (0, 0)

    def look(self) -> None:
        """Load the newest state from a copy, and compare it with what must be there and with the undisturbed training."""
        checkpoint, copy = self.folder / "checkpoint", fresh(self.world.folder / "copy")
        if (self.folder / "model").exists() and not checkpoint.exists():
            return  # about to end: the next start shows what it makes of it
        try:
            state = load_state(Path(shutil.copytree(checkpoint, copy))) if checkpoint.exists() else None
        except DarkKnowledgeError as error:
            self.seen.unreadable.append(str(error))
            return
        place = (state["step"], state["epochs_done"]) if state else (0, 0)
        if state is not None and self.reference.digests.get(place) != digest_of_state(state):
            self.seen.other.append(f"the state at {place}")
        self.seen.judged += 1
        self.seen.saves_back[max(0, max(self.least[0], self.steps() - 1) - place[0])] += 1
        self.least = place

    def phase(self) -> str:
        """What lies about tells what it was doing."""
        if (self.folder / "model").exists():
            return "ending, after the last state"
        if not (self.folder / "checkpoint").exists():
            return "starting"
        return "saving a state" if list((self.folder / "checkpoint").glob(".*.tmp-*")) else "between two states"


def kill_programs(world: World, count: int, moments: random.Random) -> dict[str, Any]:
    """Half of them ``dk train``, half ``dk record``."""
    reference = Reference.of(world, fresh(world.folder / "teacher"))
    trainings = RealTrainings(world, moments, reference).kill(count - count // 2).as_json()
    recordings = RealRecordings(world, moments, teacher=world.folder / "teacher").kill(count // 2).as_json()
    return {"dk train": trainings, "dk record": recordings}
