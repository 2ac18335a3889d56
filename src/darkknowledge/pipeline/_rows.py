"""Pictures as rows of numbers in a CSV file."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from torch import Tensor

from darkknowledge.errors import DataError
from darkknowledge.runs.files import require_modest

LARGEST = 1 << 30
"""Bytes of a file at most."""


def read_rows(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """The pictures (N, C, H, W) float32 in a file with C × H × W numbers from 0 to 1 in every row, channel by channel, each from its top left.

    A first row without a single number is passed over as names of the columns, empty rows too.

    Raises:
        DataError: it cannot be read, or a row has another count, or something else than such numbers; the row is named, counted from 1.
    """
    try:
        require_modest(path, largest=LARGEST)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read: {error}", where=str(path), fix="give a CSV file of numbers in UTF-8") from error
    lines = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), 1) if row]
    if lines and not any(map(_is_number, lines[0][1])):
        lines = lines[1:]
    if not lines:
        raise DataError(f"{path.name} holds no rows of numbers", where=str(path), fix="write a picture a row, with commas between its numbers")
    rows = [_row(path, number, row, shape) for number, row in lines]
    return torch.tensor(rows, dtype=torch.float32).view(-1, *shape)


def _row(path: Path, number: int, row: list[str], shape: tuple[int, int, int]) -> list[float]:
    where, expected = f"{path}, row {number}", math.prod(shape)
    if len(row) != expected:
        what = f"row {number} has {len(row)} values, and the network takes {expected} ({'×'.join(map(str, shape))})"
        raise DataError(what, where=where, fix=f"give {expected} numbers a row with commas between them, channel by channel, each from its top left")
    for column, cell in enumerate(row, 1):
        if not _is_number(cell) or not 0 <= float(cell) <= 1:
            raise DataError(
                f"row {number} has {cell[:40]!r} in column {column}, which is no number from 0 to 1",
                where=where,
                why="networks here see values from 0 (black) to 1 (white)",
                fix="divide by the greatest possible value: 255 for pictures of 8 bits, 16 for scikit-learn's digits",
            )
    return [float(cell) for cell in row]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
