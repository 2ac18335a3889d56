"""Durable files: a file under its final name is whole, and something says what its bytes must be.

Every writer here stages under a temporary name in the same folder, flushes to the disk, renames and flushes the folder, so that a crash at any
moment leaves the old file or the new one. What the bytes must be says a folder's manifest, written last; a record's own last line; or a file's name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from darkknowledge.errors import DarkKnowledgeError, IntegrityError, ResourceError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

R = TypeVar("R")

MANIFEST = "manifest.json"
SCHEMA = 1
LARGEST = 1 << 25
"""Bytes beyond which a JSON file is none of ours: a million class names need fewer."""
WORTH_A_THREAD = 1 << 20
"""Bytes that are hashed on one core while another writes them."""
TEMPORARY = re.compile(r"\..+\.tmp-\d+-[0-9a-f]{8}")
"""Names under which files are staged; one that is still there when nobody is at work was left by a process that was killed."""


HICCUPS = (errno.EIO, errno.ESTALE)
"""Faults of a file system that may pass, such as those of a network."""
PAUSES = (0.1, 1.0)
"""Seconds after which what met such a fault is tried again."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written as a file: its size in bytes, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Written:
        """What a file holds now."""
        return cls(path.stat().st_size, sha256(path))


def write_file(path: Path, writer: Callable[[BinaryIO], object]) -> Written:
    """Create or replace ``path`` with what ``writer`` writes, from its beginning to its end, into the open file.

    Raises:
        ResourceError: no space, no permission, or any other fault of the file system; the old file is intact.
    """
    return _write(path, writer, lambda written: path)[1]


def write_file_with_digest(path: Path, writer: Callable[[BinaryIO], object]) -> Path:
    """Create a file as `write_file` does, under the name of ``path`` with the SHA-256 of its bytes before the suffix; where it lies.

    The rename that makes it appear is all that there is to be done, so it is there and can be checked (`verify_digest`), or it is not there.
    After one of the `HICCUPS` the writer is called again.
    """
    return _patiently(lambda: _write(path, writer, lambda written: path.with_name(f"{path.stem}-{written.sha256}{path.suffix}"))[0])


def write_bytes(path: Path, data: bytes) -> Written:
    """Create or replace ``path`` with ``data``; errors as `write_file`."""
    return _patiently(lambda: write_file(path, lambda file: file.write(data)))


def write_text(path: Path, text: str) -> Written:
    """Create or replace ``path`` with ``text`` in UTF-8; errors as `write_file`."""
    return write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> Written:
    """Create or replace ``path`` with ``value`` as indented JSON (no NaN, no infinity); errors as `write_file`."""
    return write_text(path, as_text(value))


def as_text(value: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """The value in the JSON file ``path``.

    Raises:
        IntegrityError: the file is missing, absurdly large or no JSON.
    """
    return read_json_and_text(path)[0]


def read_json_and_text(path: Path) -> tuple[Any, bytes]:
    """The value in a JSON file, and the text that it was read from; errors as `read_json`."""
    try:
        require_modest(path, largest=LARGEST)
        text = path.read_bytes()
        return json.loads(text), text
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path.name} is not valid JSON: {error}", where=str(path), fix="restore the file or make the folder anew") from error


