"""What the user sees while a teacher is recorded: a bar on a terminal, a few lines elsewhere."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

_REDRAW = 0.5
"""Seconds between two redraws of the bar."""
_PAUSE = 20.0
"""Seconds between two plain lines."""


class RowsProgress:
    """Rows ``done`` of ``total``, rows a second, and the time that is left; called with (rows done now, rows in all, rows that were there before)."""

    def __init__(self, console: Console, name: str, *, shown: bool = True) -> None:
        self._console, self._name, self._shown = console, name, shown
        self.done = self.total = 0
        self._began = monotonic()
        # The first line comes soon, so that the time it will take is known early.
        self._drawn, self._said = 0.0, self._began - _PAUSE + 0.5
        label = Column(no_wrap=True, overflow="ellipsis", max_width=max(console.width - 60, 8))
        self._bar = Progress(
            TextColumn("[bold]recording[/] {task.description}", table_column=label),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            auto_refresh=False,
            expand=True,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._bar.add_task(escape(name), total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int, before: int) -> None:
        """Tell how far it is."""
        self.done, self.total = before + done, total
        rate, left = done / max(monotonic() - self._began, 1e-9), total - before - done
        if not self._shown:
            return
        if self._console.is_terminal:
            self._draw(before + done, total, rate)
        elif monotonic() - self._said > _PAUSE:
            self._said = monotonic()
            line = f"recording {self._name}: {before + done:,} of {total:,} rows, {rate:,.0f} rows/s, {left / rate:,.0f} s left"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _draw(self, done: int, total: int, rate: float) -> None:
        if monotonic() - self._drawn > _REDRAW or done == total:
            self._bar.update(self._task, completed=done, total=total, rate=rate)
            self._bar.refresh()
            self._drawn = monotonic()


class _Rate(ProgressColumn):
    """Rows a second since the recording began."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.fields.get('rate', 0):,.0f} rows/s")
