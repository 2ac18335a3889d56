"""Recordings that are killed: forked children at random moments and at exact ones, and whole ``dk record`` processes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults_world import KILLED, World, content, ended, finished, forked, fresh, phase

VIEWS, SHARD_ROWS = 16, 1024
SYSTEM_CALLS = ("fsync", "replace", "unlink", "mkdir", "open", "close", "ftruncate", "pwrite")
"""The functions of `os` by which a recording changes the disk (`pathlib` calls them too)."""


@dataclass(frozen=True)
class Outcome:
    """A recording that was killed once and then went on: whether the bytes are those of an undisturbed one, and what was done twice."""

    phases: tuple[str, ...]
    same_bytes: bool
    shards_kept: int
    shards_touched: int
    most_rows_redone: int


def judged(folder: Path, expected: dict[str, bytes], before: dict[str, tuple[int, int]], phases: Sequence[str], redone: Sequence[int]) -> Outcome:
    after = finished(folder)
    touched = sum(after.get(name) != found for name, found in before.items())
    return Outcome(tuple(phases), content(folder) == expected, len(before) // 2, touched, max(redone, default=0))


def summary(outcomes: Sequence[Outcome], shard_rows: int) -> dict[str, Any]:
    """What the JSON says of many outcomes."""
    return {
        "kills": sum(len(each.phases) for each in outcomes),
        "recordings": len(outcomes),
        "final_bytes_identical": sum(each.same_bytes for each in outcomes),
        "finished_shards_at_the_kill": sum(each.shards_kept for each in outcomes),
        "files_of_finished_shards_touched_later": sum(each.shards_touched for each in outcomes),
        "shard_rows": shard_rows,
        "most_rows_a_writer_asked_twice": max(each.most_rows_redone for each in outcomes),
        "phases": dict(Counter(name for each in outcomes for name in each.phases).most_common()),
    }


class Writers:
    """Children that record the parts of one set, each with a teacher that counts its own rows."""

    def __init__(self, world: World, folder: Path, parts: int, *, pause: float) -> None:
        self.world, self.folder, self.parts = world, folder, parts
        self.teachers = [world.teacher(pause=pause) for _ in range(parts)]

    def start(self) -> list[int]:
        return [forked(lambda index=index: self.work(index), self.world.folder / "said.txt") for index in range(self.parts)]  # type: ignore[misc]

    def work(self, index: int) -> None:
        shard = f"{index + 1}/{self.parts}" if self.parts > 1 else None
        self.world.record(self.teachers[index], self.folder, views=VIEWS, shard_rows=SHARD_ROWS, shard=shard)

    def redone(self) -> list[int]:
        """Rows that each writer asked its teacher about beyond those of its part."""
        rows = VIEWS * len(self.world.data.train)
        sizes = [min(SHARD_ROWS, rows - start) for start in range(0, rows, SHARD_ROWS)]
        return [int(teacher.rows) - sum(sizes[index :: self.parts]) for index, teacher in enumerate(self.teachers)]


def at_random(world: World, kills: int, parts: int, moments: random.Random) -> list[Outcome]:
    """Kill all writers of a recording, each at a moment of its own between its start and its undisturbed end; go on, and look."""
    expected, lasting = undisturbed(world, parts)
    outcomes: list[Outcome] = []
    while sum(len(each.phases) for each in outcomes) < kills:
        writers = Writers(world, fresh(world.folder / "set"), parts, pause=0.004)
        phases = killed(writers, sorted(moments.uniform(0, lasting) for _ in range(parts)))
        before = finished(writers.folder)
        if not phases:
            continue
        assert [ended(child) for child in writers.start()] == [0] * parts
        outcomes.append(judged(writers.folder, expected, before, phases, writers.redone()))
    return outcomes


def undisturbed(world: World, parts: int) -> tuple[dict[str, bytes], float]:
    """The bytes of a whole recording, and the seconds that so many writers take for it."""
    writers = Writers(world, fresh(world.folder / "whole"), parts, pause=0.004)
    began = time.monotonic()
    assert [ended(child) for child in writers.start()] == [0] * parts
    lasting = time.monotonic() - began
    whole = Writers(world, fresh(world.folder / "whole"), 1, pause=0)
    assert [ended(child) for child in whole.start()] == [0]
    return content(whole.folder), lasting


def killed(writers: Writers, delays: Sequence[float]) -> list[str]:
    """The phases in which the kills came; a writer that had ended before does not count."""
    children, began, phases = writers.start(), time.monotonic(), []
    for child, delay in zip(children, delays, strict=True):
        time.sleep(max(0.0, began + delay - time.monotonic()))
        os.kill(child, signal.SIGKILL)
        if ended(child) == KILLED:
            phases.append(phase(writers.folder))
    return phases


class Fuse:
    """Kills the process that it is lit in just before or just after its n-th system call that changes the disk."""

    def __init__(self, call: int, *, after: bool) -> None:
        self.left, self.after = call, after

    def light(self) -> None:
        for name in SYSTEM_CALLS:
            setattr(os, name, self._burning(getattr(os, name)))

    def _burning(self, function: Any) -> Any:
        def burning(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return function(*arguments, **named)
            finally:  # a call may fail, such as one that removes what is not there
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        return burning


def at_every_call(world: World, parts: int) -> dict[str, Any]:
    """Die at the first call, the second and so on until a recording comes through; with ``parts`` the others work undisturbed meanwhile."""
    options = {"views": 2, "shard_rows": 512}
    world.record(world.teacher(), fresh(world.folder / "whole"), **options)
    expected, outcomes, call = content(world.folder / "whole"), [], 0
    while True:
        call += 1
        done = [_once(world, Fuse(call, after=after), parts, expected, options) for after in (False, True)]
        if None in done:
            return summary([each for each in outcomes if each], 512) | {"calls": call - 1, "at": "before and after each call"}
        outcomes += done


def _once(world: World, fuse: Fuse, parts: int, expected: dict[str, bytes], options: dict[str, Any]) -> Outcome | None:
    """What came of one fuse; None if the recording ended before it burned down."""
    folder, said = fresh(world.folder / "set"), world.folder / "said.txt"
    shards = [f"{index + 1}/{parts}" if parts > 1 else None for index in range(parts)]
    teachers = [world.teacher() for _ in shards]

    def work(index: int, *, lit: bool) -> None:
        if lit:
            fuse.light()
        world.record(teachers[index], folder, shard=shards[index], **options)

    first = [forked(lambda index=index: work(index, lit=index == 0), said) for index in range(parts)]  # type: ignore[misc]
    codes = [ended(child) for child in first]
    if codes[0] != KILLED:
        return None
    stage, before = phase(folder), finished(folder)
    assert [ended(forked(lambda index=index: work(index, lit=False), said)) for index in range(parts)] == [0] * parts  # type: ignore[misc]
    rows = options["views"] * len(world.data.train)
    return judged(folder, expected, before, [stage], [sum(int(teacher.rows) for teacher in teachers) - rows])
