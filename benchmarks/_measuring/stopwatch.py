"""What a step of `darkknowledge.training.fit` takes in the middle of a long run, without its start and its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from benchmarks._measuring.timing import Seconds, Work
from darkknowledge.training.watching import Plan, Record, Watcher


class _Enough(Exception):  # noqa: N818 - it is no error
    """Ends the run when all that matters was seen."""


class _Stopwatch:
    """A `Watcher` that notes the time after ``skip`` steps and after ``count`` more."""

    def __init__(self, *, skip: int, count: int, settle: Work | None) -> None:
        self.skip, self.count, self.settle = skip, count, settle
        self.noted: list[Seconds] = []

    def begin(self, plan: Plan) -> None: ...

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...

    def step(self, done: int) -> None:
        if done in (self.skip, self.skip + self.count):
            if self.settle is not None:
                self.settle()
            self.noted.append(Seconds(time.process_time(), time.perf_counter()))
        if done == self.skip + self.count:
            raise _Enough


def seconds_of_steps(fit: Callable[[Watcher], object], *, skip: int, count: int, settle: Work | None = None) -> Seconds:
    """Seconds of one of ``count`` steps after the first ``skip``, which compile and warm up.

    ``fit`` starts a run with the given watcher. It may be planned for far more steps, so that what is worth its start in a long run is done; it is
    ended when the last of them was seen.
    """
    watch = _Stopwatch(skip=skip, count=count, settle=settle)
    with contextlib.suppress(_Enough):
        fit(watch)
    begin, end = watch.noted
    return Seconds((end.processor - begin.processor) / count, (end.wall - begin.wall) / count)
