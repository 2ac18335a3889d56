"""Durable files: a file under its final name is whole, and a folder's manifest says what its bytes must be.

Every writer here stages under a temporary name in the same folder, flushes to the disk, renames and flushes the folder, so that a crash at any
moment leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from darkknowledge.errors import DarkKnowledgeError, IntegrityError, ResourceError

MANIFEST = "manifest.json"
SCHEMA = 1


def write_file(path: Path, writer: Callable[[BinaryIO], object]) -> None:
    """Create or replace ``path`` with what ``writer`` writes into the open file.

    Raises:
        ResourceError: no space, no permission, or any other fault of the file system; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Create or replace ``path`` with ``data``; errors as `write_file`."""
    write_file(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """Create or replace ``path`` with ``text`` in UTF-8; errors as `write_file`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Create or replace ``path`` with ``value`` as indented JSON (no NaN, no infinity); errors as `write_file`."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in the JSON file ``path``.

    Raises:
        IntegrityError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise IntegrityError(f"{path.name} is not valid JSON: {error}", where=str(path), fix="restore the file or make the folder anew") from error


def write_manifest(folder: Path, names: Iterable[str]) -> None:
    """Record size and SHA-256 of the named files of ``folder``; written last, it makes them count."""
    entries = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in sorted(names)}
    write_json(folder / MANIFEST, {"schema": SCHEMA, "files": entries})


def verify_manifest(folder: Path, *, required: Iterable[str] = ()) -> None:
    """Check every file that the manifest of ``folder`` names; the ``required`` ones must be among them.

    Raises:
        IntegrityError: the manifest or a file is missing, or a file's size or SHA-256 is another; the first such file is named.
    """
    if not (folder / MANIFEST).is_file():
        raise IntegrityError(f"{folder} has no {MANIFEST}: it was never finished", where=str(folder), fix="make it anew")
    entries = _read_manifest(folder / MANIFEST)
    for name in required:
        if name not in entries:
            raise IntegrityError(f"the manifest does not name {name}", where=str(folder / MANIFEST), fix="make the folder anew")
    for name, (size, digest) in entries.items():
        path = folder / name
        if "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
            raise IntegrityError(f"the manifest names a file outside its folder: {name!r}", where=str(folder), fix="do not use this folder")
        if not path.is_file():
            raise IntegrityError(f"{name} is missing", where=str(folder), fix="restore the file or make the folder anew")
        if path.stat().st_size != size or sha256(path) != digest:
            raise IntegrityError(
                f"{name} is not the file that was written",
                where=str(path),
                why="its size or SHA-256 differs from the manifest, so its content cannot be trusted",
                fix="restore the file or make the folder anew",
            )


def _read_manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Name to size and SHA-256."""
    manifest = read_json(path)
    try:
        if manifest["schema"] == SCHEMA:
            return {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path.name} is no manifest: {error!r}", where=str(path), fix="make the folder anew") from error
    raise IntegrityError(
        f"{path.name} has schema {manifest['schema']!r}, and {SCHEMA} is the one known here", where=str(path), fix="use a newer darkknowledge"
    )


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def storage_error(error: OSError, path: Path) -> DarkKnowledgeError:
    """The message for a file system's refusal to write ``path``."""
    advice = {
        errno.ENOSPC: "free some space or choose another folder with out=…",
        errno.EDQUOT: "free some space or choose another folder with out=…",
        errno.EACCES: "choose a folder that you may write to with out=…",
        errno.EPERM: "choose a folder that you may write to with out=…",
        errno.EROFS: "choose a folder on a writable file system with out=…",
    }
    return ResourceError(
        f"cannot write {path.name}: {error.strerror or error}",
        where=str(path),
        fix=advice.get(error.errno or 0, "check the path and the file system"),
    )


def flush_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files that they name."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
