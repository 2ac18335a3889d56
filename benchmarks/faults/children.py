"""Processes to be killed: forked from this one, which has everything imported, and telling it through a pipe how far they are.

A forked child can't use its parent's threads, so whoever forks has torch work with one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from darkknowledge.cli.main import guarded

KILLED = -signal.SIGKILL
"""The exit code of a child that was killed."""
PATIENCE = 120.0
"""Seconds after which a child that says nothing is taken for stuck."""


class Word(NamedTuple):
    """What a child said, and when (seconds since its start)."""

    name: str
    values: tuple[str, ...]
    at: float

    @property
    def place(self) -> tuple[int, int]:
        """Step and whole epochs, with which words about training states begin."""
        return int(self.values[0]), int(self.values[1])


Tell = Callable[..., None]
"""``tell(name, value, …)``: words without spaces."""
Job = Callable[[Tell], object]


class Child:
    """A job in a process of its own, as `dk` would run it: a known error becomes a message on its screen and its exit code."""

    def __init__(self, job: Job) -> None:
        self.words: list[Word] = []
        self.code: int | None = None
        self._heard, self._shown = b"", b""
        (self._telling, teller), (self._screen, writer) = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _work(job, teller, writer)
        for end in (teller, writer):
            os.close(end)
        for end in (self._telling, self._screen):
            os.set_blocking(end, False)

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self._began

    def listen(self, seconds: float) -> None:
        """Hear what it says for so long, or until it ends."""
        until = self.seconds + seconds
        while self.code is None and (left := until - self.seconds) > 0:
            select.select([self._telling, self._screen], [], [], min(left, 0.005))
            self._collect()

    def hear(self, *names: str) -> Word | None:
        """The first word of one of these names, waited for; None if the child ends without it.

        Raises:
            TimeoutError: it does neither.
        """
        until = self.seconds + PATIENCE
        while (found := self.said_already(*names)) is None and self.code is None:
            if self.seconds > until:
                self.kill()
                raise TimeoutError(f"a child said none of {names} for {PATIENCE:g} s: {self.message}")
            self.listen(0.02)
        return found

    def said_already(self, *names: str) -> Word | None:
        """The first word of one of these names, if it came."""
        return next((word for word in self.words if word.name in names), None)

    def last(self, *names: str) -> Word | None:
        """The last word of one of these names, if any came."""
        return next((word for word in reversed(self.words) if word.name in names), None)

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> int:
        """Kill it now; the exit code, which is another where it had ended by itself."""
        self.send(signal.SIGKILL)
        return self.end()

    def end(self) -> int:
        """Its exit code, waited for.

        Raises:
            TimeoutError: it does not end.
        """
        until = self.seconds + PATIENCE
        while self.code is None:
            if self.seconds > until:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"a child did not end for {PATIENCE:g} s: {self.message}")
            self.listen(0.02)
        return self.code

    @property
    def message(self) -> str:
        """What it wrote on its screen."""
        return self._shown.decode(errors="replace").strip()

    def _collect(self) -> None:
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        # After the look, so that a child that has ended has been heard to the end.
        self._shown += _read(self._screen)
        *lines, self._heard = (self._heard + _read(self._telling)).split(b"\n")
        for line in lines:
            name, *values = line.decode().split()
            self.words.append(Word(name, tuple(values), self.seconds))
        if ended:
            self.code = os.waitstatus_to_exitcode(status)
            os.close(self._telling)
            os.close(self._screen)


def _read(end: int) -> bytes:
    """What lies in a pipe now."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(end, 1 << 16):
            found += data
    return found


def _work(job: Job, teller: int, screen: int) -> None:
    """What the child does; it never returns."""
    code = 1
    try:
        os.dup2(screen, 1)
        os.dup2(screen, 2)
        sys.stdout = sys.stderr = os.fdopen(2, "w", closefd=False)

        def tell(name: str, *values: object) -> None:
            os.write(teller, (" ".join([name, *map(str, values)]) + "\n").encode())

        def work() -> int:
            job(tell)
            return 0

        code = guarded(work)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
