"""Recordings that are killed and go on: what lies there after a kill must be whole, and the set at the end the same, byte for byte."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.children import KILLED, Child
from benchmarks.faults.programs import Program
from benchmarks.faults.world import World, content, fresh
from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.runs.files import sha256
from darkknowledge.transfer import verify

RECORDING = 0.85
"""The share of the kills that come after the recording itself has begun; the others come while the process starts."""


@dataclass(slots=True)
class Recorded:
    """What came of the kills."""

    phases: Counter[str] = field(default_factory=Counter)
    recordings: int = 0
    """That came to their end after one kill or more."""
    kept: int = 0
    """Shards that were finished at a kill."""
    unreadable: list[str] = field(default_factory=list)
    """Shards and sets that were not whole after a kill, and recordings that did not go on."""
    lost: list[str] = field(default_factory=list)
    """Shards that were finished at a kill and made again, or gone, after it."""
    other: list[str] = field(default_factory=list)
    """Files of the set at the end that are not those of an undisturbed recording."""
    leftovers: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kills": sum(self.phases.values()),
            "phases": dict(self.phases.most_common()),
            "recordings": self.recordings,
            "finished shards at the kills": self.kept,
            "lost states": len(self.lost),
            "lost": self.lost,
            "unreadable": self.unreadable,
            "not as undisturbed": self.other,
            "leftovers": sorted(self.leftovers),
        }


class Recordings:
    """A set that is recorded again and again, killed at random moments of the time that it takes."""

    def __init__(self, world: World, moments: random.Random, *, folder: Path | None = None) -> None:
        self.world, self.moments, self.seen = world, moments, Recorded()
        self.folder = fresh(folder or world.folder / "recording")
        child = self.start()
        self.there = self.wait_for_the_plan(child)
        if child.end() != 0:
            raise RuntimeError(f"an undisturbed recording failed: {child.message}")
        self.lasting, self.expected = child.seconds - self.there, content(self.folder)

    def start(self) -> Child | Program:
        """A process that records, or goes on."""
        return self.world.start(lambda tell: self.world.record(self.folder))

    def kill(self, count: int) -> Recorded:
        """Kill so many; a process that ends before is not counted."""
        while sum(self.seen.phases.values()) < count:
            fresh(self.folder)
            if (child := self.cut()).code == KILLED:
                self.go_on()
            elif child.code != 0:
                self.seen.unreadable.append(child.message[-500:])
        return self.seen

    def wait_for_the_plan(self, child: Child | Program) -> float:
        """Until the recording itself begins; the seconds since the start of the process."""
        while child.code is None and not (self.folder / "plan.json").exists():
            child.listen(0.002)
        return child.seconds

    def cut(self) -> Child | Program:
        """One process, killed somewhere: mostly while it records, else while it starts."""
        child = self.start()
        if self.moments.random() < RECORDING:
            self.wait_for_the_plan(child)
            child.listen(self.moments.uniform(0, self.lasting))
        else:
            child.listen(self.moments.uniform(0, self.there))
        if child.kill() == KILLED:
            self.note_kill()
        return child

    def note_kill(self) -> None:
        """Count a kill that just came."""
        self.seen.phases[phase_of(self.folder)] += 1

    def go_on(self) -> None:
        """Look at what lies there, and let it come to its end."""
        before = finished(self.folder)
        self.seen.kept += len(before)
        self.seen.unreadable += damaged(self.folder)
        if (child := self.start()).end() != 0:
            self.seen.unreadable.append(child.message[-500:])
            return
        after = finished(self.folder)
        self.seen.recordings += 1
        self.seen.lost += [name for name, found in before.items() if after.get(name) != found]
        found = content(self.folder)
        differing = {name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name)}
        self.seen.leftovers |= {name for name in differing if ".tmp-" in name}
        self.seen.other += sorted(name for name in differing if ".tmp-" not in name)


def finished(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """For each shard that has the file beside it which makes it count, inode and time of both."""
    names = sorted(path.with_suffix("") for path in folder.glob("shards/0*.json"))
    pairs = {path.name: [path.with_suffix(ending) for ending in (".arrow", ".json")] for path in names}
    return {name: [(path.stat().st_ino, path.stat().st_mtime_ns) for path in pair if path.exists()] for name, pair in pairs.items()}


def damaged(folder: Path) -> list[str]:
    """What of a recording that was killed is not whole: a shard that counts, or a set that has its manifest."""
    found = []
    for name in finished(folder):
        shard, beside = (folder / "shards" / f"{name}{ending}" for ending in (".arrow", ".json"))
        try:
            whole = sha256(shard) == json.loads(beside.read_bytes())["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        found += [] if whole else [f"{name}, which counts as finished"]
    if (folder / "manifest.json").exists() and not (folder / "plan.json").exists() and not list(folder.glob(".lock*")):
        try:
            verify(folder)
        except DarkKnowledgeError as error:
            found.append(str(error))
    return found


def phase_of(folder: Path) -> str:
    """How far a recording had come when it was killed."""
    if (folder / "manifest.json").exists():
        return "after the manifest"
    if not (folder / "plan.json").exists():
        return "before the plan"
    if list(folder.rglob(".*.tmp-*")):
        return "in the middle of a file"
    return "between two files"
