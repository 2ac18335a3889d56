"""Transfer sets read slowly, from the description of the format alone, with Arrow and NumPy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Row:
    """One row: the label, the checksum of the input, the bytes of each member's answer."""

    label: int
    crc: int
    members: list[bytes]


def read(folder: Path) -> tuple[dict[str, Any], dict[int, Row]]:
    """The identity and the rows by key, after a check of every file's SHA-256."""
    manifest = json.loads((folder / "manifest.json").read_text())
    own = manifest.pop("sha256")
    assert hashlib.sha256((json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()).hexdigest() == own
    rows: dict[int, Row] = {}
    for name, entry in sorted(manifest["files"].items()):
        data = (folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        assert len(data) == entry["bytes"]
        if name.endswith(".arrow"):
            rows |= _rows(data, manifest["identity"])
    return manifest["identity"], rows


def _rows(data: bytes, identity: dict[str, Any]) -> dict[int, Row]:
    reader = pa.ipc.open_file(pa.py_buffer(data))
    assert reader.num_record_batches == 1
    members = 1 if identity["average"] == "logit" else len(identity["teacher"])
    rows = {}
    for row in reader.get_batch(0).to_pylist():
        width = len(row["answer"]) // members
        parts = [row["answer"][start : start + width] for start in range(0, len(row["answer"]), width)]
        rows[row["key"]] = Row(row["label"], row["input_crc32"], parts)
    return rows


def decode(row: bytes, codec: dict[str, Any], classes: int, temperature: float) -> Array:
    """The logits (C,) float64 in a member's bytes."""
    name, options = codec["name"], codec["options"]
    if name == "float32":
        return np.frombuffer(row, "<f4").astype(np.float64)
    if name == "float16":
        return np.frombuffer(row, "<f2").astype(np.float64)
    if name == "uint8":
        low, step = np.frombuffer(row[:8], "<f4").astype(np.float64)
        return low + step * np.frombuffer(row[8:], np.uint8)
    return _decode_topk(row, classes, temperature, **options)


def _decode_topk(row: bytes, classes: int, temperature: float, *, k: int, temperatures: list[float]) -> Array:
    size = 2 if classes <= 65536 else 4
    ids = np.frombuffer(row[: k * size], f"<u{size}").astype(np.int64)
    logits = np.frombuffer(row[k * size : k * (size + 2)], "<f2").astype(np.float64)
    partition = np.frombuffer(row[k * (size + 2) :], "<f4").astype(np.float64)[temperatures.index(temperature)]
    p = np.exp(logits / temperature - partition)
    each = max(1 - p.sum(), 1e-7) / max(classes - k, 1)
    soft = np.full(classes, each)
    soft[ids] = p
    return temperature * np.log(soft)


def soft_target(logits: Array, weights: Array, *, temperature: float) -> Array:
    """The weighted mean (C,) of the members' softened distributions, for logits (M, C)."""
    scaled = logits.astype(np.float64) / temperature
    p = np.exp(scaled - scaled.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return weights.astype(np.float64) @ p
