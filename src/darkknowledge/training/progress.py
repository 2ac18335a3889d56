"""What the user sees of a training run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from darkknowledge.training.watching import Plan, Record, Watcher

REDRAW = 0.5
"""Seconds between two redraws of the bar: often enough for an eye, seldom enough for a step of a millisecond."""
LINES = 10
"""How many plain lines a run prints at most, besides its last."""


def make_progress(console: Console) -> Watcher:
    """The bar for a terminal, lines for a file or a pipe."""
    return ProgressBar(console) if console.is_terminal else ProgressLines(console)


class ProgressBar:
    """Two lines: the epoch, a bar and the time that is left; under them the terms and the validation accuracy."""

    def __init__(self, console: Console) -> None:
        # A long name leaves the rest of the line its room.
        name = Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - 46, 1))
        self._bar = Progress(
            TextColumn("[bold]{task.description}", table_column=name),
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            expand=True,
        )
        self._values = Text(no_wrap=True, overflow="ellipsis")
        # The loop itself redraws: a thread that does would take the interpreter from the training step.
        self._live = Live(Group(self._bar, self._values), console=console, auto_refresh=False)
        self._task: TaskID = TaskID(0)
        self._latest: dict[str, float] = {}
        self._drawn = 0.0

    def begin(self, plan: Plan) -> None:
        """Show the bar."""
        self._plan, self._epochs_done = plan, plan.epochs_done
        self._task = self._bar.add_task(escape(plan.name), total=plan.steps, completed=plan.done, epoch="")
        self._live.start()

    def step(self, done: int) -> None:
        """Redraw when it is time."""
        if monotonic() - self._drawn > REDRAW:
            self._draw(done)

    def record(self, record: Record) -> None:
        """Show the newest values."""
        self._latest.update(record.values)
        if record.kind == "epoch":
            self._epochs_done += 1
            self._draw(record.step)

    def end(self) -> None:
        """Leave the bar on the screen as it is."""
        self._live.stop()

    def _draw(self, done: int) -> None:
        epoch = min(self._epochs_done + 1, self._plan.epochs)
        self._bar.update(self._task, completed=done, epoch=f"{epoch}/{self._plan.epochs}")
        self._values.plain = describe(self._latest)
        self._live.refresh()
        self._drawn = monotonic()


class ProgressLines:
    """A line every tenth of the epochs, and one for the last."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, plan: Plan) -> None:
        """Note how long the run is."""
        self._plan, self._every, self._began = plan, -(-plan.epochs // LINES), monotonic()
        self._latest: dict[str, float] = {}

    def step(self, done: int) -> None:
        """Nothing: steps are too many for lines."""

    def record(self, record: Record) -> None:
        """Print a line when the epoch is one of those shown; its validation accuracy is the newest there is."""
        self._latest.update(record.values)
        epoch = -(-record.epoch // 1)
        if record.kind == "epoch" and (epoch % self._every == 0 or record.step == self._plan.steps):
            remaining = (monotonic() - self._began) * (self._plan.steps - record.step) / max(record.step - self._plan.done, 1)
            left = f", {remaining:.0f} s left" if record.step < self._plan.steps else ""
            line = f"{self._plan.name}: epoch {epoch:.0f}/{self._plan.epochs}, {describe(self._latest)}{left}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Nothing to put away."""


def describe(values: Mapping[str, float]) -> str:
    """The terms and the validation accuracy in a few words."""
    terms = {name: value for name, value in values.items() if name not in ("learning_rate", "validation_accuracy", "validation_nll")}
    # A single term is the loss.
    shown = [f"{name} {value:.4f}" for name, value in terms.items() if name != "loss" or len(terms) != 2]
    accuracy = values.get("validation_accuracy")
    return "  ".join([*shown, f"validation {accuracy:.2%}"] if accuracy is not None else shown)
