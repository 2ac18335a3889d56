"""Parquet files in the Hugging Face image layout: their columns, their metadata, and what they unpack to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from darkknowledge.errors import DataError
from security.hostile.archives import MEGABYTE, loaded, trained
from security.hostile.file import Hostile, Opened, later, nested, pickled
from security.hostile.pictures import png

KIND = "Parquet"


def rows(labels: Sequence[int] = (0, 1) * 4, kind: Any = None) -> pa.Table:
    return pa.table({"image": pa.array([png()] * len(labels), pa.binary()), "label": pa.array(labels, kind or pa.int64())})


def parquet(table: pa.Table, metadata: dict[str, str] | None = None, **how: Any) -> Opened:
    return lambda folder: pq.write_table(table.replace_schema_metadata(metadata), folder / "train-0.parquet", **how)


def of_type(name: str, content: bytes) -> pa.Table:
    """Labels that say that they are of another Arrow type."""
    field = pa.field("label", pa.int64(), metadata={"ARROW:extension:name": name, "ARROW:extension:metadata": content})
    return pa.table([rows()["image"], rows()["label"]], schema=pa.schema([pa.field("image", pa.binary()), field]))


def repeated() -> pa.Table:
    """A thousand rows of the same megabyte."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array([bytes(MEGABYTE)], pa.binary()))
    return pa.table({"image": column, "label": pa.array([0, 1] * 500)})


def twice() -> pa.Table:
    return pa.Table.from_arrays([rows()["image"], rows()["label"], rows()["label"]], names=["image", "label", "label"])


def large() -> pa.Table:
    return pa.table({"image": [bytes(30 * MEGABYTE)], "label": [0]})


def of_pictures(content: bytes) -> pa.Table:
    return pa.table({"image": [content] * 2, "label": [0, 1]})


def elsewhere() -> pa.Table:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array([{"bytes": None, "path": "/etc/passwd"}] * 4, kind), "label": pa.array([0, 1, 0, 1])})


def unnamed(folder: Path) -> None:
    """A column whose name is no text."""
    parquet(rows())(folder)
    path = folder / "train-0.parquet"
    path.write_bytes(path.read_bytes().replace(b"label", b"l\xff\xfeel"))


COMPACT: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "store_schema": False}
HUGGING = '{"info": {"features": {"label": {"names": %s}}}}'
PICKLE = b"\x80\x04cos\nsystem\n(S'touch RAN'\ntR."


PARQUET = loaded("parquet")


def row(name: str, build: Opened, says: str, open: Opened = PARQUET) -> Hostile:
    return Hostile(f"Parquet {name}", build, open, DataError, says)


def passed_over(name: str, build: Opened) -> Hostile:
    return Hostile(f"Parquet {name}", build, PARQUET)


HOSTILE = [
    passed_over("with a pickled extension type", parquet(of_type("arrow.py_extension_type", PICKLE))),
    passed_over("with _target_ in the metadata of pandas", parquet(rows(), {"pandas": '{"index_columns": [{"_target_": "os.system"}]}'})),
    passed_over("with a script in its metadata", parquet(rows(), {"huggingface": '{"_target_": "os.system", "info": {"builder_name": "ran"}}'})),
    passed_over("with fifty thousand classes", parquet(rows(), {"huggingface": HUGGING % json.dumps(list(map(str, range(50_000))))})),
    row(
        "with an extension type that is no JSON",
        parquet(of_type("arrow.opaque", b'{"type_name": 1')),
        "is not a whole parquet file: JSON parse error",
    ),
    row("with deep metadata", parquet(rows(), {"huggingface": nested(100_000)}), "its huggingface metadata cannot be understood"),
    row("with metadata of another kind", parquet(rows(), {"huggingface": "[1]"}), "its huggingface metadata cannot be understood"),
    row("with a label of ten millions", parquet(rows([0, 10_000_000])), "there would be 10,000,001 classes"),
    row("with a label of 2⁶²", parquet(rows([0, 1 << 62])), "there would be 4,611,686,018,427,387,905 classes"),
    row("with labels beyond all integers", parquet(rows([0, 1, (1 << 63) + 5], pa.uint64())), "is outside 0 … 1"),
    row("with two columns of a name", parquet(twice()), "there are two columns 'label'"),
    row("with a column without a name", unnamed, "is not a whole parquet file"),
    row("of a thousand rows of one megabyte", later(lambda: parquet(repeated(), **COMPACT)), "unpacks to absurdly much"),
    row("of pictures that unpack to 30 MB", later(lambda: parquet(large(), **COMPACT, use_dictionary=False)), "unpacks to absurdly much"),
    row("of pictures that lie elsewhere", parquet(elsewhere()), "a row holds no picture bytes"),
    row("of a picture of 3.6 billion pixels", parquet(of_pictures(png(60_000, 60_000))), "exceeds limit"),
    row("of pickles", lambda f: parquet(of_pictures(pickled(f)))(f), "a picture cannot be decoded: cannot identify image file"),
    row("that is a pickle", lambda f: (f / "train-0.parquet").write_bytes(pickled(f)), "Parquet magic bytes not found"),
    row("that is a pickle, to train from", lambda f: (f / "train-0.parquet").write_bytes(pickled(f)), "magic bytes not found", trained("parquet")),
    row("that is a pipe", lambda f: os.mkfifo(f / "train-0.parquet"), "train-0.parquet is no file"),
]

SOUND = [Hostile("a Parquet file", parquet(rows()), PARQUET)]
