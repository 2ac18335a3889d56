"""What Weights & Biases keeps of a run, read back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


def entries(path: Path) -> Iterator[bytes]:
    """The records of a W&B file: after seven bytes of header a LevelDB log, in which a record is cut at the blocks of 32 KiB."""
    data, position, record = path.read_bytes(), 7, b""
    while position + 7 < len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield record
            record = b""
