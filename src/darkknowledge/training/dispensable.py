"""A logger that training does not depend on."""

from __future__ import annotations

from collections.abc import Callable

from darkknowledge.contract import Report
from darkknowledge.training.watching import Plan, Record, Watcher


class Dispensable:
    """Passes everything on to a logger. One that does not even begin ends the run before its first step; what fails later is said once.

    From then on it hears nothing, and training goes on: the run's own files hold the same numbers.
    """

    def __init__(self, logger: Watcher, name: str, report: Report) -> None:
        self._logger, self._name, self._report, self._failed = logger, name, report, False

    def begin(self, plan: Plan) -> None:
        """Let it begin."""
        self._logger.begin(plan)

    def step(self, done: int) -> None:
        """Pass a step on."""
        self._spare(lambda: self._logger.step(done))

    def record(self, record: Record) -> None:
        """Pass a record on."""
        self._spare(lambda: self._logger.record(record))

    def end(self) -> None:
        """Let it end."""
        self._spare(self._logger.end)

    def _spare(self, act: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            act()
        except Exception as error:  # the libraries behind it raise whatever they like
            self._failed = True
            self._report(f"warning: {self._name} fails, and the run goes on without it: {str(error) or type(error).__name__}")
