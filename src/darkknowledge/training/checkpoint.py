"""The training state on disk: a whole file under a name of its own, then the manifest that points at it, then the old file goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import torch

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import MANIFEST, read_json, storage_error, verify_manifest, write_file, write_manifest


def save_state(folder: Path, state: dict[str, Any], *, name: str) -> None:
    """Save ``state`` (tensors, numbers, text, and lists and dictionaries of them) as the newest of ``folder``.

    ``name`` is another for each state, so that the file which the manifest points at is never replaced.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    path = folder / f"state-{name}.pt"
    write_file(path, lambda file: _write(state, file))
    write_manifest(folder, [path.name])
    for old in folder.glob("state-*.pt"):
        if old != path:
            old.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """The state that the manifest of ``folder`` points at, or ``None`` where training never saved one.

    Raises:
        IntegrityError: the file is not the one that was written.
    """
    if not (folder / MANIFEST).is_file():
        return None
    verify_manifest(folder)
    (name,) = read_json(folder / MANIFEST)["files"]
    try:
        state: dict[str, Any] = torch.load(folder / name, map_location="cpu", weights_only=True)
    except Exception as error:
        raise IntegrityError(f"{name} holds no training state: {error}", where=str(folder / name), fix="start the run anew") from error
    return state


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(state, file)
    except RuntimeError as error:
        # torch puts an error of its own in the place of the file system's.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
