"""A shard with the file beside it that makes it count, and the manifest that makes all of them count."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import sha256, write_bytes, write_text
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._layout import AGAIN, MANIFEST, read_sealed, reason, sealed, whole
from darkknowledge.transfer._manifest import Manifest
from darkknowledge.transfer._plan import Plan
from darkknowledge.transfer._shard import Columns, map_columns, to_bytes
from darkknowledge.transfer._statistics import Statistics, merged, statistics_of
from darkknowledge.transfer.codec import Codec

SEAL = "sidecar_sha256"
"""Of the sidecar itself: its ``sha256`` is the shard's."""
ANEW = "remove the file and record again with the same settings, which makes it anew"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a shard must be."""

    rows: int
    first_key: int
    last_key: int
    bytes: int
    sha256: str
    statistics: Statistics

    @classmethod
    def of(cls, columns: Columns, identity: Identity, *, size: int, digest: str) -> Sidecar:
        """The sidecar of these columns, whose file has this size and SHA-256."""
        return cls(len(columns), int(columns.keys[0]), int(columns.keys[-1]), size, digest, statistics_of(columns, identity))

    @classmethod
    def read(cls, path: Path, codec: Codec) -> Sidecar:
        """The sidecar in a file, of a shard whose rows are of this codec.

        Raises:
            IntegrityError: the file is damaged.
        """
        content = read_sealed(path, SEAL, optional=True)
        try:
            if set(content) != {field.name for field in fields(cls)}:
                raise ValueError(f"its fields are {sorted(content)}")
            rows, first_key, last_key, size = (whole(content, name) for name in ("rows", "first_key", "last_key", "bytes"))
            return cls(rows, first_key, last_key, size, str(content["sha256"]), Statistics.from_dict(content["statistics"], codec))
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{path.name} does not describe a shard", where=str(path), why=reason(error), fix=AGAIN) from error

    def to_text(self) -> str:
        """The file's text."""
        return sealed({**asdict(self), "statistics": self.statistics.to_dict()}, SEAL)


def write_shard(folder: Path, plan: Plan, number: int, columns: Columns) -> Sidecar:
    """Write a shard and then its sidecar, which is returned.

    Raises:
        ResourceError: no space, no permission.
    """
    name, data = plan.shards[number], to_bytes(columns)
    sidecar = Sidecar.of(columns, plan.identity, size=data.size, digest=hashlib.sha256(data).hexdigest())
    write_bytes(folder / f"{name}.arrow", data)
    write_text(folder / f"{name}.json", sidecar.to_text())
    return sidecar


def finished_shards(folder: Path, plan: Plan) -> dict[int, Sidecar]:
    """The shards of a build that are there with their sidecars, by number."""
    found = {}
    for number, name in enumerate(plan.shards):
        shard, path = folder / f"{name}.arrow", folder / f"{name}.json"
        if path.is_file() and shard.is_file():
            sidecar, keys = _of_a_build(path, plan), plan.shard_keys(number)
            there = (sidecar.rows, sidecar.first_key, sidecar.last_key, sidecar.bytes)
            if there == (len(keys), int(keys[0]), int(keys[-1]), shard.stat().st_size):
                found[number] = sidecar
    return found


def _of_a_build(path: Path, plan: Plan) -> Sidecar:
    """A sidecar that can be made anew; errors as `Sidecar.read`."""
    try:
        return Sidecar.read(path, plan.identity.codec)
    except IntegrityError as error:
        raise IntegrityError(error.what, where=error.where, why=error.why, fix=ANEW) from error


def commit(folder: Path, plan: Plan, *, environment: Mapping[str, Any], written: Mapping[int, Sidecar]) -> Statistics:
    """Check every shard against its sidecar and write the manifest.

    Sidecars that are not among those ``written`` just now, by number, are checked against the shards too: they lay there while nobody was at work.

    Raises:
        IntegrityError: a shard is not what its sidecar says, or a sidecar not what was written.
    """
    files, sidecars = {}, finished_shards(folder, plan)
    for number, name in enumerate(plan.shards):
        shard, beside, sidecar = folder / f"{name}.arrow", folder / f"{name}.json", sidecars[number]
        if sha256(shard) != sidecar.sha256:
            raise _altered(shard, why="its SHA-256 differs")
        expected = written[number].statistics if number in written else _statistics(shard, sidecar.rows, plan.identity)
        if not expected.close_to(sidecar.statistics):
            raise _altered(beside, why="its statistics are not those of the shard")
        files[f"{name}.arrow"] = (sidecar.bytes, sidecar.sha256)
        files[f"{name}.json"] = (beside.stat().st_size, sha256(beside))
    statistics = merged([sidecars[number].statistics for number in range(len(plan.shards))])
    manifest = Manifest(plan.identity, environment, len(plan.keys), plan.shard_rows, plan.keys_digest, statistics, files)
    write_text(folder / MANIFEST, manifest.to_text())
    return statistics


def _statistics(shard: Path, rows: int, identity: Identity) -> Statistics:
    return statistics_of(map_columns(shard, rows=rows, width=identity.bytes_per_answer), identity)


def _altered(path: Path, *, why: str) -> IntegrityError:
    return IntegrityError(f"{path.name} is not the file that was written", where=str(path), why=why, fix=ANEW)
