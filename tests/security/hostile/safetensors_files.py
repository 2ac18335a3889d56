"""Foreign checkpoints that are, or call themselves, safetensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from darkknowledge.errors import IntegrityError
from security.hostile.file import TRAIN, Hostile, Opened, command, harm, nested, pickled
from security.hostile.torch_files import checkpoint, of, raw, weights

KIND = "Safetensors"


def header(tensors: dict[str, Any] | bytes, body: bytes = bytes(8), *, length: int | None = None) -> Opened:
    """A safetensors file by hand."""
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return raw(lambda folder: struct.pack("<Q", len(text) if length is None else length) + text + body, "w.safetensors")


def entry(kind: str = "F32", shape: tuple[int, ...] = (2,), begin: int = 0, end: int = 8) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


TWICE = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def padded(folder: Path) -> None:
    """A header of 99 MB, in a file that takes no space."""
    with (folder / "w.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 99_000_000))
        file.truncate(99_000_008)


def dotted(folder: Path) -> None:
    save_file({"a." * 500_000 + "x": torch.ones(1)}, folder / "w.safetensors")


def with_metadata(folder: Path) -> None:
    save_file(weights(), folder / "w.safetensors", metadata={"_target_": "os.system", "auto_map": "ran.Net", "pickle": pickled(folder).hex()})


def row(name: str, build: Opened, says: str, open: Opened = checkpoint) -> Hostile:
    return Hostile(f"safetensors {name}", build, open, IntegrityError, says)


HOSTILE = [
    row("that is a pickle", raw(pickled, "w.safetensors"), "cannot be read: its header would have"),
    row("to train from", raw(pickled, "w.safetensors"), "cannot be read: its header would have", command(*TRAIN, "model.checkpoint=w.safetensors")),
    row("of a zipped pickle", of(harm, "w.safetensors"), "cannot be read: its header would have"),
    row("with a huge header", header(b"{}", length=1 << 62), "its header would have 4,611,686,018,427,387,904 bytes"),
    row("with a negative header", header(b"{}", length=(1 << 64) - 1), "its header would have 18,446,744,073,709,551,615 bytes"),
    row("with a header of 99 MB", padded, "its header would have 99,000,000 bytes"),
    row("with overlapping tensors", header({"a": entry(), "b": entry()}), "cannot be read: Error while deserializing header"),
    row("with tensors beyond its end", header({"a": entry(shape=(1 << 38,), end=1 << 40)}), "not fully covered"),
    row("with a size that overflows", header({"a": entry(shape=(1 << 32, 1 << 32, 2))}), "overflow"),
    row("with a negative size", header({"a": entry(shape=(-1,))}), "cannot be read: Error while deserializing header"),
    row("with offsets that run backwards", header({"a": entry(begin=8, end=0)}), "cannot be read: Error while deserializing header"),
    row("of objects", header({"a": entry("OBJECT")}), "unknown variant `OBJECT`"),
    row("of numbers that torch lacks", header({"a": entry("F6_E2M3", shape=(8,), end=6)}, bytes(6)), "F6_E2M3"),
    row("with a name twice", header(TWICE), "cannot be read: Error while deserializing header"),
    row("with a deep header", header(b'{"__metadata__":' + nested(100_000).encode()), "cannot be read: Error while deserializing header"),
    row("with a name of a million dots", dotted, "names a tensor with over 1000 characters"),
    Hostile("safetensors with _target_ in its metadata", with_metadata, checkpoint),
]

SOUND = [Hostile("safetensors", lambda folder: save_file(weights(), folder / "w.safetensors"), checkpoint)]
