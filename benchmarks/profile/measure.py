"""What a training step of each kind spends its time on.

    uv run python -m benchmarks profile

One thread. Steps in the middle of `fit`, watched by torch's profiler: for each operator its own time, without that of the operators it calls, as a
share of all operators; those of at least three percent are named. The profiler reads the wall clock, so the machine has to be quiet. The time of a
step is taken without it: what that exceeds the operators by is Python between them.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from benchmarks._measuring import Run, seconds_of_steps
from benchmarks.profile.kinds import KINDS, QUICK, starting
from rich.table import Table
from torch.profiler import ProfilerActivity, profile

from darkknowledge.training.precision import has_bfloat16
from darkknowledge.training.watching import Plan, Record, Watcher

LEAST = 0.03
"""The share from which an operator is named."""
SKIP = 3
"""Steps that warm up."""


@dataclass(frozen=True, slots=True)
class Spent:
    """One operator: its own share of the time of all, its milliseconds and its calls in a step."""

    operator: str
    share: float
    milliseconds: float
    calls: float


def measure(run: Run) -> None:
    """A table for each kind."""
    torch.set_num_threads(1)
    for name, kind in (QUICK if run.quick else KINDS).items():
        if kind.precision == "bf16" and not has_bfloat16("cpu"):
            run.note(f"SKIPPED: {name}: this processor does not multiply bfloat16", loud=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            start = starting(kind, Path(folder))
            step = seconds_of_steps(start, skip=SKIP, count=kind.steps)
            found = operators(start, kind.steps)
        run.add(name, as_json(found, 1000 * step.processor), shown=table(name, found, 1000 * step.processor))


class _Watched:
    """A `Watcher` that starts the profiler after some steps and ends the run when enough were seen."""

    def __init__(self, profiler: profile, count: int) -> None:
        self.profiler, self.count = profiler, count

    def begin(self, plan: Plan) -> None: ...

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...

    def step(self, done: int) -> None:
        if done == SKIP:
            self.profiler.start()
        if done == SKIP + self.count:
            self.profiler.stop()
            raise _Enough


class _Enough(Exception):  # noqa: N818 - it is no error
    """Ends the run."""


def operators(start: Callable[[Watcher], object], count: int) -> list[Spent]:
    """All operators of ``count`` steps, the longest first."""
    profiler = profile(activities=[ProfilerActivity.CPU])
    with contextlib.suppress(_Enough):
        start(_Watched(profiler, count))
    events = profiler.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    spent = [Spent(event.key, event.self_cpu_time_total / whole, event.self_cpu_time_total / count / 1000, event.count / count) for event in events]
    return sorted(spent, key=lambda each: -each.share)


def named(found: list[Spent]) -> list[Spent]:
    """Those of some weight."""
    return [each for each in found if each.share >= LEAST]


def as_json(found: list[Spent], step: float) -> dict[str, Any]:
    """What the record holds: a step in milliseconds of processor time, the operators' sum, and the operators."""
    shown = [
        {"operator": each.operator, "share": round(each.share, 3), "ms": round(each.milliseconds, 3), "calls": round(each.calls, 1)}
        for each in named(found)
    ]
    return {"step ms": round(step, 3), "operators ms": round(sum(each.milliseconds for each in found), 3), f"from {LEAST:.0%}": shown}


def table(name: str, found: list[Spent], step: float) -> Table:
    """The same to look at."""
    made = Table("operator", "share", "ms a step", "calls a step", title=f"{name}: a step takes {step:.3g} ms", title_justify="left")
    for each in named(found):
        made.add_row(each.operator, f"{each.share:.1%}", f"{each.milliseconds:.3g}", f"{each.calls:.3g}")
    rest = [each for each in found if each.share < LEAST]
    made.add_row(f"{len(rest)} others", f"{sum(each.share for each in rest):.1%}", f"{sum(each.milliseconds for each in rest):.3g}", "")
    return made
