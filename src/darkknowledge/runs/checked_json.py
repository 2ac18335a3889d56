"""JSON that says itself what it must be: it begins with its schema and ends with the SHA-256 of the rest.

It may vouch for files beside it, under ``files``: by name their size and SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import Written, as_text, newer_schema, read_json_and_text, write_text

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
    found, text = read_json_and_text(path)
    schema = found.get("schema", 1) if isinstance(found, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise newer_schema(path, schema, SCHEMA)
    content = {name: value for name, value in found.items() if name not in ("schema", "sha256")} if schema else {}
    earlier = schema == 1 and "sha256" not in found
    if not earlier and (schema != SCHEMA or not _is_text_of(text, content)):
        raise IntegrityError(
            f"{path.name} is not the file that was written",
            where=str(path),
            why="it does not end with the SHA-256 of what it says",
            fix="restore the file or make the folder anew",
        )
    return content


def vouched_for(path: Path) -> dict[str, Written]:
    """The files that one of these vouches for; none where an earlier version wrote it.

    Raises:
        IntegrityError: as `read_checked`, or it names them in another way.
    """
    try:
        return {name: Written(**written) for name, written in read_checked(path).get("files", {}).items()}
    except (AttributeError, TypeError) as error:
        raise IntegrityError(
            f"{path.name} does not say what the files beside it are: {error}", where=str(path), fix="do not use this folder"
        ) from error


def _text(content: Mapping[str, Any]) -> str:
    content = {"schema": SCHEMA, **content}
    return as_text({**content, "sha256": hashlib.sha256(as_text(content).encode()).hexdigest()})


def _is_text_of(text: bytes, content: Mapping[str, Any]) -> bool:
    """Whether this is what `write_checked` writes, to the last space."""
    try:
        return text == _text(content).encode()
    except ValueError:  # NaN and infinities, which Python reads and JSON doesn't know
        return False
