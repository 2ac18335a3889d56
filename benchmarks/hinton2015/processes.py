"""Processes that do one job at a time: what they say goes into a file a job, and no signal and no sudden end leaves one behind.

A process is a group of its own, so that Ctrl-C reaches only the one that gave it work, which asks it once, by SIGTERM, to save and end. When that
one is gone, in whatever way, it asks itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from benchmarks.hinton2015.jobs import Job, Place
from darkknowledge.errors import BusyError, Interrupted

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
GRACE = 30.0
"""Seconds that a process has to save its state; it needs about one."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that came back; ``lost`` with its process, which says nothing of the job itself."""

    job: Job
    error: str = ""
    lost: bool = False


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    job: Job | None = None


def log_file(job: Job, place: Place) -> Path:
    """Where what the job prints is kept."""
    return place.work / "log" / f"{job.name}.txt"


class Processes:
    """At most ``count`` of them, each started when there is work for it."""

    def __init__(self, place: Place, count: int) -> None:
        self._place, self._count = place, count
        self._workers: list[_Worker] = []

    def __enter__(self) -> Processes:
        os.environ.update(ONE_THREAD)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            if worker.job is not None:
                worker.process.terminate()
            worker.connection.close()  # ends one that waits
        until = time.monotonic() + GRACE
        for worker in self._workers:
            worker.process.join(max(until - time.monotonic(), 0))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []

    @property
    def busy(self) -> dict[str, Job]:
        """The jobs under way, by name."""
        return {worker.job.name: worker.job for worker in self._workers if worker.job is not None}

    @property
    def free(self) -> bool:
        """Whether there is room for one more job."""
        return len(self.busy) < self._count

    def give(self, job: Job) -> None:
        """Let a process that waits, or a new one, do ``job``."""
        for worker in [worker for worker in self._workers if worker.job is None]:
            with suppress(OSError):
                worker.connection.send(job)
                worker.job = job
                return
            self._bury(worker)  # killed while it waited
        worker = _started(self._place)
        self._workers.append(worker)
        worker.job = job
        with suppress(OSError):  # then `ended` tells of it
            worker.connection.send(job)

    def ended(self, *, timeout: float) -> Iterator[Ended]:
        """The jobs that came back, after ``timeout`` seconds at most."""
        ready = wait([worker.connection for worker in self._workers if worker.job is not None], timeout)
        for worker in [worker for worker in self._workers if worker.connection in ready]:
            job, worker.job = worker.job, None
            assert job is not None
            try:
                yield Ended(job, worker.connection.recv())
            except (EOFError, OSError):
                yield Ended(job, f"its process ended with exit code {self._bury(worker)}", lost=True)

    def _bury(self, worker: _Worker) -> int | None:
        self._workers.remove(worker)
        worker.connection.close()
        worker.process.join()
        return worker.process.exitcode


def _started(place: Place) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, place))
    # Until it is a group of its own, Ctrl-C must wait.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return _Worker(process, ours)


def _work(connection: Connection, place: Place) -> None:
    """What a process does."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        connection.send(_error_of(job, place))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def _error_of(job: Job, place: Place) -> str:
    """Do it; what went wrong, or nothing."""
    _print_into(log_file(job, place))
    try:
        _done(job, place)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr, flush=True)
        # All is saved, and taking down an interpreter with torch in it is the longest part of such an end.
        os._exit(stopped.exit_code)
    except Exception as error:
        traceback.print_exc()
        return str(error) or type(error).__name__
    return ""


def _print_into(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _done(job: Job, place: Place) -> None:
    """Do it, and wait for one who is still about to leave its folder: after a kill, the process that had it."""
    until = time.monotonic() + GRACE
    while True:
        try:
            return job.run(place)
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
