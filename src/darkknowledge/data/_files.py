"""Finding and opening a data set's files; whatever the file system refuses becomes a `DataError` that names the place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from darkknowledge.errors import DataError


def first_file(candidates: Sequence[Path]) -> Path | None:
    """The first of the paths that is a file.

    Raises:
        DataError: a folder on the way may not be searched.
    """
    for path in candidates:
        try:
            if path.is_file():
                return path
        except OSError as error:
            raise unreadable(path, error) from error
    return None


def require_folder(root: Path, *, download: bool) -> None:
    """Check that ``root`` is a folder that can be listed; ``download`` says whether that option could fill it.

    Raises:
        DataError: it is missing, a file, or closed to us.
    """
    try:
        if root.is_dir():
            next(root.iterdir(), None)
            return
        state = "is a file and not a folder" if root.exists() else "does not exist"
    except OSError as error:
        raise unreadable(root, error) from error
    raise DataError(f"the data folder {root} {state}", where=str(root.absolute()), fix=_advice(download))


def read_bytes(path: Path, *, largest: int) -> bytes:
    """The content of a file of at most ``largest`` bytes.

    Raises:
        DataError: it cannot be read, or is larger, or no file: a pipe would have us wait for its writer.
    """
    try:
        if not path.is_file() and path.exists():
            raise DataError(f"{path.name} is no file", where=str(path), fix="remove it")
        if (size := path.stat().st_size) > largest:
            raise DataError(f"{path.name} is absurdly large", where=str(path), why=f"it has {size:,} bytes", fix="fetch the file anew")
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """The message for a path that the file system refuses to show."""
    return DataError(f"{path.name or path} cannot be read: {error.strerror or error}", where=str(path), fix="check the path and its permissions")


def missing(data_set: str, file: str, searched: Iterable[Path], *, download: bool) -> DataError:
    """The message for a file that is in none of the places where it was looked for."""
    where = "looked for " + ", ".join(str(path) for path in searched)
    return DataError(f"{data_set}: {file} was not found", where=where, fix=_advice(download))


def _advice(download: bool) -> str:
    fix = "point data.root=… at the folder that holds the data set"
    return f"{fix}, or fetch it with data.download=true" if download else fix
