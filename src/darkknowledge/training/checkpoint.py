"""Training states on disk: each is one file, whose name ends with the SHA-256 of its bytes, and two of them are kept.

A state is there, whole, from the moment of its renaming, and only then the one before the last goes. So a crash at any moment leaves the state before
or the new one, and whatever happens to the newest file later, there is another to go back to.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import torch

from darkknowledge.contract import Report
from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import flush_folder, newer_schema, raise_together, storage_error, verify_digest, write_file_with_digest
from darkknowledge.runs.torch_file import read_torch_file

SCHEMA = 1
NAME = re.compile(r"state-.+-[0-9a-f]{64}\.pt")


def save_state(folder: Path, state: dict[str, Any], *, name: str) -> None:
    """Save ``state`` (tensors, numbers, text, and lists and dictionaries of them) as the newest of ``folder``, beside the one before it.

    ``name`` comes after the names of the states before it, and numbers in it have the same number of digits.

    Raises:
        ResourceError: it cannot be written; the states before it are as they were.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True)
            flush_folder(folder.parent)
        newest = write_file_with_digest(folder / f"state-{name}.pt", lambda file: _write({"schema": SCHEMA, **state}, file))
        for old in [path for path in saved_states(folder) if path != newest][:-1]:
            old.unlink()
    except OSError as error:
        raise storage_error(error, folder) from error


def load_state(folder: Path, *, report: Report = warnings.warn) -> dict[str, Any] | None:
    """The newest state in ``folder`` that is as it was written, or ``None`` where training never saved one.

    Newer ones that are damaged are reported, and renamed, so that they do not count among the two that are kept.

    Raises:
        IntegrityError: all are damaged, or one was written by a newer version.
    """
    faults: dict[Path, IntegrityError] = {}
    for path in reversed(saved_states(folder)):
        try:
            saved = _read(path)
        except IntegrityError as error:
            faults[path] = error
            continue
        state = _known(saved, path)
        for damaged, fault in faults.items():
            report(f"warning: in {folder} {fault.what}: going on from the state before it, {path.name}")
            damaged.rename(damaged.with_name(f"damaged-{damaged.name}"))
        return state
    raise_together([*faults.values()])
    return None


def saved_states(folder: Path) -> list[Path]:
    """The files of the states in a folder, from the oldest to the newest."""
    return sorted(path for path in folder.glob("state-*.pt") if NAME.fullmatch(path.name))


def read_state(path: Path) -> dict[str, Any]:
    """The state in a file.

    Raises:
        IntegrityError: the file is not the one that was written, holds no training state, or was written by a newer version.
    """
    return _known(_read(path), path)


def _read(path: Path) -> dict[str, Any]:
    """What was saved: the state and its schema."""
    verify_digest(path)
    saved = read_torch_file(path)
    if not isinstance(saved, dict) or "schema" not in saved:
        raise IntegrityError(f"{path.name} holds no training state", where=str(path), fix="start the run anew")
    return saved


def _known(saved: dict[str, Any], path: Path) -> dict[str, Any]:
    if (schema := saved.pop("schema")) != SCHEMA:
        raise newer_schema(path, schema, SCHEMA)
    return saved


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # torch puts an error of its own in the place of the file system's.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
