"""What Weights & Biases and TensorBoard get of finished runs: the main figures, and the page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from darkknowledge.contract import Report
from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.pipeline._parts import LoggingSettings
from darkknowledge.pipeline.figure import figure_from
from darkknowledge.pipeline.settings import FigureSettings
from darkknowledge.report.figure import CHOICES
from darkknowledge.runs.folder import list_runs, open_run

FIGURES = ("curves", "reliability", "dark_knowledge", "sample")
MOST = 6
"""Runs in a figure: as many as it has colours."""


class Place(Protocol):
    """A service that shows them."""

    def open(self) -> None: ...

    def share(self, page: Path, figures: Mapping[str, Path]) -> None: ...

    def end(self) -> None: ...


def share(runs: Sequence[Path], page: Path, logging: LoggingSettings, report: Report) -> None:
    """Send the figures of the runs, and their page, to the services that ``logging`` names; what fails is told, as the files are there already."""
    with tempfile.TemporaryDirectory() as folder:
        figures = _figures([*_networks(runs)], Path(folder), report)
        for name, place in _places(page.parent, logging, report):
            try:
                place.open()
                place.share(page, figures)
                place.end()
            except Exception as error:  # the libraries behind it raise whatever they like
                report(f"warning: {name} has no report: {str(error) or type(error).__name__}")


def _places(folder: Path, logging: LoggingSettings, report: Report) -> Iterator[tuple[str, Place]]:
    if logging.wandb:
        from darkknowledge.training.wandb_logger import WandbLogger

        yield "Weights & Biases", WandbLogger(folder, project=logging.project, config={}, report=report)
    if logging.tensorboard:
        from darkknowledge.training.tensorboard_logger import TensorboardLogger

        yield "TensorBoard", TensorboardLogger(folder)


def _networks(runs: Sequence[Path]) -> Iterator[Path]:
    """The runs of one network each, of all these and of what lies in them."""
    for path in runs:
        inner = [run.path for run in list_runs(path) if run.finished and run.path != path]
        if inner:
            yield from _networks(inner)
        elif (path / "model").is_dir():
            yield open_run(path).path


def _figures(runs: Sequence[Path], folder: Path, report: Report) -> dict[str, Path]:
    """Those that can be drawn, by name; what shows answers is drawn of the runs that keep some, as members of a teacher do not."""
    measured = [run for run in runs if (run / "evaluation-test.json").is_file()]
    found = {}
    for name in FIGURES:
        chosen = measured if measured and "split" in CHOICES[name].uses else runs
        try:
            found[name] = figure_from(FigureSettings(name=name, run=tuple(chosen[:MOST]), out=folder / f"{name}.png"), report=report)
        except DarkKnowledgeError as error:
            report(f"no figure {name}: {error.what}")
    return found
