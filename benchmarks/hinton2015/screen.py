"""What is seen of many jobs: on a terminal a bar with the time that is left, and anywhere a line for each job that is done."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from benchmarks.hinton2015.jobs import Job, Place
from darkknowledge.runs.files import read_json

MINUTE = 60
FEW = 4
"""Students of a group whose errors are all told."""


class Estimate:
    """How much is done, and how long the rest takes with so many processes.

    A job's own ``work`` is a guess in seconds; by how much the guesses are off is learned from the jobs that were begun and ended here. One that
    went on from a saved state says nothing about that.
    """

    def __init__(self, jobs: Iterable[Job], *, processes: int) -> None:
        self._waiting = {job.name: job.work for job in jobs}
        self._processes = processes
        self._whole = sum(self._waiting.values()) or 1.0
        self._done = 0.0
        self._began: dict[str, float] = {}
        self._work: dict[str, float] = {}
        self._resumed: set[str] = set()
        self._took, self._guessed = 0.0, 0.0

    def begun(self, job: Job, now: float, *, resumed: bool) -> None:
        """It is under way."""
        self._began[job.name], self._work[job.name] = now, self._waiting.pop(job.name, job.work)
        if resumed:
            self._resumed.add(job.name)

    def put_back(self, job: Job) -> None:
        """It is not, after all."""
        del self._began[job.name]
        self._waiting = {job.name: self._work.pop(job.name), **self._waiting}

    def ended(self, job: Job, now: float, *, well: bool) -> None:
        """It is over, or was left out."""
        self._done += self._work.get(job.name, job.work)
        self._waiting.pop(job.name, None)
        guess, began = self._work.pop(job.name, None), self._began.pop(job.name, None)
        if well and guess is not None and began is not None and job.name not in self._resumed:
            self._took, self._guessed = self._took + now - began, self._guessed + guess

    def share(self, now: float) -> float:
        """Of the whole work, what is done: in [0, 1]."""
        under_way = sum(self._work[name] - self._left_of(name, now) / self._factor for name in self._began)
        return min((self._done + under_way) / self._whole, 1.0)

    def seconds_left(self, now: float) -> float:
        """Until the last process is done, if each takes the next job as soon as it is free."""
        busy = [self._left_of(name, now) for name in self._began]
        ends = busy + [0.0] * (self._processes - len(busy))
        heapq.heapify(ends)
        for work in self._waiting.values():
            heapq.heapreplace(ends, ends[0] + work * self._factor)
        return max(ends)

    @property
    def _factor(self) -> float:
        return self._took / self._guessed if self._guessed and self._took else 1.0

    def _left_of(self, name: str, now: float) -> float:
        """At least a twentieth, as long as it is not over."""
        guess = self._work[name] * self._factor
        return max(guess - (now - self._began[name]), guess / 20)


class Screen:
    """The bar on a terminal, and the lines."""

    def __init__(self, jobs: Iterable[Job], place: Place, *, processes: int, console: Console | None = None) -> None:
        jobs = list(jobs)
        self._place, self._count, self._over = place, len(jobs), 0
        self._estimate = Estimate(jobs, processes=processes)
        self._under_way: list[str] = []
        self._console = console or Console(stderr=True)
        names = Column(no_wrap=True, overflow="ellipsis", max_width=max(self._console.width - 60, 12))
        columns = (
            TextColumn("{task.description}", table_column=names),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[over]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=self._console, auto_refresh=False, expand=True, disable=not self._console.is_terminal)
        self._task: TaskID = self._bar.add_task("starting", total=1.0, over=f"0/{self._count} jobs", left="")

    def __enter__(self) -> Screen:
        self._began = time.monotonic()
        self._bar.start()
        if not self._console.is_terminal:
            self.say(f"{self._count} jobs to do, {self._left()}")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line, above the bar where there is one."""
        minutes = (time.monotonic() - self._began) / MINUTE
        self._console.print(f"{minutes:6.1f} min  {line}", highlight=False, markup=False, soft_wrap=True)

    def begun(self, job: Job) -> None:
        """It is under way."""
        resumed = (self._place.work / job.name).exists()
        self._estimate.begun(job, time.monotonic(), resumed=resumed)
        self._under_way.append(job.name)

    def put_back(self, job: Job) -> None:
        """It is to be begun again."""
        self._estimate.put_back(job)
        self._under_way.remove(job.name)

    def ended(self, job: Job, error: str = "") -> None:
        """A line, and the bar moves on."""
        self._estimate.ended(job, time.monotonic(), well=not error)
        self._under_way = [name for name in self._under_way if name != job.name]
        self._over += 1
        left = "" if self._console.is_terminal or self._over == self._count else f"; {self._over}/{self._count}, {self._left()}"
        self.say(f"{job.name}: {error or outcome(job, self._place)}{left}")
        self.draw()

    def draw(self) -> None:
        """The bar as it is now."""
        share = 1.0 if self._over == self._count else self._estimate.share(time.monotonic())
        left = "" if self._over == self._count else self._left()
        names, over = escape(", ".join(self._under_way)), f"{self._over}/{self._count} jobs"
        self._bar.update(self._task, description=names, completed=share, over=over, left=left)
        self._bar.refresh()

    def _left(self) -> str:
        return f"{spoken(self._estimate.seconds_left(time.monotonic()))} left"


def spoken(seconds: float) -> str:
    """About how long: no more digits than an estimate has."""
    minutes = round(seconds / MINUTE)
    if minutes < 1:
        return "under a minute"
    if minutes < MINUTE:
        return f"about {minutes} min"
    return f"about {minutes // MINUTE} h {minutes % MINUTE // 5 * 5:02d} min"


def outcome(job: Job, place: Place) -> str:
    """What its records say, in a few words."""
    if job.kind == "record":
        return "recorded"
    records = [read_json(place.result(name)) for name in job.records]
    errors = sorted(record["errors"] for record in records if not record.get("diverged"))
    found = [", ".join(map(str, errors)) if len(errors) <= FEW else f"{errors[0]} to {errors[-1]}"] if errors else []
    told = [f"{', '.join(found)} errors on {job.split}"] if errors else []
    diverged = len(records) - len(errors)
    told += [f"{diverged} of {len(records)} diverged" if len(records) > 1 else "diverged"] if diverged else []
    students = f"{len(records)} students, " if len(records) > 1 else ""
    return students + ", ".join(told)
