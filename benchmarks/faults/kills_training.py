"""Trainings that are killed while they save a state at every step, one after the other in the same folder; each start judges the kill before it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.faults.children import KILLED, Child, Word
from benchmarks.faults.telling import training
from benchmarks.faults.world import World, content, fresh

AIMS = {"start": 3, "saving": 14, "end": 3}
"""Of twenty kills so many come between the start of a process and its first step, while it trains, and after its last state."""
SPAN = 6
"""Saves over which the kills of one process are spread."""

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reference:
    """A training that nobody disturbed: the digest of the state at each place in order, the network, its files, and how long its parts took."""

    digests: dict[Place, str]
    weights: str
    files: tuple[str, ...]
    start: float
    """Seconds until the first step, """
    step: float
    """from one saved state to the next, """
    saving: float
    """of which one is being saved, """
    end: float
    """and after the last."""

    @classmethod
    def of(cls, world: World, folder: Path) -> Reference:
        """Train once."""
        child = world.start(training(world, folder))
        if child.end() != 0:
            raise RuntimeError(f"an undisturbed training failed: {child.message}")
        begins, *saved = [word for word in child.words if word.name in ("begins", "saved")]
        finished = child.hear("finished")
        assert finished is not None
        digests = {word.place: word.values[2] for word in (begins, *saved)}
        step = (saved[-1].at - begins.at) / len(saved)
        saving = median(end.at - word.at for word, end in zip((word for word in child.words if word.name == "saving"), saved, strict=True))
        return cls(digests, finished.values[0], files_of(folder), begins.at, step, saving, child.seconds - saved[-1].at)

    def apart(self, before: Place, after: Place) -> int:
        """Saves by which ``after`` lies behind ``before``; below 0 where it is ahead."""
        order = list(self.digests)
        return order.index(before) - order.index(after)


@dataclass(slots=True)
class Seen:
    """What came of the kills."""

    phases: Counter[str] = field(default_factory=Counter)
    """Kills by what was going on."""
    judged: int = 0
    """Starts that went on from what lay there, or found it finished."""
    saves_back: Counter[int] = field(default_factory=Counter)
    """By how many saves a start went back behind the last state that was saved before the kill."""
    unreadable: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    """States and networks that are not those of the undisturbed training."""
    leftovers: set[str] = field(default_factory=set)
    """Temporary files of killed processes that lie there after the first save, or at the end, of a later one."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kills": sum(self.phases.values()),
            "phases": dict(self.phases.most_common()),
            "starts judged": self.judged,
            "saves back": {str(back): count for back, count in sorted(self.saves_back.items())},
            "lost states": sum(count for back, count in self.saves_back.items() if back > 0),
            "unreadable": self.unreadable,
            "not as undisturbed": self.other,
            "leftovers": sorted(self.leftovers),
        }


class Trainings:
    """One folder after the other, in each of which a training is killed and started until it comes to its end."""

    def __init__(self, world: World, moments: random.Random, *, folder: Path | None = None, reference: Reference | None = None) -> None:
        self.world, self.moments, self.seen = world, moments, Seen()
        self.folder = folder or world.folder / "training"
        self.reference = reference or Reference.of(world, fresh(self.folder))
        self.durable: Place | None = None

    def kill(self, count: int) -> Seen:
        """Kill so many; a process that ends before is not counted. Then let the last one come to its end."""
        fresh(self.folder)
        aims = [aim for aim, weight in AIMS.items() for _ in range(weight)]
        while sum(self.seen.phases.values()) < count:
            self.judge(self.once(self.moments.choice(aims)))
        if self.folder.exists():
            self.judge(self.once(None))
        return self.seen

    def start(self) -> Child:
        """A process that trains, or goes on."""
        return self.world.start(training(self.world, self.folder))

    def once(self, aim: str | None) -> Child:
        """One process, killed where it was aimed at, or not at all."""
        child, reference = self.start(), self.reference
        if aim == "start":
            child.listen(self.moments.uniform(0, reference.start))
        elif aim == "saving" and self.hear_of_a_save(child):
            child.listen(self.moments.uniform(0, 1.2 * reference.saving))
        elif aim == "end" and self.hear_of_the_last_state(child):
            child.listen(self.moments.uniform(0, reference.end))
        if aim is None:
            child.end()
        else:
            child.kill()
        return child

    def hear_of_a_save(self, child: Child) -> bool:
        """Wait until one of the next few states is being saved; whether it came to that."""
        count = self.moments.randint(1, SPAN)
        while child.code is None and sum(word.name == "saving" for word in child.words) < count:
            child.listen(0.002)
        return child.code is None

    def hear_of_the_last_state(self, child: Child) -> bool:
        """Wait for it; whether it came."""
        last = list(self.reference.digests)[-1]
        while child.code is None and not ((word := child.last("saved", "begins")) and word.place == last):
            child.listen(0.002)
        return child.code is None

    def judge(self, child: Child) -> None:
        """Look at how a process began, and at how it ended."""
        self.listen_to(child)
        if child.code == KILLED:
            self.seen.phases[phase_of(child, list(self.reference.digests)[-1])] += 1
        else:
            self.judge_the_end(child)

    def listen_to(self, child: Child) -> None:
        """What it told of the state that it went on from, of the last that it saved, and of what lies about."""
        if begins := child.said_already("begins"):
            self.compare(begins)
        for word in child.words:
            if word.name == "left":
                self.seen.leftovers |= {*word.values}
        if saved := child.last("saved"):
            self.durable = saved.place

    def judge_the_end(self, child: Child) -> None:
        """Look at a run that was not killed, and take it away."""
        self.seen.judged += child.said_already("begins") is None
        if child.code != 0:
            self.seen.unreadable.append(child.message[-500:])
        elif (finished := child.last("finished")) is None or finished.values[0] != self.reference.weights:
            self.seen.other.append("the finished network")
        elif (found := files_of(self.folder)) != self.reference.files:
            self.seen.other.append(f"the files of the finished run: {sorted({*found} ^ {*self.reference.files})}")
        fresh(self.folder)
        self.durable = None

    def compare(self, begins: Word) -> None:
        """The state that a process went on from, with what was durable before and with the undisturbed training."""
        self.seen.judged += 1
        known = self.reference.digests.get(begins.place)
        if known != begins.values[2]:
            self.seen.other.append(f"the state at {begins.place}")
        if known is not None and self.durable is not None:
            self.seen.saves_back[max(0, self.reference.apart(self.durable, begins.place))] += 1


def phase_of(child: Child, last: Place) -> str:
    """What a process was doing when it was killed."""
    word = child.last("begins", "saving", "saved", "finished")
    if word is None:
        return "starting"
    if word.name == "saving":
        return "saving a state"
    if word.name == "finished" or word.place == last:
        return "ending, after the last state"
    return "between two states"


def files_of(folder: Path) -> tuple[str, ...]:
    """The names of all files, hidden ones too; those of writers that were killed are counted elsewhere."""
    return tuple(sorted(name for name in content(folder) if ".tmp-" not in name))
