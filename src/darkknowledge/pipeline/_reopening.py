"""The data of a finished run, brought back: the same as it was trained on, and no code on the word of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from darkknowledge.data import Dataset
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.model import LIBRARIES
from darkknowledge.pipeline._materials import GIVEN, load_data, split_fingerprint
from darkknowledge.pipeline._parts import DataSettings
from darkknowledge.pipeline.settings import S, validate
from darkknowledge.runs.folder import RunFolder

_UNUSED = "do not use this folder, or read it with the version that made it"


class Reopening(Protocol):
    """What every stage is told that brings a run's data back."""

    @property
    def root(self) -> Path | None:
        """Where the data lies now, when it is not where the run found it."""

    @property
    def plugins(self) -> Sequence[str]:
        """Modules whose classes may be imported when the run names one."""


def data_of(run: RunFolder, settings: Reopening) -> Dataset:
    """The data set that a run was trained on, read from where it lies now.

    Raises:
        DataError: it is not there; the stages that bring a run's data back are told where it lies with ``root``.
        UsageError, IntegrityError: as `settings_of_data`.
    """
    try:
        return load_data(settings_of_data(run, settings))
    except DataError as error:
        raise DataError(error.what, where=error.where, why=error.why, fix=error.fix.replace("data.root=", "root=")) from error


def settings_of_data(run: RunFolder, settings: Reopening) -> DataSettings:
    """What the data was, where it lies now.

    Raises:
        UsageError: it was handed over ready-made, or would have to be imported.
        IntegrityError: the configuration does not say.
    """
    said = run.config.get("data")
    if not isinstance(said, dict):
        raise IntegrityError("config.yaml does not say which data the run was trained on", where=str(run.path / "config.yaml"), fix=_UNUSED)
    here = {"root": settings.root} if settings.root is not None else {}
    # What a file says is no reason to fetch anything.
    found = read_part(run, DataSettings, "data", said | here | {"download": False})
    if found.name == GIVEN:
        raise UsageError(
            f"{run.path} was trained on a data set that was handed over ready-made", fix="pass it again: darkknowledge.evaluate(run, data=…)"
        )
    for spelling in (found.name, found.augment or ""):
        refuse_code(run, spelling, settings)
    return found


def read_part(run: RunFolder, schema: type[S], name: str, values: Any) -> S:
    """A part of a run's configuration.

    Raises:
        IntegrityError: it is none.
    """
    try:
        return validate(schema, values)
    except UsageError as error:
        what = f"config.yaml does not describe the {name} of the run"
        raise IntegrityError(what, where=str(run.path / "config.yaml"), why=error.what, fix=_UNUSED) from error


def refuse_code(run: RunFolder, name: str, settings: Reopening) -> None:
    """Import nobody's module because a file in a run folder names it.

    Raises:
        UsageError: ``name`` is spelled ``package.module:…``, and the user has not named that module with ``plugins``.
    """
    module, colon, _ = name.partition(":")
    if colon and module not in (*LIBRARIES, *settings.plugins):
        raise UsageError(
            f"the run names {name}, which is not imported on the word of a file",
            where=str(run.path / "config.yaml"),
            why="importing a module runs its code",
            fix=f"if it is yours, allow it with plugins=[{module}]",
        )


def require_same_data(run: RunFolder, data: Dataset, *, same_split: bool = True) -> None:
    """Refuse data that are no longer what the run was trained on, nor divided in the same way.

    Raises:
        IntegrityError: they are.
    """
    trained_on, split = (run.record.get(name) for name in ("data_fingerprint", "split_fingerprint"))
    if not isinstance(trained_on, str) or not isinstance(split, str):
        raise IntegrityError("run.json does not say which data the run was trained on", where=str(run.path / "run.json"), fix=_UNUSED)
    if same_split and data.fingerprint == trained_on and split_fingerprint(data) != split:
        raise IntegrityError(
            f"the data is divided another way than {run.path} was trained on",
            why="some of its validation pictures would be ones that the network has learned",
            fix="pass the data set with the same split",
        )
    if data.fingerprint != trained_on:
        raise IntegrityError(
            f"the data is not what {run.path} was trained on",
            where=data.describe(),
            why=f"its fingerprint is {data.fingerprint[:12]}…, the run has {trained_on[:12]}…",
            fix="point root=… at the data of the run",
        )
