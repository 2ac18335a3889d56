"""Reading what ``torch.save`` wrote: the one place that calls ``torch.load``.

Such a file is a small program that builds its content. With ``weights_only=True`` it can build tensors and plain values alone; what it could still
do is ask for far more memory than the file has bytes, and that is refused before it runs.
"""

from __future__ import annotations

import mmap
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from darkknowledge.errors import IntegrityError, ResourceError
from darkknowledge.runs.surroundings import refuse_unrestricted_loading

_ZIP, _TAR = b"PK\3\4", b"ustar"
_FILLS_MEMORY = b"bytearray"
"""The one call that PyTorch allows such a program and that fills as much memory as it names, in a number of a few digits."""


def read_torch_file(path: Path) -> Any:
    """Tensors on the CPU, numbers, text, and lists and dictionaries of them. Nothing in the file is executed.

    Raises:
        IntegrityError: it cannot be read, is damaged, holds other objects, or would fill more memory than it has bytes.
        ResourceError: it does not fit into the memory.
        UsageError: the environment tells PyTorch to run what files hold.
    """
    refuse_unrestricted_loading()
    try:
        _require_modest(path)
        with warnings.catch_warnings(action="ignore"):  # about pickle's protocol, of no use to whoever wants the weights
            return torch.load(path, map_location="cpu", weights_only=True)
    except IntegrityError:
        raise
    except Exception as error:  # a damaged file fails in as many ways as there are bytes
        if isinstance(error, OSError) and error.errno:
            raise IntegrityError(
                f"{path.name} cannot be read: {error.strerror}", where=str(path), fix="check the path and its permissions"
            ) from error
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            what = f"the memory is not enough to read {path.name}"
            raise ResourceError(what, where=str(path), fix="get the file again, or free some memory") from error
        if "global" in str(error).lower():
            raise IntegrityError(
                f"{path.name} holds Python objects and not only weights: it was not opened",
                where=str(path),
                why="reading such objects can run any code that the file's author put there",
                fix="where you trust the file, save its weights alone with torch.save(model.state_dict(), …) or as .safetensors",
            ) from error
        # PyTorch's own message is not repeated: it advises to open the file without protection.
        raise IntegrityError(
            f"{path.name} is damaged, or no file of PyTorch's",
            where=str(path),
            fix="get the file again; weights are read from .safetensors and from what torch.save(model.state_dict(), …) writes, nothing else",
        ) from error


def _require_modest(path: Path) -> None:
    """Refuse a file that would fill more memory than it has bytes: one that is compressed, or a program that asks for it."""
    with path.open("rb") as file:
        start = file.read(512)
    if _TAR in start[257:]:  # for which PyTorch would make a temporary folder before it refuses
        raise ValueError("a tar archive")
    if not (_is_modest_archive(path) if start.startswith(_ZIP) else not _mentions(path, _FILLS_MEMORY)):  # as PyTorch tells its formats
        raise IntegrityError(
            f"{path.name} would fill more memory than it has bytes: it was not opened",
            where=str(path),
            why="torch.save neither compresses nor writes such a thing",
            fix="do not use this file, or have its author save the weights as .safetensors",
        )


def _is_modest_archive(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members) or sum(member.file_size for member in members) > path.stat().st_size:
            return False
        return not any(_FILLS_MEMORY in archive.read(member) for member in members if member.filename.endswith(".pkl"))


def _mentions(path: Path, word: bytes) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(word) >= 0
