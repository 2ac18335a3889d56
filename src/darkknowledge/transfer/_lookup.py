"""From keys to row numbers, and from row numbers to what the mapped columns hold there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Lookup:
    """The ascending keys of a set, shard by shard; all shards but the last have ``shard_rows`` of them. Row numbers run through the whole set."""

    def __init__(self, keys: Sequence[NDArray[np.int64]], *, shard_rows: int) -> None:
        self._keys, self._shard_rows = keys, shard_rows
        self.rows = sum(map(len, keys))
        firsts = np.array([part[0] for part in keys])
        self._lasts = np.array([part[-1] for part in keys])
        self.first = int(firsts[0])
        # Without gaps a key's row is a difference, and the column of keys is never looked at.
        gapless = self._lasts[-1] - self.first == self.rows - 1
        self.contiguous = bool(gapless and (firsts - self.first == np.arange(len(keys)) * shard_rows).all())

    def rows_of(self, keys: NDArray[np.int64]) -> tuple[Rows, NDArray[np.bool_] | None]:
        """The row of each key, and which keys have none (their rows mean nothing); None where all have one."""
        if self.contiguous:
            rows = keys - self.first if self.first else keys
            # As unsigned numbers the negative ones are the largest, so that one comparison finds both sides. (`argmax` is faster than `max`.)
            unsigned = rows.view(np.uint64)
            if not len(rows) or unsigned[unsigned.argmax()] < self.rows:
                return rows, None
        rows = self.at_least(keys)
        absent = rows == self.rows
        rows[absent] = 0
        absent |= gather(self._keys, rows, shard_rows=self._shard_rows) != keys
        return rows, absent if absent.any() else None

    def at_least(self, keys: NDArray[np.int64]) -> Rows:
        """The first row whose key is not below each of ``keys``; the number of rows where there is none."""
        if self.contiguous:
            return (keys - self.first).clip(0, self.rows)
        # In ascending order one search begins where the last one ended, and its path is in the cache.
        order = keys.argsort()
        ascending, found, start = keys.take(order), np.full(len(keys), self.rows, np.int64), 0
        for shard, end in enumerate(ascending.searchsorted(self._lasts, side="right").tolist()):
            if start < end:
                found[start:end] = self._keys[shard].searchsorted(ascending[start:end]) + shard * self._shard_rows
            start = end
        rows = np.empty_like(found)
        rows[order] = found
        return rows


def gather(columns: Sequence[NDArray[Any]], rows: Rows, *, shard_rows: int) -> NDArray[Any]:
    """The items at ``rows`` of a column that is cut into shards.

    One ``take`` a shard, over rows that are sorted by shard, and one ``put`` to their places. Sorting numbers of one or two bytes takes a pass each.
    """
    if len(columns) == 1:
        return columns[0].take(rows)
    shards = rows // shard_rows
    inside = rows - shards * shard_rows  # several times faster than the remainder
    numbers = np.arange(len(columns)).astype(np.min_scalar_type(len(columns) - 1))
    small = shards.astype(numbers.dtype)
    order = small.argsort(kind="stable")
    inside = inside.take(order)
    items, by_shard = np.empty(len(rows), columns[0].dtype), np.empty(len(rows), columns[0].dtype)
    start = 0
    for column, end in zip(columns, small.searchsorted(numbers, "right", order).tolist(), strict=True):
        if start < end:
            # Every row is in range; saying so spares a copy of what is taken.
            column.take(inside[start:end], None, by_shard[start:end], "clip")
        start = end
    items.put(order, by_shard, "clip")
    return items
