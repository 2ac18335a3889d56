"""Rows of a transfer set in the memory of a device: on an accelerator, lookups that never leave it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkknowledge.contract import Answer, Batch
from darkknowledge.transfer._checks import require_same_inputs
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._keys import Numbers, keys_of, missing
from darkknowledge.transfer._output import answer_of, weights_of


class LoadedSet:
    """Answers (N, W) uint8 by ascending ``keys`` (N,), and the checksums ``input_crc32`` (N,) of what was seen; made by `TransferSet.load`.

    On an accelerator a lookup waits for nothing, so nothing can be refused there: call `require_rows` before the first step.
    """

    def __init__(self, identity: Identity, keys: Tensor, answers: Tensor, input_crc32: NDArray[np.uint32], *, where: str = "") -> None:
        self.identity = identity
        self._keys, self._answers, self._input_crc32, self._where = keys, answers, input_crc32, where
        self._weights = weights_of(identity, answers.device)
        self._first = int(keys[0]) if len(keys) else 0
        self._contiguous = bool(len(keys) and int(keys[-1]) - self._first == len(keys) - 1)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by index."""
        return self.identity.class_names

    def __len__(self) -> int:
        return len(self._keys)

    def to(self, device: torch.device | str) -> LoadedSet:
        """The same rows on another device; their checksums stay in main memory."""
        if self._answers.device == torch.device(device):
            return self
        return LoadedSet(self.identity, self._keys.to(device), self._answers.to(device), self._input_crc32, where=self._where)

    def answer(self, ids: Tensor, views: Tensor | None = None) -> Answer:
        """The answers to ``views`` (B,) of the examples ``ids`` (B,), view 0 of each by default; both lie where the rows do.

        Raises:
            DataError: a row is not there (on the CPU alone).
            UsageError: a view is out of range (on the CPU alone).
        """
        if self._answers.is_cpu:
            keys = torch.from_numpy(keys_of(ids, views, per_example=self.identity.views))
            rows = self._rows(keys)
            self._refuse_missing(keys, rows)
        else:
            keys = ids * self.identity.views
            rows = self._rows(keys if views is None else keys + views)
        return answer_of(self._answers.index_select(0, rows), self.identity, self._weights)

    def require_rows(self, ids: Numbers, views: Numbers | None = None) -> None:
        """Refuse to begin with rows that are not there.

        Raises:
            DataError: some are missing; they are counted and the first are named.
        """
        keys = torch.from_numpy(keys_of(ids, views, per_example=self.identity.views)).to(self._keys.device)
        self._refuse_missing(keys, self._rows(keys))

    def check_alignment(self, batch: Batch) -> None:
        """Prove on a batch that its inputs are those that the teacher saw.

        Raises:
            IntegrityError: an input has another checksum than the recorded one.
            DataError: a row is not there.
        """
        keys = torch.from_numpy(keys_of(batch.ids, batch.views, per_example=self.identity.views)).to(self._keys.device)
        rows = self._rows(keys)
        self._refuse_missing(keys, rows)
        require_same_inputs(self._input_crc32[rows.cpu().numpy()], batch, where=self._where)

    def _rows(self, keys: Tensor) -> Tensor:
        """A row for each key: the right one if there is one, else any, and outside the set only where keys have no gaps."""
        if self._contiguous:
            return keys - self._first
        return torch.searchsorted(self._keys, keys).clamp_max(len(self._keys) - 1)

    def _refuse_missing(self, keys: Tensor, rows: Tensor) -> None:
        if self._contiguous:
            absent = (rows < 0) | (rows >= len(self._keys))
        else:
            absent = self._keys[rows] != keys if len(self._keys) else torch.ones_like(keys, dtype=torch.bool)
        if absent.any():
            raise missing(keys[absent].cpu().numpy(), len(keys), per_example=self.identity.views, where=self._where)
