"""``transfer``: look at a transfer set, or write it in a format that other programs read."""

from __future__ import annotations

from pathlib import Path

from darkknowledge import transfer as transfer_room
from darkknowledge.transfer import Description


def describe(path: str | Path) -> Description:
    """What a transfer set is: its size, its teacher's accuracy on it, entropy and captured mass at some temperatures.

    Raises:
        UsageError: there is no transfer set at ``path``.
        IntegrityError: it is not finished, or damaged.
    """
    return transfer_room.describe(Path(path))


def export(path: str | Path, out: str | Path) -> None:
    """Write a transfer set as a parquet file for pandas, DuckDB and Hugging Face datasets.

    Raises:
        UsageError: there is no transfer set at ``path``, or ``out`` exists.
        IntegrityError: the set is not finished, or damaged.
        ResourceError: ``out`` cannot be written.
    """
    transfer_room.export(Path(path), Path(out))
