"""What the tests of the command line are made of: a finished command, small data sets, and what lies in a folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

TINY = {"name": "hinton_mlp", "hidden": [16]}
QUIET = {"progress": False}


@dataclass(frozen=True)
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Program = Callable[..., Done]


def picture(shade: int) -> bytes:
    """A grey PNG of 8×8 pixels."""
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_pictures(folder: Path, counts: dict[str, int]) -> None:
    """An image folder with so many training pictures of each class."""
    for name, count in counts.items():
        (folder / "train" / name).mkdir(parents=True)
        for number in range(count):
            (folder / "train" / name / f"{number}.png").write_bytes(picture(20 * number))


def write_parquet(folder: Path, class_names: Sequence[str], *, labels: Sequence[int] = (0, 1) * 60) -> None:
    """A data set in the Hugging Face layout: dark pictures of the first class, light ones of the second, whatever they are called."""
    folder.mkdir()
    column = pa.array([{"bytes": picture(40 + 160 * (label % 2)), "path": None} for label in labels])
    features = {"label": {"names": list(class_names), "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"image": column, "label": pa.array(labels, pa.int64())}).replace_schema_metadata(metadata)
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def tree(folder: Path) -> set[Path]:
    """Everything that lies in a folder."""
    return set(folder.rglob("*"))
