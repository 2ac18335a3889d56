"""Foreign checkpoints that are, or call themselves, what ``torch.save`` writes, in all of PyTorch's formats; and what is no file of PyTorch's."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darkknowledge import model
from darkknowledge.errors import DataError, IntegrityError
from security.hostile.file import DISTILL, RECORD, TRAIN, WAYS, Calls, Hostile, Opened, command, harm, pickled

KIND = "Checkpoints of PyTorch"

SHAPE: dict[str, Any] = {"num_classes": 2, "input_shape": (1, 2, 2), "mean": [0.0], "std": [1.0], "hidden": [3]}
FIRST = "layers.1.weight"
"""A weight of the network that is built for them."""


def network(**options: Any) -> model.Network:
    return model.build("hinton_mlp", **(SHAPE | options))


def weights() -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network().body.state_dict().items()}


def checkpoint(folder: Path) -> object:
    """The foreign checkpoint in the folder."""
    return network(checkpoint=next(path for path in folder.iterdir() if path.stem == "w"))


def of(make: Callable[[Path], Any], name: str = "w.pt", **how: Any) -> Callable[[Path], None]:
    """A file of ``torch.save`` with what ``make`` makes."""

    def build(folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):
            torch.save(make(folder), folder / name, **how)

    return build


def raw(make: Callable[[Path], bytes], name: str = "w.pt") -> Opened:
    return lambda folder: (folder / name).write_bytes(make(folder))


def calling(what: str) -> Opened:
    return of(lambda folder: weights() | {"x": harm(folder, what)})


def endless(folder: Path) -> dict[str, Any]:
    """A dictionary that holds itself."""
    value: dict[str, Any] = {}
    value["model"] = value
    return value


def laughing(folder: Path) -> dict[str, Any]:
    """Forty dictionaries, each holding the one before it twice: 2⁴⁰ names."""
    value: dict[str, Any] = {"x": torch.ones(1)}
    for _ in range(40):
        value = {"a": value, "b": value}
    return value


def crowded(folder: Path) -> dict[str, Any]:
    """So many that fit equally well, in one tensor."""
    return dict.fromkeys((f"network{number}.{FIRST}" for number in range(30_000)), weights()[FIRST])


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def compressed(folder: Path) -> bytes:
    """A state dict of 30 MB in a file of 30 kB."""
    plain = io.BytesIO()
    torch.save({"x": torch.zeros(30 << 18)}, plain)
    with zipfile.ZipFile(plain) as source:
        return zipped({name: source.read(name) for name in source.namelist()}, zipfile.ZIP_DEFLATED)


def overlapping(folder: Path) -> bytes:
    """A thousand members that are the same megabyte of the file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w/data.pkl", bytes(1 << 20))
        for number in range(1000):
            twin = zipfile.ZipInfo(f"w/{number}.pkl")
            for name in ("header_offset", "compress_size", "file_size", "CRC"):
                setattr(twin, name, getattr(archive.infolist()[0], name))
            archive.filelist.append(twin)
    return file.getvalue()


def script(folder: Path) -> bytes:
    """What TorchScript archives look like, which hold code."""
    return zipped({"w/constants.pkl": pickled(folder), "w/data.pkl": pickled(folder), "w/code/w.py": b"import os", "w/version": b"3"})


def exported(folder: Path) -> bytes:
    """What torch.export writes looks like: a graph, and pickles."""
    return zipped({"w/models/model.json": b"{}", "w/data/weights/model.pt": pickled(folder), "w/archive_format": b"pt2"})


