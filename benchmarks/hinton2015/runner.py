"""Jobs over processes of one thread each: what is kept is skipped, what was killed goes on, and each failure is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.hinton2015.jobs import Job, Place
from darkknowledge.runs.files import read_json

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def needed(jobs: Mapping[str, Job], place: Place) -> dict[str, Job]:
    """The jobs to do: those whose records are missing, and those whose folders they read and that are not there."""
    todo: dict[str, Job] = {}

    def want(job: Job, folder: bool) -> None:
        if job.name in todo or (job.left(place) if folder else job.kept(place)):
            return
        for need in job.needs:
            want(need, True)
        todo[job.name] = job

    for job in jobs.values():
        if job.kind != "record":  # asked for by those that learn from it
            want(job, False)
    return todo


def run_all(jobs: Mapping[str, Job], place: Place, *, processes: int) -> dict[str, str]:
    """Do what is needed; name to error of the jobs that failed. Those that need them are left out, the others go on."""
    todo = needed(jobs, place)
    failed: dict[str, str] = {}
    with _Pool(place, processes) as pool, _shown(todo.values()) as shown:
        waiting = dict(todo)
        while waiting or pool.busy:
            for name, job in list(waiting.items()):
                if any(need.name in failed for need in job.needs):
                    failed[name] = f"needs {next(need.name for need in job.needs if need.name in failed)}"
                    del waiting[name]
                elif pool.free and not any(need.name in waiting or need.name in pool.busy for need in job.needs):
                    pool.give(waiting.pop(name))
            shown.now(pool.busy)
            for job, error in pool.finished(timeout=5):
                if error:
                    failed[job.name] = error
                shown.done(job, error, place)
    return failed


class _Pool:
    """Processes that do one job at a time; a signal to this one reaches them, and they save their states."""

    def __init__(self, place: Place, processes: int) -> None:
        os.environ.update(ONE_THREAD)
        context = multiprocessing.get_context("spawn")
        self._workers: dict[Connection, Any] = {}
        self._jobs: dict[Connection, Job] = {}
        for _ in range(processes):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, place))
            worker.start()
            theirs.close()
            self._workers[ours] = worker

    def __enter__(self) -> _Pool:
        self._before = signal.signal(signal.SIGTERM, _as_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)
        for connection, worker in self._workers.items():
            connection.close()
            if connection in self._jobs:
                worker.terminate()
        for worker in self._workers.values():
            worker.join()

    @property
    def busy(self) -> dict[str, Job]:
        return {job.name: job for job in self._jobs.values()}

    @property
    def free(self) -> bool:
        return len(self._jobs) < len(self._workers)

    def give(self, job: Job) -> None:
        connection = next(connection for connection in self._workers if connection not in self._jobs)
        self._jobs[connection] = job
        connection.send(job)

    def finished(self, *, timeout: float) -> Iterable[tuple[Job, str]]:
        """Jobs that are done since, and what went wrong with each."""
        for connection in wait(list(self._jobs), timeout):
            assert isinstance(connection, Connection)
            job = self._jobs.pop(connection)
            try:
                yield job, connection.recv()
            except EOFError:
                worker = self._workers.pop(connection)
                worker.join()
                raise RuntimeError(f"the process of {job.name} ended with exit code {worker.exitcode}: run the same command again") from None


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _work(connection: Connection, place: Place) -> None:
    """A process of the pool."""
    while True:
        try:
            job: Job = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            job.run(place)
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
        else:
            connection.send("")


class _shown:  # noqa: N801 - used like a function
    """A bar over all jobs, the time that is left, and a line for each that is done."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.left = {job.name: job.work for job in jobs}
        self.work_done = 0.0
        self.began = time.monotonic()
        self.console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left {task.fields[left]}"))
        self.progress = Progress(*columns, console=self.console)
        self.task: TaskID = self.progress.add_task("starting", total=len(self.left), left="?")

    def __enter__(self) -> _shown:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def now(self, busy: Iterable[str]) -> None:
        """What is under way."""
        self.progress.update(self.task, description=", ".join(busy), left=self._left())

    def done(self, job: Job, error: str, place: Place) -> None:
        """A line, and the bar moves on."""
        self.work_done += self.left.pop(job.name)
        minutes = (time.monotonic() - self.began) / 60
        self.console.print(f"{minutes:6.1f} min  {job.name}: {error or _said(job, place)}", highlight=False, markup=False, soft_wrap=True)
        self.progress.update(self.task, advance=1, left=self._left())

    def _left(self) -> str:
        if not self.work_done:
            return "?"
        seconds = sum(self.left.values()) * (time.monotonic() - self.began) / self.work_done
        return f"about {seconds / 60:.0f} min"


def _said(job: Job, place: Place) -> str:
    if job.kind == "record":
        return "recorded"
    records = [read_json(place.result(name)) for name in job.records]
    found = ", ".join("diverged" if record.get("diverged") else str(record["errors"]) for record in records)
    return f"{found} errors on {job.split}"
