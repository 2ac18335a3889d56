"""Shards mapped side by side, so that one ``take`` reads from all of them.

To gather rows from n mappings takes n short calls and a permutation: twice the time of one call where rows have tens of bytes. But where a file is
mapped may be chosen. If the answers of all shards lie whole rows apart, they are items of one array, among items that nobody asks for.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darkknowledge.transfer._lookup import Rows
from darkknowledge.transfer._shard import Mapped

MAP_FIXED = 0x10
"""Map at this very address, in place of what is there. Python has no name for it; the number is the same on Linux and macOS."""


def side_by_side(paths: Sequence[Path], shards: Sequence[Mapped], *, shard_rows: int) -> Callable[[Rows], NDArray[np.void]] | None:
    """A function from row numbers of the whole set, which must be right, to their answers as items of a row's width.

    ``shards`` are the files ``paths`` as they were mapped before. None where it can't be had: on other systems, where a file has another size since,
    and where no whole number of pages brings the last shard into line with the others, whose columns begin elsewhere in their files (that may be so
    if the width is a multiple of 16).
    """
    if sys.platform not in ("linux", "darwin"):
        return None
    width = int(shards[0].answers.shape[1])
    offsets, sizes = [shard.offset for shard in shards], [shard.size for shard in shards]
    places = _places(offsets, sizes, width)
    region = _mapped(paths, places, sizes) if places else None
    if region is None:
        return None
    first = offsets[0]
    items: NDArray[np.void] = np.frombuffer(region, f"V{width}", (len(region) - first) // width, first)
    begins = np.array([place + offset - first for place, offset in zip(places, offsets, strict=False)]) // width
    jumps = begins - np.arange(len(paths)) * shard_rows

    def take(rows: Rows) -> NDArray[np.void]:
        return items.take(jumps.take(rows // shard_rows) + rows)

    return take


def _places(offsets: Sequence[int], sizes: Sequence[int], width: int) -> list[int]:
    """Where each file begins, and where the last one ends: multiples of a page that put all answers whole rows apart. Empty if there are none."""
    period = math.lcm(mmap.PAGESIZE, width)
    places = [0]
    for offset, size in zip(offsets, sizes, strict=True):
        lag = next((lag for lag in range(0, period, mmap.PAGESIZE) if (lag + offset - offsets[0]) % width == 0), None)
        if lag is None:
            return []
        places[-1] += lag
        places.append(-(-(places[-1] + size) // period) * period)
    return places


def _mapped(paths: Sequence[Path], places: Sequence[int], sizes: Sequence[int]) -> mmap.mmap | None:
    """A region of addresses with each file at its place; None if the system refuses, or if a file has not the size that it has room for."""
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    try:
        # Addresses that nobody else gets, without memory behind them; whoever frees the region frees the files mapped into it.
        region = mmap.mmap(-1, places[-1], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
    except OSError:
        return None
    begin = np.frombuffer(region, np.uint8).ctypes.data
    for path, place, size in zip(paths, places, sizes, strict=False):
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != size:  # more would be mapped over somebody else's memory
                return None
            if library.mmap(begin + place, size, mmap.PROT_READ, mmap.MAP_SHARED | MAP_FIXED, file.fileno(), 0) != begin + place:
                return None
    return region
