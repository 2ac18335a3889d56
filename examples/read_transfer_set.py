"""Read a transfer set with nothing but NumPy and pyarrow, as docs/transfer_format.md describes it.

``python examples/read_transfer_set.py SET 4`` prints the soft targets of the first rows at temperature 4.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Rows: TypeAlias = tuple[dict[str, Any], np.ndarray, np.ndarray]


def read(folder: Path) -> Rows:
    """The manifest, the keys (N,) and the answers (N, bytes) of a set, whose every byte is checked."""
    text = (folder / "manifest.json").read_text("ascii")
    manifest = json.loads(text)
    without = text.replace(f'\n  "sha256": "{manifest["sha256"]}",', "", 1)
    if manifest["schema"] != 1 or hashlib.sha256(without.encode()).hexdigest() != manifest["sha256"]:
        raise ValueError("the manifest is of another schema, or damaged")
    keys, answers, count = [], [], -(-manifest["rows"] // manifest["shard_rows"])
    for name in (f"shards/{number:05d}-of-{count:05d}.arrow" for number in range(count)):
        data = (folder / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest["files"][name]["sha256"]:
            raise ValueError(f"{name} is damaged")
        rows = pa.ipc.open_file(data).get_batch(0)
        keys.append(rows["key"].to_numpy())
        size = len(rows) * rows["answer"].type.byte_width
        answers.append(np.frombuffer(rows["answer"].buffers()[1], np.uint8, size).reshape(len(rows), -1))
    return manifest, np.concatenate(keys), np.concatenate(answers)


def decode(rows: np.ndarray, codec: dict[str, Any], classes: int, temperature: float) -> np.ndarray:
    """Logits (R, C) of the bytes (R, width) of one member; their softmax at ``temperature`` is its soft target."""
    name, options = codec["name"], codec["options"]
    if name in ("float16", "float32"):
        return rows.view("<f2" if name == "float16" else "<f4").astype(np.float32, copy=False)
    if name == "uint8":
        line = rows[:, :8].copy().view("<f4")
        return line[:, :1] + line[:, 1:] * rows[:, 8:]
    if name != "topk":
        raise ValueError(f"codec {name} is unknown here")
    wide = "<u2" if classes <= 65536 else "<u4"
    ends = np.cumsum([options["k"] * np.dtype(wide).itemsize, 2 * options["k"]])
    ids, values, partitions = (part.copy().view(kind) for part, kind in zip(np.split(rows, ends, axis=1), (wide, "<f2", "<f4"), strict=True))
    log_p = values / np.float32(temperature) - partitions[:, [options["temperatures"].index(temperature)]]
    tail = np.maximum(1 - np.exp(log_p).sum(1, keepdims=True), 1e-7) / max(classes - options["k"], 1)
    logits = np.repeat(np.log(tail), classes, axis=1)
    np.put_along_axis(logits, ids.astype(np.int64), log_p, axis=1)
    return temperature * logits


def soft_targets(found: Rows, ids: np.ndarray, views: np.ndarray, temperature: float) -> np.ndarray:
    """The soft targets (N, C) for ``views`` (N,) of the examples ``ids`` (N,) in what `read` found."""
    manifest, keys, answers = found
    identity, wanted = manifest["identity"], ids * manifest["identity"]["views"] + views
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    if (keys[places] != wanted).any():
        raise KeyError(f"{(keys[places] != wanted).sum()} rows are not in the set")
    members = 1 if identity["average"] == "logit" else len(identity["teacher"])
    weights = identity["weights"] if members > 1 else [1.0]
    total = 0.0
    for weight, rows in zip(weights, np.split(answers[places], members, axis=1), strict=True):
        scaled = decode(np.ascontiguousarray(rows), identity["codec"], len(identity["class_names"]), temperature).astype(float) / temperature
        p = np.exp(scaled - scaled.max(1, keepdims=True))
        total = total + weight * p / p.sum(1, keepdims=True)
    return np.asarray(total)


if __name__ == "__main__":
    everything = read(Path(sys.argv[1]))
    first_ids, first_views = np.divmod(everything[1][:5], everything[0]["identity"]["views"])
    print(soft_targets(everything, first_ids, first_views, float(sys.argv[2])).round(4))
