"""Parquet files in the Hugging Face image layout: ``train-*.parquet`` and ``test-*.parquet``, each row an encoded picture and a label."""

from __future__ import annotations

import bisect
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch

from darkknowledge.data._checks import check_class_count, check_class_names, check_labels, no_test
from darkknowledge.data._dataset import Source
from darkknowledge.data._encoded import Listing, PictureOptions, encoded_source
from darkknowledge.data._files import missing, require_folder, unreadable
from darkknowledge.errors import DataError, UsageError

ROWS, DENSEST, SMALL = 32, 100, 1 << 24
"""Rows that are unpacked at once, and bytes that a file may unpack to: so many for each of its own, and some in any case. (Encoded pictures hardly
shrink any further.)"""


def parquet(
    *,
    root: Path,
    download: bool,
    image_column: str = "image",
    label_column: str = "label",
    image_size: int | None = None,
    workers: int | None = None,
) -> Source:
    """The pictures in ``root/*.parquet`` or ``root/data/*.parquet``.

    The image column is a struct with ``bytes`` (as a Hugging Face ``Image``) or plain binary, the label column integers. Class names come from
    the schema's ``huggingface`` metadata; without them classes are called 0, 1, … up to the largest training label. Ids are row numbers
    through the training files in order of name; those of test follow.

    Raises:
        DataError: files or columns missing, damaged, or holding what they should not.
        UsageError: an option out of range, or a download asked for.
    """
    options = PictureOptions(image_size, workers)
    if download:
        raise UsageError("parquet reads local files: there is nothing to download", where="data.download", fix="leave it away")
    require_folder(root, download=False)
    name = f"parquet:{root.resolve().name}"
    paths = _paths(root, "train")
    if not paths:
        raise missing(name, "train-*.parquet", [root, root / "data"], download=False)
    train = _Table.read(paths, image_column, label_column)
    class_names = train.class_names or _numbered(train.labels, where=str(paths[0]))
    check_class_names(class_names, where=str(paths[0]))

    def require_test() -> None:
        if not _paths(root, "test"):
            raise no_test(name, where=f"{root} or {root / 'data'}", fix="add test-*.parquet")

    def open_test() -> Listing:
        require_test()
        return _listing(_Table.read(_paths(root, "test"), image_column, label_column), class_names, first_id=len(train))

    source = encoded_source(name, _listing(train, class_names, first_id=0), class_names=class_names, open_test=open_test, options=options)
    return replace(source, require_test=require_test)


def _numbered(labels: torch.Tensor, *, where: str) -> tuple[str, ...]:
    count = int(labels.max()) + 1
    check_class_count(count, where=where)
    return tuple(map(str, range(count)))


def _paths(root: Path, split: str) -> list[Path]:
    try:
        return next((found for folder in (root, root / "data") if (found := sorted(folder.glob(f"{split}-*.parquet")))), [])
    except OSError as error:
        raise unreadable(root, error) from error


def _listing(table: _Table, class_names: tuple[str, ...], *, first_id: int) -> Listing:
    if table.class_names and table.class_names != class_names:
        fix = "write both splits with the same list of classes"
        raise DataError("the test files list other classes than the training files", where=str(table.paths[0]), fix=fix)
    for path, start, labels in zip(table.paths, table.starts, table.labels.tensor_split(table.starts[1:]), strict=True):
        check_labels(labels, len(class_names), first_id=first_id + start, where=str(path))
    return Listing(table, torch.arange(first_id, first_id + len(table)), table.labels)


