"""The training state on disk: a whole file under a name of its own, then the manifest that points at it, then the old file goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import MANIFEST, read_json, verify_manifest, write_file, write_manifest


def save_state(folder: Path, state: dict[str, Any], *, step: int) -> None:
    """Save ``state`` (tensors, numbers, text, and lists and dictionaries of them) as the newest of ``folder``."""
    folder.mkdir(exist_ok=True)
    path = folder / f"state-{step:08d}.pt"
    write_file(path, lambda file: torch.save(state, file))
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
