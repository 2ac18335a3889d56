"""Trainings and recordings whose disk fills up, half of them killed as well: old files intact, exit code 5, and after room was made all goes on."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.faults.children import KILLED, Child
from benchmarks.faults.disk import Disk, small_disk
from benchmarks.faults.kills_recording import Recordings
from benchmarks.faults.kills_training import SPAN, Trainings
from benchmarks.faults.programs import Program
from benchmarks.faults.world import World, fresh, leftovers
from darkknowledge.errors import ResourceError

FULL = ResourceError.exit_code


class Filling:
    """What both have in common: how processes ended on the full disk."""

    def __init__(self, disk: Disk, moments: random.Random) -> None:
        self.disk, self.moments = disk, moments
        self.ends: dict[str, Counter[int]] = {"as it filled up": Counter(), "started while it was full": Counter(), "after room was made": Counter()}
        self.unclear: list[str] = []

    def fill(self, child: Child | Program, spare: int, *, within: float) -> None:
        """Take the space until the child ends by itself; or, in every other case, until it is killed."""
        until = child.seconds + self.moments.uniform(0, within) if self.moments.random() < 0.5 else float("inf")
        while child.code is None:
            self.disk.fill(child, spare)
            child.listen(0.002)
            if child.seconds > until:
                child.kill()
        self.note("as it filled up", child)

    def note(self, when: str, child: Child | Program) -> None:
        """Count how it ended; the message of exit code 5 must say what could not be written, without a traceback."""
        self.ends[when][child.end()] += 1
        if child.code not in (0, KILLED) and (child.code != FULL or "Traceback" in child.message or "fix:" not in child.message):
            self.unclear.append(child.message[-500:])

    def as_json(self, cases: int, seen: dict[str, Any]) -> dict[str, Any]:
        """Plain data."""
        ends = {when: {str(code): count for code, count in sorted(codes.items())} for when, codes in self.ends.items()}
        return {"cases": cases, "how": self.disk.how, "exit codes": ends, "unclear messages": self.unclear, **seen}


def full_while_training(world: World, cases: int, moments: random.Random) -> dict[str, Any]:
    """The disk fills up while states are saved."""
    with small_disk(world.folder / "disk") as disk:
        filling, trainings = Filling(disk, moments), Trainings(world, moments, folder=disk.path / "training")
        for _ in range(cases):
            fresh(trainings.folder)
            child = trainings.start()
            child.hear("saved")
            child.listen(moments.uniform(0, SPAN * trainings.reference.step))
            filling.fill(child, int(moments.uniform(0, 0.9) * largest_state(trainings.folder)), within=trainings.reference.step)
            if child.code == KILLED:
                trainings.judge(child)
            else:  # whoever is refused has time to tidy up
                trainings.seen.leftovers |= {*leftovers(trainings.folder)}
                trainings.listen_to(child)
            again = trainings.start()
            disk.fill(again, 0)
            filling.note("started while it was full", again)
            trainings.listen_to(again)
            disk.free()
            last = trainings.start()
            filling.note("after room was made", last)
            trainings.listen_to(last)
            trainings.judge_the_end(last)
        return filling.as_json(cases, trainings.seen.as_json())


def largest_state(folder: Path) -> int:
    """Bytes of the largest saved state, while a training replaces them."""
    sizes = [0]
    for path in (folder / "checkpoint").glob("*.pt"):
        with suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def full_while_recording(world: World, cases: int, moments: random.Random) -> dict[str, Any]:
    """The disk fills up while shards are written."""
    with small_disk(world.folder / "disk") as disk:
        filling, recordings = Filling(disk, moments), Recordings(world, moments, folder=disk.path / "recording")
        for _ in range(cases):
            fresh(recordings.folder)
            child = recordings.start()
            recordings.wait_for_the_plan(child)
            child.listen(moments.uniform(0, 0.7 * recordings.lasting))
            filling.fill(child, int(moments.uniform(0, 10_000)), within=0.05 * recordings.lasting)
            if child.code == KILLED:
                recordings.note_kill()
            else:
                recordings.seen.leftovers |= {*leftovers(recordings.folder)}
            again = recordings.start()
            disk.fill(again, 0)
            filling.note("started while it was full", again)
            disk.free()
            recordings.go_on()
        filling.ends["after room was made"][0] = recordings.seen.recordings
        return filling.as_json(cases, recordings.seen.as_json())
