"""The folder of a stage that trains: a new one, or the one to go on with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from darkknowledge.errors import UsageError
from darkknowledge.pipeline.settings import StageSettings
from darkknowledge.runs.folder import RunFolder, open_run, refuse_links


def open_folder(kind: str, settings: StageSettings) -> tuple[RunFolder, bool]:
    """The folder of a new run, or of the one to resume, and whether it was made just now."""
    run = folder_to_resume(kind, settings)
    return (run, False) if run else (RunFolder.create(settings.out, kind=kind, config=settings.model_dump(mode="json")), True)


def folder_to_resume(kind: str, settings: StageSettings) -> RunFolder | None:
    """The run to go on with, where one is asked for and was begun.

    Raises:
        UsageError: it is no run, not of this kind, or has another configuration.
    """
    if settings.resume and settings.out is None:
        raise UsageError("resume=true does not say which run to go on with", fix="name its folder with out=…")
    if not settings.resume or settings.out is None or not settings.out.exists():
        return None
    run = open_run(settings.out, finished=False)
    if run.record["kind"] != kind:
        raise UsageError(f"{run.path} was made by {run.record['kind']}, not by {kind}", fix=f"dk {run.record['kind']} goes on with it")
    _require_same(run.config, settings.model_dump(mode="json"))
    refuse_links(run)
    return run


def _require_same(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> None:
    """Refuse to go on with another configuration; who hears of the run and how it is called may change."""
    for key in sorted({*before, *now} - {"logging", "out", "resume", "plugins"}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            _require_same(old, new, f"{prefix}{key}.")
        elif old != new:
            raise UsageError(
                f"the run to resume has {prefix}{key}={old}, and now it is {new}",
                why="a resumed run is the run that was begun",
                fix=f"leave out {prefix}{key}, or start a new run with another out=…",
            )


@contextmanager
def removed_on_failure(run: RunFolder, fresh: bool) -> Iterator[None]:
    """Nothing half-made stays behind when there was nothing to train."""
    try:
        yield
    except BaseException:
        if fresh:
            shutil.rmtree(run.path, ignore_errors=True)
        raise
