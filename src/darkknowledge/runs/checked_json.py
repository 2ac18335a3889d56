"""JSON that says itself what it must be: it begins with its schema and ends with the SHA-256 of the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import as_text, newer_schema, read_json, write_text

SCHEMA = 2
"""Files of schema 1 did not end with their digest."""


def write_checked(path: Path, content: Mapping[str, Any]) -> None:
    """Create or replace ``path`` with ``content``, in which nothing is named schema or sha256; errors as `darkknowledge.runs.files.write_file`."""
    write_text(path, _text(content))


def read_checked(path: Path) -> dict[str, Any]:
    """What `write_checked` was given.

    Raises:
        IntegrityError: the file is missing, is not the one that was written, or was written by a newer version.
    """
    found = read_json(path)
    schema = found.get("schema", 1) if isinstance(found, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise newer_schema(path, schema, SCHEMA)
    earlier = schema == 1 and "sha256" not in found
    if not earlier and (schema != SCHEMA or not _is_text_of(path, found)):
        raise IntegrityError(
            f"{path.name} is not the file that was written",
            where=str(path),
            why="it does not end with the SHA-256 of what it says",
            fix="restore the file or make the folder anew",
        )
    return {name: value for name, value in found.items() if name not in ("schema", "sha256")}


def _text(content: Mapping[str, Any]) -> str:
    content = {"schema": SCHEMA, **content}
    return as_text({**content, "sha256": hashlib.sha256(as_text(content).encode()).hexdigest()})


def _is_text_of(path: Path, found: Mapping[str, Any]) -> bool:
    """Whether the file is what `write_checked` writes for that content, to the last space."""
    try:
        return path.read_bytes() == _text({name: value for name, value in found.items() if name not in ("schema", "sha256")}).encode()
    except ValueError:  # NaN and infinities, which Python reads and JSON doesn't know
        return False
