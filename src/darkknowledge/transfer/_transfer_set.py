"""A finished transfer set, read by memory map."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkknowledge.contract import Answer, Batch
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._keys import Numbers, keys_of, missing
from darkknowledge.transfer._layout import AGAIN, MANIFEST, PLAN, SHARDS, read_canonical, shard_count
from darkknowledge.transfer._lookup import Lookup, gather
from darkknowledge.transfer._manifest import Manifest
from darkknowledge.transfer._output import answer_of, members_of, weights_of
from darkknowledge.transfer._shard import Columns, map_columns
from darkknowledge.transfer.codec.topk import TopK, undeclared

if TYPE_CHECKING:
    from darkknowledge.transfer._loaded import LoadedSet


class TransferSet:
    """The answers of a teacher to the views of examples. Open it with `open`; ask it with ``set[ids]`` or ``set[ids, views]``.

    Its shards are mapped, so that many processes share one copy in memory and a set may be larger than that.
    """

    def __init__(self, path: Path, manifest: Manifest, shards: tuple[Columns, ...]) -> None:
        self.path, self._manifest, self.shards = path, manifest, shards
        self._lookup = Lookup([shard.keys for shard in shards], shard_rows=manifest.shard_rows)
        # A row as one item of raw bytes is the form that NumPy takes fastest.
        self._answers = [shard.answers.view(f"V{shard.answers.shape[1]}")[:, 0] for shard in shards]
        self._weights = weights_of(manifest.identity)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> TransferSet:
        """The set in the folder ``path``. The manifest, the size of every file and the form of every shard are checked; `verify` checks every byte.

        Raises:
            UsageError: there is no transfer set.
            IntegrityError: it is not finished, damaged, or has parts outside its folder.
        """
        folder = Path(path)
        if not (folder / MANIFEST).is_file():
            raise _no_set(folder)
        manifest = Manifest.read(folder)
        _check_sizes(folder, manifest)
        width = manifest.identity.bytes_per_answer
        shards = (map_columns(folder / f"{name}.arrow", rows=manifest.rows_of(number), width=width) for number, name in enumerate(manifest.shards))
        return cls(folder, manifest, tuple(shards))

    def __len__(self) -> int:
        return self._manifest.rows

    def __repr__(self) -> str:
        return f"TransferSet({str(self.path)!r}, rows={len(self)}, views={self.views}, codec={self.identity.codec.name})"

    def __reduce__(self) -> tuple[Callable[..., TransferSet], tuple[Path]]:
        return TransferSet.open, (self.path,)

    @property
    def identity(self) -> Identity:
        """What the rows belong to."""
        return self._manifest.identity

    @property
    def manifest(self) -> Manifest:
        """What ``manifest.json`` says."""
        return self._manifest

    @property
    def environment(self) -> Mapping[str, Any]:
        """Versions and hardware of the recording."""
        return self._manifest.environment

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by index."""
        return self.identity.class_names

    @property
    def views(self) -> int:
        """Views of an example, V; not every one needs to be recorded."""
        return self.identity.views

    @property
    def members(self) -> int:
        """Answers in a row: 1, or one a teacher where their probabilities are averaged."""
        return self.identity.members

    @property
    def temperatures(self) -> tuple[float, ...] | None:
        """The only temperatures at which the set can be used, or None: any."""
        return self.identity.codec.temperatures

    @property
    def bytes_per_row(self) -> int:
        """Bytes of a row: key, label, checksum and answers."""
        return 20 + self.identity.bytes_per_answer

    @cached_property
    def ids(self) -> Tensor:
        """The examples' ids, ascending, (N,) int64."""
        return torch.from_numpy(np.unique(self.keys().numpy() // self.views))

    def keys(self) -> Tensor:
        """The key of each row, ascending: id · V + view, (rows,) int64."""
        return torch.from_numpy(np.concatenate([shard.keys for shard in self.shards]))

    def labels(self, ids: Numbers) -> Tensor:
        """The label (N,) int64 of each example, `contract.IGNORED` where unknown.

        Raises:
            DataError: an example has no row.
        """
        keys = keys_of(ids, None, per_example=self.views)
        rows = self._lookup.at_least(keys)
        held = rows < len(self)
        found = gather([shard.keys for shard in self.shards], np.where(held, rows, 0), shard_rows=self._manifest.shard_rows)
        absent = ~held | (found // self.views != keys // self.views)
        if absent.any():
            raise missing(keys[absent], len(keys), per_example=self.views, where=str(self.path))
        return torch.from_numpy(gather([shard.labels for shard in self.shards], rows, shard_rows=self._manifest.shard_rows).copy())

    def __getitem__(self, which: Numbers | tuple[Numbers, Numbers]) -> Answer:
        """``set[ids]`` where an example has one view, else ``set[ids, views]``: the answers, in that order.

        Raises:
            UsageError: views are missing, or ids and views differ in number.
            DataError: a row is not there.
        """
        if isinstance(which, tuple):
            return self.answer(*which)
        if self.views > 1:
            fix = "ask with set[ids, views]"
            raise UsageError(f"the set has {self.views} views of each example, and it is not said which are meant", where=str(self.path), fix=fix)
        return self.answer(which)

    def answer(self, ids: Numbers, views: Numbers | None = None) -> Answer:
        """The answers to ``views`` (B,) of the examples ``ids`` (B,), view 0 of each by default, on the device of ``ids``; errors as ``set[ids]``."""
        rows = torch.from_numpy(self.raw(keys_of(ids, views, per_example=self.views)))
        if isinstance(ids, Tensor) and not ids.is_cpu:
            return answer_of(rows.to(ids.device), self.identity, self._weights.to(ids.device))
        return answer_of(rows, self.identity, self._weights)

    def members_of(self, ids: Numbers, views: Numbers | None = None, *, temperature: float = 1.0) -> Tensor:
        """The members' logits (M, B, C), those of a top-k set decoded at ``temperature``; errors as ``set[ids]``."""
        rows = torch.from_numpy(self.raw(keys_of(ids, views, per_example=self.views)))
        return members_of(rows.view(len(rows), self.members, self.identity.codec.width), self.identity.codec, temperature=temperature)

    def raw(self, keys: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The recorded bytes (B, W) at ``keys`` (B,).

        Raises:
            DataError: a row is not there.
        """
        taken = gather(self._answers, self._rows(keys), shard_rows=self._manifest.shard_rows)
        return taken.view(np.uint8).reshape(len(keys), self.identity.bytes_per_answer)

    def load(self, *, device: torch.device | str = "cpu", ids: Numbers | None = None, views: Numbers | None = None) -> LoadedSet:
        """The answers in the memory of a device: all, or those to ``views`` (N,) of the examples ``ids`` (N,); errors as ``set[ids]``."""
        from darkknowledge.transfer._loaded import LoadedSet

        keys = self.keys().numpy() if ids is None else np.unique(keys_of(ids, views, per_example=self.views))
        return LoadedSet(self.identity, torch.from_numpy(keys), torch.from_numpy(self.raw(keys)), where=str(self.path)).to(device)

    def require_rows(self, ids: Numbers, views: Numbers | None = None) -> None:
        """Refuse to begin with rows that are not there.

        Raises:
            DataError: some are missing; they are counted and the first are named.
        """
        self._rows(keys_of(ids, views, per_example=self.views))

    def check_alignment(self, batch: Batch) -> None:
        """Prove on a batch that its inputs are those that the teacher saw.

        Raises:
            IntegrityError: an input has another checksum than the recorded one.
            DataError: a row is not there.
        """
        rows = self._rows(keys_of(batch.ids, batch.views, per_example=self.views))
        recorded = gather([shard.input_crc32 for shard in self.shards], rows, shard_rows=self._manifest.shard_rows)
        wrong = np.flatnonzero(recorded != checksums(batch.inputs))
        if len(wrong):
            raise IntegrityError(
                f"the pictures are not the ones that the teacher saw: {len(wrong)} of {len(batch)} differ, first id {int(batch.ids[wrong[0]])}",
                where=str(self.path),
                why="the soft target of one picture would be taught for another",
                fix="use the data, the transform and the seed that the set was recorded with, or record it anew",
            )

    def captured_mass(self, temperature: float) -> float:
        """The mean share of the soft target at ``temperature`` that lies on recorded classes: 1 for a codec that keeps all.

        Raises:
            UsageError: the temperature was not declared when the set was recorded.
        """
        captured = self._manifest.statistics.captured
        if captured is None or self.temperatures is None:
            return 1.0
        if temperature not in self.temperatures:
            raise undeclared(temperature, self.temperatures)
        return captured[self.temperatures.index(temperature)]

    def require_temperature(self, temperature: float, *, least: float = 0.9) -> None:
        """Refuse to distill at a temperature where the set knows too little of the soft target.

        Raises:
            UsageError: the temperature was not declared, or the mean captured share is below ``least``.
        """
        mass, codec = self.captured_mass(temperature), self.identity.codec
        if mass < least and isinstance(codec, TopK):
            raise UsageError(
                f"at temperature {temperature:g} the {codec.k} recorded of {codec.classes} classes hold {mass:.3f} of the soft target, "
                f"and {least:g} is wanted",
                where=str(self.path),
                why="the rest is spread evenly over the other classes, so most of what the student learns would be made up",
                fix="use a lower temperature, or record the set with a larger k or with codec=uint8",
            )

    def _rows(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        rows, absent = self._lookup.rows_of(keys)
        if absent is not None:
            raise missing(keys[absent], len(keys), per_example=self.views, where=str(self.path))
        return rows


def checksums(inputs: Tensor) -> NDArray[np.uint32]:
    """CRC-32 (B,) of each input's bytes as little-endian float32, in the order of its axes."""
    flat = inputs.detach().to("cpu", torch.float32).contiguous().view(len(inputs), -1).numpy()
    return np.fromiter(map(zlib.crc32, flat), np.uint32, len(flat))


def _check_sizes(folder: Path, manifest: Manifest) -> None:
    for part in (folder / SHARDS, *(folder / name for name in manifest.files)):
        if part.is_symlink():
            raise IntegrityError(f"{part.name} is a link", where=str(part), why="a transfer set holds its own files", fix="copy the files, not links")
    for name, (size, _) in manifest.files.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            what = f"{name} is missing" if found is None else f"{name} has {found} bytes, {size} were written"
            raise IntegrityError(what, where=str(folder / name), fix=AGAIN)


def _no_set(folder: Path) -> IntegrityError | UsageError:
    if not (folder / PLAN).is_file():
        what = f"there is no transfer set at {folder}" if folder.is_dir() else f"there is no folder {folder}"
        return UsageError(what, where=str(folder), fix=f"give the folder that holds a {MANIFEST} and {SHARDS}/")
    try:
        content = read_canonical(folder / PLAN)
        count = shard_count(int(content["rows"]), int(content["shard_rows"]))
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        return IntegrityError(f"{PLAN} describes no build", where=str(folder / PLAN), why=str(error), fix=AGAIN)
    done = len(list((folder / SHARDS).glob("*.json")))
    return IntegrityError(
        f"the transfer set {folder} is not finished: {done} of {count} shards",
        where=str(folder),
        fix="record it again with the same settings, which goes on where it stopped",
    )