@dataclass(frozen=True, slots=True)
class _Table:
    """The rows of some parquet files: encoded pictures (a chunked Arrow column), labels, and at which row each file starts."""

    paths: tuple[Path, ...]
    starts: tuple[int, ...]
    pictures: Any
    labels: torch.Tensor
    class_names: tuple[str, ...]

    @classmethod
    def read(cls, paths: list[Path], image_column: str, label_column: str) -> _Table:
        import pyarrow as pa

        parts = [_read(path, image_column, label_column) for path in paths]
        for path, (_, _, names) in zip(paths, parts, strict=True):
            if names != parts[0][2]:
                fix = "write all files with the same list of classes"
                raise DataError(f"{path.name} and {paths[0].name} list different classes", where=str(path), fix=fix)
        starts, rows = [], 0
        for _, labels, _ in parts:
            starts.append(rows)
            rows += len(labels)
        if not rows:
            raise DataError("the files hold no rows", where=", ".join(map(str, paths)))
        pictures = pa.chunked_array([chunk for column, _, _ in parts for chunk in column.chunks], type=pa.large_binary())
        return cls(tuple(paths), tuple(starts), pictures, torch.cat([labels for _, labels, _ in parts]), parts[0][2])

    def __len__(self) -> int:
        return len(self.labels)

    def open(self, row: int) -> BinaryIO:
        content = self.pictures[row].as_py()
        if content is None:
            raise DataError("a row holds no picture bytes", where=self.where(row), fix="write the files with the pictures embedded")
        return io.BytesIO(content)

    def where(self, row: int) -> str:
        file = bisect.bisect_right(self.starts, row) - 1
        return f"{self.paths[file]}, row {row - self.starts[file]}"

    def content(self) -> Iterable[bytes]:
        return (self.pictures[row].as_py() or b"" for row in range(len(self)))


def _read(path: Path, image_column: str, label_column: str) -> tuple[Any, torch.Tensor, tuple[str, ...]]:
    """One file's pictures as large binary, labels, and class names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path.name} is no file", where=str(path), fix="remove it")
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            _check_columns(schema, image_column, label_column, path)
            table = _rows(file, schema, [image_column, label_column], path)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not a whole parquet file: {error}", where=str(path), fix="fetch the file anew") from error
    except OSError as error:
        raise unreadable(path, error) from error
    column = table.column(image_column)
    pictures = pa.chunked_array([_bytes(chunk) for chunk in column.chunks], type=pa.large_binary())
    labels = table.column(label_column)
    if labels.null_count:
        raise DataError(f"{labels.null_count} rows have no label", where=str(path), fix="label them or leave them out")
    # Unsigned numbers beyond int64 become negative ones, which are refused as labels.
    return pictures, torch.from_numpy(labels.cast(pa.int64(), safe=False).to_numpy().copy()), _class_names(schema, label_column, path)


def _rows(file: Any, schema: Any, columns: list[str], path: Path) -> Any:
    """The table, read in small pieces: a page of a few bytes may say of a million rows that they hold the same large picture."""
    import pyarrow as pa

    batches, size, most = [], 0, SMALL + DENSEST * path.stat().st_size
    for batch in file.iter_batches(ROWS, columns=columns):
        size += batch.nbytes
        if size > most:
            why = f"it has {path.stat().st_size:,} bytes and unpacks to over {most:,}"
            raise DataError(f"{path.name} unpacks to absurdly much", where=str(path), why=why, fix="do not use this file, or write it uncompressed")
        batches.append(batch)
    return pa.Table.from_batches(batches) if batches else schema.empty_table()


def _bytes(chunk: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return (pc.struct_field(chunk, "bytes") if pa.types.is_struct(chunk.type) else chunk).cast(pa.large_binary())


def _check_columns(schema: Any, image_column: str, label_column: str, path: Path) -> None:
    import pyarrow as pa

    for option, name in (("image_column", image_column), ("label_column", label_column)):
        if schema.names.count(name) > 1:
            raise DataError(f"there are two columns {name!r}", where=str(path), fix="give each column a name of its own")
        if name not in schema.names:
            columns = ", ".join(schema.names)
            raise DataError(f"there is no column {name!r}", where=str(path), why=f"its columns are {columns}", fix=f"say which with data.{option}=…")
    image, label = schema.field(image_column).type, schema.field(label_column).type
    if pa.types.is_struct(image):
        index = image.get_field_index("bytes")
        image = image.field(index).type if index >= 0 else image
    if not (pa.types.is_binary(image) or pa.types.is_large_binary(image)):
        raise DataError(
            f"the column {image_column!r} holds no encoded pictures but {image}", where=str(path), fix="say which with data.image_column=…"
        )
    if not pa.types.is_integer(label):
        raise DataError(f"the column {label_column!r} holds no integers but {label}", where=str(path), fix="say which with data.label_column=…")


def _class_names(schema: Any, label_column: str, path: Path) -> tuple[str, ...]:
    """The names in the metadata that the library ``datasets`` writes, or none."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return tuple(map(str, features.get(label_column, {}).get("names") or ()))
    except (ValueError, AttributeError, RecursionError, TypeError) as error:
        raise DataError(f"its huggingface metadata cannot be understood: {error}", where=str(path), fix="write the file anew") from error
