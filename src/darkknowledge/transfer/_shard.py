"""One shard as a file of Arrow's: bytes from columns, and columns that are the mapped file itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkknowledge.errors import IntegrityError
from darkknowledge.transfer._layout import AGAIN, reason


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of a shard: ``keys`` (R,) int64, ``labels`` (R,) int64, ``input_crc32`` (R,) uint32, ``answers`` (R, W) uint8."""

    keys: NDArray[np.int64]
    labels: NDArray[np.int64]
    input_crc32: NDArray[np.uint32]
    answers: NDArray[np.uint8]

    @classmethod
    def empty(cls, rows: int, *, width: int) -> Columns:
        """Columns to be filled."""
        return cls(np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.uint32), np.empty((rows, width), np.uint8))

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Mapped(Columns):
    """Columns that are a mapped file of ``size`` bytes, in which the answers begin at ``offset``."""

    size: int
    offset: int


def to_bytes(columns: Columns) -> pa.Buffer:
    """The file: one record batch, uncompressed."""
    schema = _schema(columns.answers.shape[1])
    arrays = [
        pa.array(columns.keys),
        pa.array(columns.labels),
        pa.array(columns.input_crc32),
        pa.FixedSizeBinaryArray.from_buffers(schema.field("answer").type, len(columns), [None, pa.py_buffer(np.ascontiguousarray(columns.answers))]),
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue()


def map_columns(path: Path, *, rows: int, width: int) -> Mapped:
    """The columns of a shard, mapped: nothing is read before it is looked at, and nothing is copied.

    Raises:
        IntegrityError: the file is missing, is a link, or is not one record batch of ``rows`` rows with these columns, uncompressed.
    """
    if path.is_symlink():
        raise IntegrityError(f"{path.name} is a link", where=str(path), why="a transfer set holds its own files", fix="copy the files, not links")
    try:
        # The mapping is closed when the last array that looks into it goes.
        file = pa.memory_map(str(path)).read_buffer()
        batch = _only_batch(file)
        if batch.schema != _schema(width) or batch.num_rows != rows:
            raise ValueError(f"it holds {batch.num_rows} rows of {', '.join(map(str, batch.schema))}")
        keys, labels, crcs, answers = (_values(column, file) for column in batch.columns)
        return Mapped(
            np.frombuffer(keys, np.int64, rows),
            np.frombuffer(labels, np.int64, rows),
            np.frombuffer(crcs, np.uint32, rows),
            np.frombuffer(answers, np.uint8, rows * width).reshape(rows, width),
            size=file.size,
            offset=answers.address - file.address,
        )
    except (OSError, ValueError, pa.ArrowException) as error:
        raise IntegrityError(
            f"{path.name} is no shard of {rows} rows with answers of {width} bytes", where=str(path), why=reason(error), fix=AGAIN
        ) from error


def _only_batch(file: Any) -> Any:
    reader = pa.ipc.open_file(file)
    if reader.num_record_batches != 1:
        raise ValueError(f"it holds {reader.num_record_batches} record batches")
    batch = reader.get_batch(0)
    batch.validate()
    return batch


def _values(column: Any, file: Any) -> Any:
    if column.null_count or column.offset:
        raise ValueError("a column has nulls or an offset")
    values = column.buffers()[1]
    if values is None or not file.address <= values.address <= values.address + values.size <= file.address + file.size:
        raise ValueError("a column is not one run of bytes in the file: it is compressed, or does not begin at a multiple of 8 bytes")
    return values


def _schema(width: int) -> Any:
    fields = [("key", pa.int64()), ("label", pa.int64()), ("input_crc32", pa.uint32()), ("answer", pa.binary(width))]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])
