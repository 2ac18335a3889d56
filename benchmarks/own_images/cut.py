"""Cut some classes of a Hugging Face image parquet into folders of JPEG files, as somebody's own images would lie.

Run: ``uv run python benchmarks/own_images/cut.py data/cifar10-jpeg photos``; README's commands for your own images then work as they stand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

CLASSES = ("bird", "ship", "truck")
COUNTS = {"train": 300, "test": 100}
"""Pictures of each class."""


def cut(source: Path, target: Path) -> None:
    """Write ``target/train/CLASS/NUMBER.jpg`` and ``target/test/…``, the first pictures of each class."""
    for part, count in COUNTS.items():
        table = pq.read_table(sorted(source.glob(f"{part}-*.parquet"))[0])
        names = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
        left = {names.index(name): count for name in CLASSES}
        for row, (image, label) in enumerate(zip(table["image"], table["label"].to_pylist(), strict=True)):
            if left.get(label, 0):
                left[label] -= 1
                folder = target / part / names[label]
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{row:05d}.jpg").write_bytes(image["bytes"].as_py())


if __name__ == "__main__":
    cut(Path(sys.argv[1]), Path(sys.argv[2]))
