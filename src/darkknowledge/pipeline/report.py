"""``report``: the page of a run, or of several to compare. It is made from what lies in their folders, and changes nothing there."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path
from typing import Any

from darkknowledge.contract import Report
from darkknowledge.errors import DarkKnowledgeError, UsageError
from darkknowledge.pipeline._parts import LoggingSettings
from darkknowledge.pipeline.settings import ReportSettings, validate
from darkknowledge.report.page import BEGINNING, make
from darkknowledge.runs.files import make_place, write_text
from darkknowledge.training.signals import stoppable

PAGE = "report.html"


def make_report(
    runs: str | Path | Sequence[str | Path], *, out: str | Path | None = None, gallery: int = 24, logging: dict[str, Any] | None = None
) -> Path:
    """Write the page of finished runs: one self-contained HTML file; where it lies.

    Args:
        runs: a folder of ``run``, ``train`` or ``distill``, or several; a folder of such folders stands for all of them. Networks that differ by
            their seeds alone are told of together; of others the page compares the settings.
        out: the file; by default ``report.html`` in the folder, or in the one that holds them all.
        gallery: pictures on which teacher and student disagree.
        logging: ``wandb``, ``project``, ``tensorboard``: who gets the page and the main figures too.

    Raises:
        DarkKnowledgeError: what the class says.
    """
    folders = [runs] if isinstance(runs, str | Path) else list(runs)
    values: dict[str, Any] = {"runs": folders, "out": out, "gallery": gallery, "logging": logging or {}}
    return report_from(validate(ReportSettings, values), report=lambda line: None)


@stoppable()
def report_from(settings: ReportSettings, *, report: Report) -> Path:
    """`make_report` with checked settings."""
    path = place(settings)
    text = make(settings.runs, gallery=settings.gallery)
    make_place(path)
    write_text(path, text)
    if settings.logging.wandb or settings.logging.tensorboard:
        from darkknowledge.pipeline._sharing import share

        share(settings.runs, path, settings.logging, report)
    return path


def place(settings: ReportSettings) -> Path:
    """Where the page goes.

    Raises:
        UsageError: something else is there.
    """
    folders = settings.runs
    path = settings.out or (folders[0] if len(folders) == 1 else Path(commonpath([folder.absolute() for folder in folders]))) / PAGE
    if path.is_dir() or (path.exists() and not _is_page(path)):
        raise UsageError(f"{path} is there, and is no page of ours", why="nobody's file is replaced", fix="choose another place with out=…")
    return path


def _is_page(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING.encode()


def make_page(folder: Path, logging: LoggingSettings, tell: Report) -> None:
    """The page at the end of a run, which has its results whether or not they can be drawn."""
    try:
        report_from(ReportSettings(runs=(folder,), logging=logging), report=tell)
    except Exception as error:  # whatever it is, it is no fault of the run, which may have taken days
        tell(f"no page: {error if isinstance(error, DarkKnowledgeError) else repr(error)}")