def require_modest(path: Path, *, largest: int) -> None:
    """Refuse to read all of a pipe, which would wait for a writer, of a device, or of a file that is absurdly large.

    Raises:
        OSError: there is nothing.
        ValueError: it is no file, or one of more bytes than the ``largest``.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > largest:
        raise ValueError(f"it is no file of at most {largest:,} bytes")


def write_manifest(folder: Path, files: Mapping[str, Written]) -> None:
    """Record size and SHA-256 of files of ``folder``, by name, as their writer returned them; written last, it makes them count."""
    write_json(folder / MANIFEST, {"schema": SCHEMA, "files": {name: asdict(files[name]) for name in sorted(files)}})


def verify_manifest(folder: Path, *, required: Iterable[str] = ()) -> None:
    """Check every file that the manifest of ``folder`` names; the ``required`` ones must be among them.

    Raises:
        IntegrityError: the manifest or a file is missing, or a file's size or SHA-256 is another; every such file is named.
    """
    if not (folder / MANIFEST).is_file():
        raise IntegrityError(f"{folder} has no {MANIFEST}: it was never finished", where=str(folder), fix="make it anew")
    entries = _read_manifest(folder / MANIFEST)
    for name in required:
        if name not in entries:
            raise IntegrityError(f"the manifest does not name {name}", where=str(folder / MANIFEST), fix="make the folder anew")
    verify_files(folder, entries)


def verify_files(folder: Path, files: Mapping[str, Written]) -> None:
    """Check files of ``folder``, by name.

    Raises:
        IntegrityError: one is missing, or its size or SHA-256 is another; every such file is named.
    """
    raise_together(list(_faults(folder, files)))


def verify_digest(path: Path) -> None:
    """Check a file that `write_file_with_digest` made.

    Raises:
        IntegrityError: it cannot be read, or is not the file that was written.
    """
    try:
        found = "" if path.exists() and not path.is_file() else sha256(path)  # a pipe would wait for a writer, a device has no end
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from error
    if found != path.stem.rpartition("-")[2]:
        raise _altered(path, why="its SHA-256 is not the one in its name, so its content cannot be trusted")


def raise_together(faults: Sequence[IntegrityError]) -> None:
    """Raise them as one, if there are any."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        lines = "".join(f"\n  {fault.where}: {fault.what}" for fault in faults)
        fixes = dict.fromkeys(fault.fix for fault in faults if fault.fix)
        raise IntegrityError(f"{len(faults)} faults were found:{lines}", fix="; ".join(fixes))


def _faults(folder: Path, files: Mapping[str, Written]) -> Iterator[IntegrityError]:
    for name, written in files.items():
        path = folder / name
        if "\0" in name or not path.resolve().is_relative_to(folder.resolve()):
            yield IntegrityError(f"a file outside its folder is named: {name!r}", where=str(folder), fix="do not use this folder")
        elif not path.is_file():
            yield IntegrityError(f"{name} is missing", where=str(path), fix="restore the file or make the folder anew")
        elif Written.of(path) != written:
            yield _altered(path, why="its size or SHA-256 differs from what was noted, so its content cannot be trusted")


def _altered(path: Path, *, why: str) -> IntegrityError:
    fix = "restore the file or make the folder anew"
    return IntegrityError(f"{path.name} is not the file that was written", where=str(path), why=why, fix=fix)


def _read_manifest(path: Path) -> dict[str, Written]:
    """What must be there, by name."""
    manifest = read_json(path)
    try:
        if manifest["schema"] == SCHEMA:
            return {name: Written(entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path.name} is no manifest: {error!r}", where=str(path), fix="make the folder anew") from error
    raise newer_schema(path, manifest["schema"], SCHEMA)


def newer_schema(path: Path, found: object, known: int) -> IntegrityError:
    """The message for a file of a form that came later than this version."""
    return IntegrityError(f"{path.name} has schema {found!r}, and {known} is the one known here", where=str(path), fix="use a newer darkknowledge")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Take a file away, if it is there; errors as `write_file`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error


def sweep(folder: Path) -> None:
    """Remove what killed writers have left in a folder in which nobody else is at work."""
    for path in folder.iterdir():
        if TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def make_place(path: Path) -> None:
    """Make the folder that a file is going to lie in.

    Raises:
        ResourceError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error


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


class _Hashed(io.BufferedWriter):
    """A new file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("xb", buffering=0))
        self._digest, self._size = hashlib.sha256(), 0

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        self._size += size
        if size < WORTH_A_THREAD:
            self._digest.update(data)
            return super().write(data)
        hashing = Thread(target=self._digest.update, args=(data,))
        hashing.start()
        try:
            return super().write(data)
        finally:
            hashing.join()

    def seekable(self) -> bool:
        return False

    def seek(self, target: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation("a file that is hashed is written from its beginning to its end")

    @property
    def written(self) -> Written:
        return Written(self._size, self._digest.hexdigest())


def _patiently(write: Callable[[], R]) -> R:
    """Write anew what met one of the `HICCUPS`: after a failed flush nobody knows what of a file is on the disk."""
    for pause in PAUSES:
        try:
            return write()
        except ResourceError as error:
            if getattr(error.__cause__, "errno", None) not in HICCUPS:
                raise
        time.sleep(pause)
    return write()


def _write(path: Path, writer: Callable[[BinaryIO], object], final: Callable[[Written], Path]) -> tuple[Path, Written]:
    """Stage a file beside ``path``, and let it appear under the ``final`` name that follows from what was written."""
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with _Hashed(temporary) as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
        place = final(file.written)
        temporary.replace(place)
        flush_folder(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return place, file.written
