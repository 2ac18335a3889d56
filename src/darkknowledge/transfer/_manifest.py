"""``manifest.json``: the one file that makes the others count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkknowledge.errors import DarkKnowledgeError, IntegrityError
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._layout import AGAIN, MANIFEST, SCHEMA, read_sealed, reason, sealed, shard_count, shard_names, whole
from darkknowledge.transfer._statistics import Statistics


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished set is: its identity, where it was recorded, its rows, the SHA-256 of its keys, and size and SHA-256 of every other file."""

    identity: Identity
    environment: Mapping[str, Any]
    rows: int
    shard_rows: int
    keys: str
    statistics: Statistics
    files: Mapping[str, tuple[int, str]]

    @property
    def shards(self) -> list[str]:
        """The names of all shards."""
        return shard_names(shard_count(self.rows, self.shard_rows))

    def rows_of(self, number: int) -> int:
        """How many rows a shard has."""
        return min(self.shard_rows, self.rows - number * self.shard_rows)

    def to_text(self) -> str:
        """The file's text; its ``sha256`` is that of the text without it."""
        content = {
            "schema": SCHEMA,
            "identity": self.identity.to_dict(),
            "environment": dict(self.environment),
            "rows": self.rows,
            "shard_rows": self.shard_rows,
            "keys": self.keys,
            "statistics": self.statistics.to_dict(),
            "files": {name: {"bytes": size, "sha256": sha256} for name, (size, sha256) in self.files.items()},
        }
        return sealed(content)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of a set.

        Raises:
            IntegrityError: it is not the text that was written, or is written by another version.
        """
        path = folder / MANIFEST
        content = read_sealed(path)
        if content.get("schema") != SCHEMA:
            what = f"{MANIFEST} has schema {content.get('schema')!r}, and {SCHEMA} is the one known here"
            raise IntegrityError(what, where=str(path), fix="use a newer darkknowledge")
        try:
            return _parsed(content)
        except (AttributeError, KeyError, TypeError, ValueError, DarkKnowledgeError) as error:
            raise IntegrityError(f"{MANIFEST} does not describe a transfer set", where=str(path), why=reason(error), fix=AGAIN) from error


def _parsed(content: dict[str, Any]) -> Manifest:
    rows, shard_rows = whole(content, "rows", least=1), whole(content, "shard_rows", least=1)
    files = {name: (whole(entry, "bytes"), str(entry["sha256"])) for name, entry in content["files"].items()}
    # A first look at the number alone: the names of a billion shards would fill the memory.
    if 2 * shard_count(rows, shard_rows) != len(files):
        raise ValueError(f"it names {len(files)} files for {rows} rows in shards of {shard_rows}")
    if set(files) != {name + ending for name in shard_names(shard_count(rows, shard_rows)) for ending in (".arrow", ".json")}:
        raise ValueError("it names other files than its shards")
    if not isinstance(content["environment"], dict):
        raise TypeError("its environment is no object")
    identity = Identity.from_dict(content["identity"])
    statistics = Statistics.from_dict(content["statistics"], identity.codec)
    if statistics.rows != rows:
        raise ValueError(f"its statistics are those of {statistics.rows} of {rows} rows")
    return Manifest(
        identity=identity,
        environment=content["environment"],
        rows=rows,
        shard_rows=shard_rows,
        keys=str(content["keys"]),
        statistics=statistics,
        files=files,
    )