def oldest(folder: Path) -> bytes:
    """The tar archives of PyTorch's first versions, of pickles."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("storages", "tensors", "pickle", "../../pickle"):
            member = tarfile.TarInfo(name)
            member.size = len(pickled(folder))
            archive.addfile(member, io.BytesIO(pickled(folder)))
    return file.getvalue()


def field(number: int, content: bytes) -> bytes:
    """A part of a Protocol Buffers message, of fewer than 128 bytes."""
    return bytes((number << 3 | 2, len(content))) + content


def onnx(folder: Path) -> bytes:
    """An ONNX model whose weights are to be read from a file elsewhere."""
    place = field(13, field(1, b"location") + field(2, b"../../../../../../etc/passwd"))
    tensor = b"\x08\x08" + b"\x10\x01" + field(8, b"w") + place + b"\x70\x01"
    return b"\x08\x09" + field(7, field(2, b"graph") + field(5, tensor))


def objects(folder: Path, save: Callable[..., Any] = np.save) -> bytes:
    """An array of objects, which NumPy keeps as a pickle."""
    file = io.BytesIO()
    save(file, np.array([harm(folder)], dtype=object))
    return file.getvalue()


def odd(change: Callable[[Tensor], Tensor]) -> Callable[[Path], None]:
    """Weights of the right names and shapes, one of which is no array of numbers."""
    return of(lambda folder: weights() | {FIRST: change(weights()[FIRST])})


def acting(name: str, build: Opened, open: Opened = checkpoint) -> Hostile:
    return Hostile(name, build, open, IntegrityError, "holds Python objects and not only weights: it was not opened")


def foreign(name: str, build: Opened) -> Hostile:
    return Hostile(name, build, checkpoint, IntegrityError, "is damaged, or no file of PyTorch's")


def filling(name: str, build: Opened) -> Hostile:
    return Hostile(name, build, checkpoint, IntegrityError, "would fill more memory than it has bytes: it was not opened")


def unfit(name: str, build: Opened, says: str) -> Hostile:
    return Hostile(name, build, checkpoint, IntegrityError, says)


NAMED = "teacher=[{name: hinton_mlp, hidden: [2], checkpoint: w.pt}]"

HOSTILE = [
    *(acting(f"checkpoint that calls {what}", calling(what)) for what in WAYS),
    *(acting(f"bare pickle that calls {what}", raw(partial(pickled, what=what))) for what in WAYS),
    *(acting(f"pickle of protocol {n}", raw(partial(pickled, protocol=n), "w.bin")) for n in (0, 3)),
    *(foreign(f"pickle of protocol {n}", raw(partial(pickled, protocol=n), "w.bin")) for n in (4, 5)),
    acting("checkpoint in the old format", of(harm, "w.pth", _use_new_zipfile_serialization=False)),
    acting("checkpoint with a key that acts", of(lambda f: {harm(f): torch.ones(1)})),
    acting("checkpoint with metadata that act", of(lambda f: {"state_dict": weights(), "hparams": {"x": harm(f)}}, "w.ckpt")),
    acting("checkpoint that calls torch.load", of(lambda f: {"x": Calls(torch.load, str(f / "w.pt"))})),
    acting("checkpoint that calls torch.hub", of(lambda f: {"x": Calls(torch.hub.load, "a/b", "c")})),
    acting("checkpoint of a whole module", of(lambda f: network())),
    acting("checkpoint to train from", raw(pickled), command(*TRAIN, "model.checkpoint=w.pt")),
    acting("checkpoint to learn from", raw(pickled), command(*DISTILL, NAMED)),
    acting("checkpoint to record", raw(pickled), command(*RECORD, NAMED)),
    foreign("checkpoint of TorchScript", raw(script)),
    foreign("checkpoint of torch.export", raw(exported, "w.pt2")),
    foreign("checkpoint as a tar archive", raw(oldest)),
    foreign("checkpoint of ONNX with weights elsewhere", raw(onnx, "w.onnx")),
    foreign("checkpoint of ONNX that calls itself PyTorch's", raw(onnx)),
    foreign("checkpoint of Keras", raw(lambda f: b"\x89HDF\r\n\x1a\n" + bytes(1000), "w.h5")),
    foreign("checkpoint of NumPy's objects", raw(objects, "w.npy")),
    foreign("checkpoint of NumPy's archived objects", raw(lambda f: objects(f, np.savez), "w.npz")),
    filling("checkpoint of NumPy's compressed objects", raw(lambda f: objects(f, np.savez_compressed), "w.npz")),
    filling("checkpoint that is compressed", raw(compressed)),
    filling("checkpoint whose parts overlap", raw(overlapping)),
    filling("checkpoint that fills the memory", of(lambda f: {"x": Calls(bytearray, 1 << 33)})),
    filling("old checkpoint that fills the memory", raw(lambda f: b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.")),
    unfit("checkpoint that holds itself", of(endless), "holds no weights by name"),
    unfit("checkpoint of a billion names", of(laughing), "holds no weights by name"),
    unfit("checkpoint of thirty thousand networks", of(crowded), "the weights of 30000 networks fit equally well"),
    unfit("checkpoint of a trillion numbers", of(lambda f: {FIRST: torch.ones(1).expand(1 << 40)}), "1 of another shape"),
    unfit("checkpoint without numbers", odd(lambda value: value.to("meta")), "1 no dense real numbers"),
    unfit("checkpoint of sparse weights", odd(Tensor.to_sparse), "1 no dense real numbers"),
    unfit("checkpoint of complex weights", odd(lambda value: value.to(torch.complex64)), "1 no dense real numbers"),
    Hostile("checkpoint that is no file", lambda folder: (folder / "w.pt").mkdir(), checkpoint, DataError, "no weights at"),
]

SOUND = [
    Hostile("a checkpoint", of(lambda f: weights()), checkpoint),
    Hostile("an old checkpoint", of(lambda f: weights(), "w.pth", _use_new_zipfile_serialization=False), checkpoint),
]
