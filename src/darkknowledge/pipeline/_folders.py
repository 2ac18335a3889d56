"""The folder of a stage that trains: a new one, or the one to go on with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from darkknowledge.contract import Report
from darkknowledge.errors import BusyError, UsageError
from darkknowledge.pipeline._changes import differences, refuse_changes
from darkknowledge.pipeline.settings import StageSettings
from darkknowledge.runs.folder import RunFolder, begun, open_run, refuse_links


def open_folder(kind: str, settings: StageSettings) -> tuple[RunFolder, bool]:
    """The folder of a new run, or of the one to resume, and whether the run was made just now."""
    run = folder_to_resume(kind, settings)
    if run is not None:
        return run, False
    return RunFolder.create(settings.out, kind=kind, config=settings.model_dump(mode="json"), again=settings.resume), True


def folder_to_resume(kind: str, settings: StageSettings) -> RunFolder | None:
    """The run to go on with, where one is asked for and was begun.

    Raises:
        UsageError: it is no run, not of this kind, or has another configuration.
    """
    if settings.resume and settings.out is None:
        raise UsageError("resume=true does not say which run to go on with", fix="name its folder with out=…")
    if not settings.resume or settings.out is None or not begun(settings.out):
        return None
    run = open_run(settings.out, finished=False)
    if run.record["kind"] != kind:
        raise UsageError(f"{run.path} was made by {run.record['kind']}, not by {kind}", fix=f"dk {run.record['kind']} goes on with it")
    refuse_changes(run, settings)
    refuse_links(run)
    return run


def note_changes(run: RunFolder, settings: StageSettings, report: Report) -> None:
    """Note in a run that is held what is another way than it was, so that its configuration is that of its next step."""
    found = differences(run, settings)
    if found:
        run.change(found)
        report(f"going on with {run.path}, but {', '.join(f'{key} was {before} and is {now}' for key, (before, now) in found.items())}")


@contextmanager
def removed_on_failure(run: RunFolder, fresh: bool) -> Iterator[None]:
    """Nothing half-made stays behind when there was nothing to train."""
    try:
        yield
    except BaseException as error:
        elsewhere = isinstance(error, BusyError) and error.where == str(run.path)
        if fresh and not elsewhere:  # another process may go on with a folder as soon as it is there
            shutil.rmtree(run.path, ignore_errors=True)
        raise
