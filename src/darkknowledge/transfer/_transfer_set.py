"""A finished transfer set, read by memory map."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkknowledge.contract import Answer, Batch
from darkknowledge.errors import UsageError
from darkknowledge.runs.files import Written, verify_files
from darkknowledge.transfer._checks import captured_mass, checked_manifest, require_captured, require_same_inputs
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._keys import Numbers, keys_of, missing
from darkknowledge.transfer._lookup import Lookup, Rows, gather
from darkknowledge.transfer._manifest import Manifest
from darkknowledge.transfer._output import answer_of, members_of, weights_of
from darkknowledge.transfer._shard import Mapped, map_columns
from darkknowledge.transfer._side_by_side import side_by_side

if TYPE_CHECKING:
    from darkknowledge.transfer._loaded import LoadedSet


class TransferSet:
    """The answers of a teacher to the views of examples. Open it with `open`; ask it with ``set[ids]`` or ``set[ids, views]``.

    Its shards are mapped, so that many processes share one copy in memory and a set may be larger than that.
    """

    def __init__(self, path: Path, manifest: Manifest, shards: tuple[Mapped, ...]) -> None:
        self.path, self._manifest, self.shards = path, manifest, shards
        self._lookup = Lookup([shard.keys for shard in shards], shard_rows=manifest.shard_rows)
        self._take = self._fastest_take()
        self._weights = weights_of(manifest.identity)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> TransferSet:
        """The set in the folder ``path``. The manifest, the size of every file and the form of every shard are checked; `require_whole` reads all.

        Raises:
            UsageError: there is no transfer set.
            IntegrityError: it is not finished, damaged, or has parts outside its folder.
        """
        folder = Path(path)
        manifest = checked_manifest(folder)
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
        return self._take(self._rows(keys)).view(np.uint8).reshape(len(keys), self.identity.bytes_per_answer)

    def load(self, *, device: torch.device | str = "cpu", ids: Numbers | None = None, views: Numbers | None = None) -> LoadedSet:
        """The answers in the memory of a device: all, or those to ``views`` (N,) of the examples ``ids`` (N,); errors as ``set[ids]``."""
        from darkknowledge.transfer._loaded import LoadedSet

        keys = self.keys().numpy() if ids is None else np.unique(keys_of(ids, views, per_example=self.views))
        answers, checksums = torch.from_numpy(self.raw(keys)), self._checksums(keys)
        return LoadedSet(self.identity, torch.from_numpy(keys), answers, checksums, where=str(self.path)).to(device)

    def require_whole(self) -> None:
        """Look at every byte before the answers are trusted.

        Raises:
            IntegrityError: files are not those that were recorded; all of them are named.
        """
        verify_files(self.path, {name: Written(size, digest) for name, (size, digest) in self._manifest.files.items()})

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
        require_same_inputs(self._checksums(keys_of(batch.ids, batch.views, per_example=self.views)), batch, where=str(self.path))

    def captured_mass(self, temperature: float) -> float:
        """The mean share of the soft target at ``temperature`` that lies on recorded classes: 1 for a codec that keeps all.

        Raises:
            UsageError: the temperature was not declared when the set was recorded.
        """
        return captured_mass(self._manifest, temperature)

    def require_temperature(self, temperature: float, *, least: float = 0.9) -> None:
        """Refuse to distill at a temperature where the set knows too little of the soft target.

        Raises:
            UsageError: the temperature was not declared, or the mean captured share is below ``least``.
        """
        require_captured(self._manifest, temperature, least=least, where=str(self.path))

    def _fastest_take(self) -> Callable[[Rows], NDArray[np.void]]:
        width, shard_rows = self.identity.bytes_per_answer, self._manifest.shard_rows
        # A row as one item of raw bytes is the form that NumPy takes fastest.
        answers = [shard.answers.view(f"V{width}")[:, 0] for shard in self.shards]
        if len(answers) == 1:
            return answers[0].take
        files = [self.path / f"{name}.arrow" for name in self._manifest.shards]
        return side_by_side(files, self.shards, shard_rows=shard_rows) or partial(gather, answers, shard_rows=shard_rows)

    def _checksums(self, keys: NDArray[np.int64]) -> NDArray[np.uint32]:
        return gather([shard.input_crc32 for shard in self.shards], self._rows(keys), shard_rows=self._manifest.shard_rows)

    def _rows(self, keys: NDArray[np.int64]) -> Rows:
        rows, absent = self._lookup.rows_of(keys)
        if absent is not None:
            raise missing(keys[absent], len(keys), per_example=self.views, where=str(self.path))
        return rows
