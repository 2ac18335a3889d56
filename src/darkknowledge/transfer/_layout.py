"""The names and the text of a transfer set's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkknowledge.errors import DarkKnowledgeError, IntegrityError

SCHEMA = 1
MANIFEST, PLAN, SHARDS, LOCK = "manifest.json", "plan.json", "shards", ".lock"
LARGEST = 1 << 25
"""Bytes beyond which a JSON file is none of a set's: 100,000 shards, or a million class names, need fewer."""
AGAIN = "restore the file, or record the set anew"


def printable(text: str) -> str:
    """A text of a set that somebody else made, safe to show: what is no visible character or space, such as a terminal's commands, becomes a mark.

    >>> printable("cat\\x1b[2J")
    'cat�[2J'
    """
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def reason(error: Exception) -> str:
    """What an error about a file says, in one printable line."""
    return printable(error.what if isinstance(error, DarkKnowledgeError) else str(error))


def whole(values: Any, name: str, *, least: int = 0) -> int:
    """The whole number in [least, 2⁶³) that a JSON object has under this name.

    Raises:
        TypeError, ValueError: it is something else.
    """
    value = values[name]
    if type(value) is not int:
        raise TypeError(f"{name} is {value!r}")
    if not least <= value < 1 << 63:
        raise ValueError(f"{name} is out of range")
    return value


def shard_count(rows: int, shard_rows: int) -> int:
    """How many shards hold ``rows`` rows; all but the last have ``shard_rows``."""
    return -(-rows // shard_rows)


def shard_names(count: int) -> list[str]:
    """The names of all shards, relative to the set and without their endings.

    >>> shard_names(2)
    ['shards/00000-of-00002', 'shards/00001-of-00002']
    """
    return [f"{SHARDS}/{number:05d}-of-{count:05d}" for number in range(count)]


def canonical(value: Any) -> str:
    """The one JSON text of a value, so that equal content is equal bytes."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def digest(text: str) -> str:
    """Hexadecimal SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: Mapping[str, Any], seal: str = "sha256") -> str:
    """The canonical text of ``content`` with the SHA-256 of the text without it, under the name ``seal``."""
    return canonical({**content, seal: digest(canonical(content))})


def read_sealed(path: Path, seal: str = "sha256", *, optional: bool = False) -> dict[str, Any]:
    """What `sealed` was given, or with ``optional`` what an earlier version wrote without a seal; errors as `read_canonical`."""
    content = read_canonical(path)
    found = content.pop(seal, None)
    if found != digest(canonical(content)) and not (optional and found is None):
        raise IntegrityError(f"{path.name} is not the file that was written", where=str(path), why="its SHA-256 differs", fix=AGAIN)
    return content


def read_canonical(path: Path) -> dict[str, Any]:
    """The object in a JSON file that must be written as `canonical` writes it.

    Raises:
        IntegrityError: the file is missing, is a link or a pipe, or is not that text of a JSON object.
    """
    if path.is_symlink() or path.is_fifo():  # which would wait for a writer
        what = f"{path.name} is a {'link' if path.is_symlink() else 'pipe'}"
        raise IntegrityError(what, where=str(path), why="a transfer set holds its own files", fix="copy the files, not links")
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        text = path.read_bytes()
        value = json.loads(text)
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error.strerror}", where=str(path), fix=AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path.name} is not valid JSON", where=str(path), why=str(error), fix=AGAIN) from error
    if not isinstance(value, dict) or not _is_canonical(value, text):
        raise IntegrityError(f"{path.name} is not the file that was written", where=str(path), why="its text was changed", fix=AGAIN)
    return value


def _is_canonical(value: Any, text: bytes) -> bool:
    try:
        return canonical(value).encode() == text
    except (ValueError, RecursionError):  # NaN and infinities, which Python reads and JSON doesn't know; what is read deeper than it can be written
        return False
