"""What is to be recorded, in which rows and shards, before a teacher is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darkknowledge.errors import UsageError
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._keys import keys_digest, keys_of
from darkknowledge.transfer._layout import shard_count, shard_names

SHARDS_WANTED = 16
"""A build that is killed repeats at most about this part of itself, and reading is fastest from few shards."""
LEAST_ROWS, MOST_BYTES = 8192, 64 << 20
"""A shard is no smaller than these rows and, where its rows are wide, no larger than these bytes."""
OTHER_BYTES = 8 + 8 + 4
"""Bytes of a row beside its answers: key, label, checksum of the input."""


@dataclass(frozen=True)
class Plan:
    """The rows of a transfer set: ``keys`` (N,) int64, ascending, cut into shards of ``shard_rows`` rows, the last one possibly shorter."""

    identity: Identity
    keys: Tensor
    shard_rows: int

    @classmethod
    def make(cls, identity: Identity, *, ids: Tensor, views: Tensor | None = None, shard_rows: int | None = None) -> Plan:
        """The plan for views (N,) of the examples ``ids`` (N,), in any order; doubles are recorded once. None stands for view 0 of each.

        Raises:
            UsageError: there is nothing to record, an id is negative, a view is out of range, or ``shard_rows`` is below 1.
        """
        keys = torch.from_numpy(np.unique(keys_of(ids, views, per_example=identity.views)))
        if not len(keys):
            raise UsageError("there is nothing to record", fix="give at least one example")
        if shard_rows is not None and shard_rows < 1:
            raise UsageError(f"shard_rows={shard_rows}", fix="give at least 1 row a shard")
        return cls(identity, keys, shard_rows or _suitable(len(keys), identity))

    @property
    def shards(self) -> list[str]:
        """The names of all shards."""
        return shard_names(shard_count(len(self.keys), self.shard_rows))

    @property
    def bytes(self) -> int:
        """Nearly the size of the finished set."""
        return len(self.keys) * (self.identity.bytes_per_answer + OTHER_BYTES) + 4096 * len(self.shards)

    def shard_keys(self, number: int) -> Tensor:
        """The keys of one shard."""
        return self.keys[number * self.shard_rows : (number + 1) * self.shard_rows]

    @cached_property
    def keys_digest(self) -> str:
        """Hexadecimal SHA-256 of the keys as little-endian int64."""
        return keys_digest(self.keys.numpy())

    def to_dict(self) -> dict[str, Any]:
        """What decides the bytes of the set, as plain JSON values."""
        return {"identity": self.identity.to_dict(), "rows": len(self.keys), "keys": self.keys_digest, "shard_rows": self.shard_rows}


def _suitable(rows: int, identity: Identity) -> int:
    wanted = max(LEAST_ROWS, -(-rows // SHARDS_WANTED))
    most = max(1, MOST_BYTES // (identity.bytes_per_answer + OTHER_BYTES))
    # Whole batches, so that no shard but the last ends with a short one.
    return -(-min(wanted, most) // identity.batch_size) * identity.batch_size
