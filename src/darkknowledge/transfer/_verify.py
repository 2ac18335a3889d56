"""Looking at every byte of a transfer set, and naming every file that is not what it must be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import sha256
from darkknowledge.runs.own_lock import held_by_anybody
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._keys import keys_digest
from darkknowledge.transfer._layout import AGAIN, LOCK, MANIFEST, PLAN, SHARDS, printable
from darkknowledge.transfer._manifest import Manifest
from darkknowledge.transfer._shard import Columns, map_columns
from darkknowledge.transfer._sidecar import Sidecar
from darkknowledge.transfer._statistics import chunks, merged
from darkknowledge.transfer._transfer_set import TransferSet

LOCKS = re.compile(rf"{re.escape(LOCK)}(-\d+-of-\d+)?")
LEFT = re.compile(rf"{re.escape(PLAN)}|({SHARDS}/)?\..+\.tmp-[^/]+")
LEFT_BEHIND = "was left by a recording that was killed at its very end; the same dk record command tidies up"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file of the set."""

    file: str
    what: str


def verify(path: str | os.PathLike[str]) -> TransferSet:
    """The set in the folder ``path``, after a look at every byte of it.

    Raises:
        UsageError: there is no transfer set.
        IntegrityError: something is wrong with it; the message names every file that is not as it was written, and files that don't belong to it.
    """
    folder = Path(path)
    found = faults(folder) if (folder / MANIFEST).is_file() else ()
    if found:
        lines = "".join(f"\n  {printable(fault.file)}: {printable(fault.what)}" for fault in found)
        raise IntegrityError(f"{len({fault.file for fault in found})} files of {folder} are not as they were written:{lines}", fix=_fix(found))
    return TransferSet.open(folder)


def _fix(found: Sequence[Fault]) -> str:
    return "record it again with the same settings" if {fault.what for fault in found} == {LEFT_BEHIND} else AGAIN


def faults(path: str | os.PathLike[str]) -> tuple[Fault, ...]:
    """All that is wrong with the set in the folder ``path``, by the names of its files; nothing if it is sound."""
    folder = Path(path)
    try:
        manifest = Manifest.read(folder)
    except IntegrityError as error:
        return (Fault(MANIFEST, f"{error.what} {f'({error.why})' if error.why else ''}".strip()),)
    return (*_strangers(folder, manifest), *_shard_faults(folder, manifest))


def _strangers(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    found = {path: path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))}
    at_work = any(held_by_anybody(path) for path, name in found.items() if LOCKS.fullmatch(name))
    for path, name in found.items():
        if path.is_symlink() and name not in manifest.files:
            yield Fault(name, "is a link")
        elif name in {MANIFEST, SHARDS, *manifest.files} or (path.is_file() and LOCKS.fullmatch(name)):
            continue
        elif path.is_file() and LEFT.fullmatch(name):
            if not at_work:
                yield Fault(name, LEFT_BEHIND)
        elif path.exists():  # a recording that ends has removed what it needs no longer
            yield Fault(name, "does not belong to the set")


def _shard_faults(folder: Path, manifest: Manifest) -> Iterator[Fault]:
    keys, sidecars, last = [], [], -1
    for number, name in enumerate(manifest.shards):
        damaged = [*_file_faults(folder, manifest, f"{name}.arrow"), *_file_faults(folder, manifest, f"{name}.json")]
        yield from damaged
        if damaged:
            continue
        try:
            columns = map_columns(folder / f"{name}.arrow", rows=manifest.rows_of(number), width=manifest.identity.bytes_per_answer)
            sidecar = Sidecar.read(folder / f"{name}.json", manifest.identity.codec)
        except IntegrityError as error:
            yield Fault(name, error.what)
            continue
        yield from _content_faults(name, columns, sidecar, manifest.identity, last=last)
        last = int(columns.keys[-1])
        keys.append(columns.keys)
        sidecars.append(sidecar)
    if len(sidecars) == len(manifest.shards):
        if keys_digest(*keys) != manifest.keys:
            yield Fault(MANIFEST, "its digest is not that of the shards' keys")
        if merged([sidecar.statistics for sidecar in sidecars]) != manifest.statistics:
            yield Fault(MANIFEST, "its statistics are not those of the shards")


def _file_faults(folder: Path, manifest: Manifest, name: str) -> Iterator[Fault]:
    path, (size, digest) = folder / name, manifest.files[name]
    if path.is_symlink():
        yield Fault(name, "is a link")
    elif not path.is_file():
        yield Fault(name, "is missing")
    elif (found := path.stat().st_size) != size:
        yield Fault(name, f"has {found} bytes, {size} were written")
    elif sha256(path) != digest:
        yield Fault(name, "has another SHA-256 than was written")


def _content_faults(name: str, columns: Columns, sidecar: Sidecar, identity: Identity, *, last: int) -> Iterator[Fault]:
    """What no checksum shows: content that nobody could have recorded."""
    if columns.keys[0] <= last or (np.diff(columns.keys) <= 0).any():
        yield Fault(f"{name}.arrow", "its keys do not ascend")
    codec = identity.codec
    broken = sum(int(codec.broken(answers.view(-1, codec.width)).sum()) for _, _, answers in chunks(columns, identity))
    if broken:
        yield Fault(f"{name}.arrow", f"{broken} answers are nothing that {codec.name} writes")
        return
    seen = Sidecar.of(columns, identity, size=sidecar.bytes, digest=sidecar.sha256)
    if (seen.rows, seen.first_key, seen.last_key) != (sidecar.rows, sidecar.first_key, sidecar.last_key):
        yield Fault(f"{name}.json", "its rows or keys are not those of the shard")
    if not seen.statistics.close_to(sidecar.statistics):
        yield Fault(f"{name}.json", "its statistics are not those of the shard")
