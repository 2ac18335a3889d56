"""What is checked before a set is used: that it is whole, that the inputs are those of the teacher, that a temperature is served."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkknowledge.contract import Batch
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer._layout import AGAIN, MANIFEST, PLAN, SHARDS, read_sealed, reason, shard_count, whole
from darkknowledge.transfer._manifest import Manifest
from darkknowledge.transfer.codec.topk import TopK, undeclared


def checked_manifest(folder: Path) -> Manifest:
    """The manifest of a set whose files are all there, with their sizes.

    Raises:
        UsageError: there is no transfer set.
        IntegrityError: it is not finished, damaged, or has parts outside its folder.
    """
    if not (folder / MANIFEST).is_file():
        raise _no_set(folder)
    manifest = Manifest.read(folder)
    for part in (folder / SHARDS, *(folder / name for name in manifest.files)):
        if part.is_symlink():
            raise IntegrityError(f"{part.name} is a link", where=str(part), why="a transfer set holds its own files", fix="copy the files, not links")
    for name, (size, _) in manifest.files.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            what = f"{name} is missing" if found is None else f"{name} has {found} bytes, {size} were written"
            raise IntegrityError(what, where=str(folder / name), fix=AGAIN)
    return manifest


def checksums(inputs: Tensor) -> NDArray[np.uint32]:
    """CRC-32 (B,) of each input's bytes as little-endian float32, in the order of its axes."""
    flat = inputs.detach().to("cpu", torch.float32).contiguous().view(len(inputs), -1).numpy()
    return np.fromiter(map(zlib.crc32, flat), np.uint32, len(flat))


def require_same_inputs(recorded: NDArray[np.uint32], batch: Batch, *, where: str) -> None:
    """Refuse a batch whose inputs have other checksums than the ``recorded`` ones (B,).

    Raises:
        IntegrityError: some have; they are counted and the first is named.
    """
    wrong = np.flatnonzero(recorded != checksums(batch.inputs))
    if len(wrong):
        raise IntegrityError(
            f"the pictures are not the ones that the teacher saw: {len(wrong)} of {len(batch)} differ, first id {int(batch.ids[wrong[0]])}",
            where=where,
            why="the soft target of one picture would be taught for another",
            fix="use the data, the transform and the seed that the set was recorded with, or record it anew",
        )


def captured_mass(manifest: Manifest, temperature: float) -> float:
    """The mean share of the soft target at ``temperature`` that lies on recorded classes: 1 for a codec that keeps all.

    Raises:
        UsageError: the temperature was not declared when the set was recorded.
    """
    captured, declared = manifest.statistics.captured, manifest.identity.codec.temperatures
    if captured is None or declared is None:
        return 1.0
    if temperature not in declared:
        raise undeclared(temperature, declared)
    return captured[declared.index(temperature)]


def require_captured(manifest: Manifest, temperature: float, *, least: float, where: str) -> None:
    """Refuse a temperature at which the mean captured share is below ``least``.

    Raises:
        UsageError: it is, or the temperature was not declared.
    """
    mass, codec = captured_mass(manifest, temperature), manifest.identity.codec
    if mass < least and isinstance(codec, TopK):
        raise UsageError(
            f"at temperature {temperature:g} the {codec.k} recorded of {codec.classes} classes hold {mass:.3f} of the soft target, "
            f"and {least:g} is wanted",
            where=where,
            why="the rest is spread evenly over the other classes, so most of what the student learns would be made up",
            fix="use a lower temperature, or record the set with a larger k or with codec=uint8",
        )


def _no_set(folder: Path) -> IntegrityError | UsageError:
    if not (folder / PLAN).is_file():
        what = f"there is no folder {folder}"
        if folder.exists():
            what = f"there is no transfer set at {folder}" if folder.is_dir() else f"{folder} is a file, not the folder of a transfer set"
        return UsageError(what, where=str(folder), fix=f"give the folder that holds a {MANIFEST} and {SHARDS}/")
    try:
        content = read_sealed(folder / PLAN)
        count = shard_count(whole(content, "rows", least=1), whole(content, "shard_rows", least=1))
    except (KeyError, TypeError, ValueError) as error:
        return IntegrityError(f"{PLAN} describes no build", where=str(folder / PLAN), why=reason(error), fix=AGAIN)
    done = len(list((folder / SHARDS).glob("*.json")))
    return IntegrityError(
        f"the transfer set {folder} is not finished: {done} of {count} shards",
        where=str(folder),
        fix="record it again with the same settings, which goes on where it stopped",
    )
