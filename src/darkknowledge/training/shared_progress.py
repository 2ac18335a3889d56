"""What the user sees of several runs that are trained together: one bar with a line for each on a terminal, a line for all of them elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from darkknowledge.training.progress import LINES, REDRAW, describe
from darkknowledge.training.watching import Plan, Record, Watcher


def make_shared_progress(console: Console, count: int) -> Sequence[Watcher]:
    """A watcher for each of ``count`` runs, which they share."""
    shown = _SharedBar(console) if console.is_terminal else _SharedLines(console)
    return [_Part(shown, index) for index in range(count)]


class _Shared:
    """Hears of every run by its number; all that go on are at the same step."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.plans: dict[int, Plan] = {}
        self.latest: dict[int, dict[str, float]] = {}
        self.waiting: set[int] = set()

    def begin(self, index: int, plan: Plan) -> None:
        """One more run, before the first step of any."""
        if not self.plans:
            self.latest, self.plan, self.done, self.epochs_done = {}, plan, plan.done, plan.epochs_done
            self.start()
        self.plans[index] = plan
        self.latest[index] = {}
        self.waiting = set(self.plans)

    def record(self, index: int, record: Record) -> None:
        """Take the newest values, and show them when the epoch's have come from every run."""
        self.latest[index].update(record.values)
        if record.kind == "epoch":
            self.done = record.step
            self.waiting.discard(index)
            self._show_whole()

    def end(self, index: int) -> None:
        """One run less: it is done, has diverged or was stopped."""
        del self.plans[index]
        self.waiting.discard(index)
        if self.plans:
            self._show_whole()
        else:
            self.stop()

    def _show_whole(self) -> None:
        if not self.waiting:
            self.epochs_done += 1
            self.waiting = set(self.plans)
            self.show(self.done)

    def start(self) -> None: ...

    def step(self, done: int) -> None: ...

    def show(self, step: int) -> None: ...

    def stop(self) -> None: ...


class _SharedBar(_Shared):
    """The epoch, a bar and the time that is left; under them a line for each run, as many as the screen holds."""

    def start(self) -> None:
        """Show the bar."""
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            expand=True,
        )
        self._values = Text(no_wrap=True, overflow="ellipsis")
        self._live = Live(Group(self._bar, self._values), console=self.console, auto_refresh=False)
        self._task = self._bar.add_task("", total=self.plan.steps, completed=self.plan.done, epoch="")
        self._live.start()
        self._drawn = 0.0

    def step(self, done: int) -> None:
        """Redraw when it is time."""
        if monotonic() - self._drawn > REDRAW:
            self.show(done)

    def show(self, step: int) -> None:
        """Redraw."""
        epoch = min(self.epochs_done + 1, self.plan.epochs)
        self._bar.update(self._task, description=escape(_who(self.plans)), completed=step, epoch=f"{epoch}/{self.plan.epochs}")
        self._values.plain = "\n".join(self._rows())
        self._live.refresh()
        self._drawn = monotonic()

    def stop(self) -> None:
        """Leave the bar on the screen as it is."""
        self._live.stop()

    def _rows(self) -> list[str]:
        names = {index: plan.name for index, plan in self.plans.items()}
        width = max(map(len, names.values()), default=0)
        rows = [f"{name:<{width}}  {describe(self.latest[index])}" for index, name in names.items()]
        room = max(self.console.height - 4, 1)
        return rows if len(rows) <= room else [*rows[:room], f"… and {len(rows) - room} more"]


class _SharedLines(_Shared):
    """A line every tenth of the epochs, and one for the last."""

    def start(self) -> None:
        """Note how long the runs are."""
        self._every, self._began = -(-self.plan.epochs // LINES), monotonic()

    def show(self, step: int) -> None:
        """Print a line when the epoch is one of those shown."""
        if self.epochs_done % self._every and step != self.plan.steps:
            return
        remaining = (monotonic() - self._began) * (self.plan.steps - step) / max(step - self.plan.done, 1)
        left = f", {remaining:.0f} s left" if step < self.plan.steps else ""
        line = f"{_who(self.plans)}: epoch {self.epochs_done}/{self.plan.epochs}, {self._range()}{left}"
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _range(self) -> str:
        """From the worst run to the best."""
        latest = [self.latest[index] for index in self.plans]
        accuracies = [values["validation_accuracy"] for values in latest if "validation_accuracy" in values]
        if accuracies:
            return f"validation {min(accuracies):.2%} to {max(accuracies):.2%}"
        losses = [values["loss"] for values in latest if "loss" in values]
        return f"loss {min(losses):.4f} to {max(losses):.4f}"


def _who(plans: dict[int, Plan]) -> str:
    """Their names where they are short, else their number."""
    names = ", ".join(plan.name for plan in plans.values())
    if len(plans) == 1 or len(names) > 20:
        return names if len(plans) == 1 else f"{len(plans)} students"
    return f"students {names}"


@dataclass(frozen=True, slots=True)
class _Part:
    """The place of one run in what is shown of all."""

    shown: _Shared
    index: int

    def begin(self, plan: Plan) -> None:
        self.shown.begin(self.index, plan)

    def step(self, done: int) -> None:
        self.shown.step(done)

    def record(self, record: Record) -> None:
        self.shown.record(self.index, record)

    def end(self) -> None:
        self.shown.end(self.index)
