"""Weights and training states: foreign checkpoints in both of PyTorch's formats, safetensors, and saved networks."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from darkknowledge import model
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.training.checkpoint import load_state
from security.hostile import WAYS, Calls, Hostile, harm, nested, pickled, sha256, vouched

SHAPE = {"num_classes": 2, "input_shape": (1, 2, 2), "mean": [0.0], "std": [1.0], "hidden": [3]}


def network(**options: Any) -> model.Network:
    return model.build("hinton_mlp", **(SHAPE | options))


def weights() -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network().body.state_dict().items()}


FIRST = "layers.1.weight"


def checkpoint(folder: Path) -> object:
    """The foreign checkpoint in the folder."""
    return network(checkpoint=next(path for path in folder.iterdir() if path.stem == "w"))


def state(folder: Path) -> object:
    return load_state(folder)


def saved(folder: Path) -> object:
    return model.load(folder / "model")


def of(make: Callable[[Path], Any], name: str = "w.pt", **how: Any) -> Callable[[Path], None]:
    """A file of ``torch.save`` with what ``make`` makes."""

    def build(folder: Path) -> None:
        with warnings.catch_warnings(action="ignore"):
            torch.save(make(folder), folder / name, **how)

    return build


def raw(make: Callable[[Path], bytes], name: str = "w.pt") -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(make(folder)) and None


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


def compressed(folder: Path) -> bytes:
    """A state dict of 30 MB in a file of 30 kB."""
    plain, small = io.BytesIO(), io.BytesIO()
    torch.save({"x": torch.zeros(30 << 18)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return small.getvalue()


def script(folder: Path) -> bytes:
    """What TorchScript archives look like, which hold code."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"constants.pkl": pickled(folder), "data.pkl": pickled(folder), "code/w.py": b"import os", "version": b"3"}.items():
            archive.writestr(f"w/{name}", content)
    return file.getvalue()


def oldest(folder: Path) -> bytes:
    """The tar archives of PyTorch's first versions, of pickles."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("storages", "tensors", "pickle", "../../pickle"):
            member = tarfile.TarInfo(name)
            member.size = len(pickled(folder))
            archive.addfile(member, io.BytesIO(pickled(folder)))
    return file.getvalue()


def odd(change: Callable[[Tensor], Tensor]) -> Callable[[Path], None]:
    """Weights of the right names and shapes, one of which is no array of numbers."""
    return of(lambda folder: weights() | {FIRST: change(weights()[FIRST])})


def header(tensors: dict[str, Any] | bytes, body: bytes = bytes(8), *, length: int | None = None) -> Callable[[Path], None]:
    """A safetensors file by hand."""
    text = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return raw(lambda folder: struct.pack("<Q", len(text) if length is None else length) + text + body, "w.safetensors")


def entry(kind: str = "F32", shape: tuple[int, ...] = (2,), begin: int = 0, end: int = 8) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def padded(folder: Path) -> None:
    """A header of 99 MB, in a file that takes no space."""
    with (folder / "w.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 99_000_000))
        file.truncate(99_000_008)


def dotted(folder: Path) -> None:
    save_file({"a." * 500_000 + "x": torch.ones(1)}, folder / "w.safetensors")


def with_metadata(folder: Path) -> None:
    save_file(weights(), folder / "w.safetensors", metadata={"_target_": "os.system", "auto_map": "ran.Net", "pickle": pickled(folder).hex()})


def with_state(make: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """A training state whose name and manifest vouch for it."""

    def build(folder: Path) -> None:
        content = make(folder)
        name = f"state-00000001-{sha256(content)}.pt"
        (folder / name).write_bytes(content)
        vouched(folder, name)

    return build


def in_state(make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def content(folder: Path) -> bytes:
        file = io.BytesIO()
        torch.save({"schema": 1, "state": make(folder)}, file)
        return file.getvalue()

    return with_state(content)


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A saved network whose configuration somebody has changed."""
    return configured(lambda text: json.dumps(_changed(json.loads(text), change)))


def _changed(config: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    change(config)
    return config


def configured(change: Callable[[str], str]) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        model.save(network(), folder / "model")
        config = folder / "model" / "config.json"
        config.write_text(change(config.read_text()))
        vouched(folder / "model", "config.json", "model.safetensors")

    return build


def unpickled(folder: Path) -> None:
    """A saved network whose weights are a pickle."""
    model.save(network(), folder / "model")
    (folder / "model" / "model.safetensors").write_bytes(pickled(folder))
    vouched(folder / "model", "config.json", "model.safetensors")


def options(**values: Any) -> Callable[[Path], None]:
    return described(lambda config: config["network"]["options"].update(values))


def spec(**values: Any) -> Callable[[Path], None]:
    return described(lambda config: config["network"].update({"options": {}} | values))


FOREIGN = [
    *(Hostile(f"checkpoint with {what}", of(lambda f, what=what: weights() | {"x": harm(f, what)}), checkpoint, IntegrityError) for what in WAYS),
    *(Hostile(f"bare pickle with {what}", raw(lambda f, what=what: pickled(f, what)), checkpoint, IntegrityError) for what in WAYS),
    *(Hostile(f"pickle of protocol {n}", raw(lambda f, n=n: pickled(f, protocol=n), "w.bin"), checkpoint, IntegrityError) for n in (0, 3, 4, 5)),
    Hostile("checkpoint in the old format", of(harm, "w.pth", _use_new_zipfile_serialization=False), checkpoint, IntegrityError),
    Hostile("checkpoint with a key that acts", of(lambda f: {harm(f): torch.ones(1)}), checkpoint, IntegrityError),
    Hostile(
        "checkpoint with metadata that act", of(lambda f: {"state_dict": weights(), "hparams": {"x": harm(f)}}, "w.ckpt"), checkpoint, IntegrityError
    ),
    Hostile("checkpoint that calls torch.load", of(lambda f: {"x": Calls(torch.load, str(f / "w.pt"))}), checkpoint, IntegrityError),
    Hostile("checkpoint that calls torch.hub", of(lambda f: {"x": Calls(torch.hub.load, "a/b", "c")}), checkpoint, IntegrityError),
    Hostile("checkpoint of a whole module", of(lambda f: network()), checkpoint, IntegrityError),
    Hostile("checkpoint of TorchScript", raw(script), checkpoint, IntegrityError),
    Hostile("checkpoint as a tar archive", raw(oldest), checkpoint, IntegrityError),
    Hostile("checkpoint that is compressed", raw(compressed), checkpoint, IntegrityError),
    Hostile("checkpoint that fills the memory", of(lambda f: {"x": Calls(bytearray, 1 << 33)}), checkpoint, IntegrityError),
    Hostile(
        "old checkpoint that fills the memory", raw(lambda f: b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."), checkpoint, IntegrityError
    ),
    Hostile("checkpoint that holds itself", of(endless), checkpoint, IntegrityError),
    Hostile("checkpoint of a billion names", of(laughing), checkpoint, IntegrityError),
    Hostile("checkpoint of thirty thousand networks", of(crowded), checkpoint, IntegrityError),
    Hostile("checkpoint of a trillion numbers", of(lambda f: {FIRST: torch.ones(1).expand(1 << 40)}), checkpoint, IntegrityError),
    Hostile("checkpoint without numbers", odd(lambda value: value.to("meta")), checkpoint, IntegrityError),
    Hostile("checkpoint of sparse weights", odd(Tensor.to_sparse), checkpoint, IntegrityError),
    Hostile("checkpoint of complex weights", odd(lambda value: value.to(torch.complex64)), checkpoint, IntegrityError),
]

SAFETENSORS = [
    Hostile("safetensors that is a pickle", raw(pickled, "w.safetensors"), checkpoint, IntegrityError),
    Hostile("safetensors of a zipped pickle", of(harm, "w.safetensors"), checkpoint, IntegrityError),
    Hostile("safetensors with a huge header", header(b"{}", length=1 << 62), checkpoint, IntegrityError),
    Hostile("safetensors with a negative header", header(b"{}", length=(1 << 64) - 1), checkpoint, IntegrityError),
    Hostile("safetensors with a header of 99 MB", padded, checkpoint, IntegrityError),
    Hostile("safetensors with overlapping tensors", header({"a": entry(), "b": entry()}), checkpoint, IntegrityError),
    Hostile("safetensors with tensors beyond its end", header({"a": entry(shape=(1 << 38,), end=1 << 40)}), checkpoint, IntegrityError),
    Hostile("safetensors with a size that overflows", header({"a": entry(shape=(1 << 32, 1 << 32, 2))}), checkpoint, IntegrityError),
    Hostile("safetensors with a negative size", header({"a": entry(shape=(-1,))}), checkpoint, IntegrityError),
    Hostile("safetensors with offsets that run backwards", header({"a": entry(begin=8, end=0)}), checkpoint, IntegrityError),
    Hostile("safetensors of objects", header({"a": entry("OBJECT")}), checkpoint, IntegrityError),
    Hostile("safetensors of numbers that torch lacks", header({"a": entry("F6_E2M3", shape=(8,), end=6)}, bytes(6)), checkpoint, IntegrityError),
    Hostile(
        "safetensors with a name twice",
        header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'),
        checkpoint,
        IntegrityError,
    ),
    Hostile("safetensors with a deep header", header(b'{"__metadata__":' + nested(100_000).encode()), checkpoint, IntegrityError),
    Hostile("safetensors with a name of a million dots", dotted, checkpoint, IntegrityError),
    Hostile("safetensors with _target_ in its metadata", with_metadata, checkpoint, None),
    Hostile("weights that are no file", lambda folder: (folder / "w.safetensors").mkdir(), checkpoint, DataError),
]

STATES = [
    Hostile("state with code", in_state(harm), state, IntegrityError),
    Hostile("state that is a bare pickle", with_state(pickled), state, IntegrityError),
    Hostile("state that is compressed", with_state(compressed), state, IntegrityError),
    Hostile("state that fills the memory", in_state(lambda f: Calls(bytearray, 1 << 33)), state, IntegrityError),
    Hostile("state of TorchScript", with_state(script), state, IntegrityError),
]

NETWORKS = [
    Hostile("network whose weights are a pickle", unpickled, saved, IntegrityError),
    Hostile("network with _target_ in its options", options(_target_="os.system"), saved, UsageError),
    Hostile(
        "network with _target_ beside its options",
        described(lambda c: c.update(_target_="os.system", auto_map={"AutoModel": "ran.Net"})),
        saved,
        None,
    ),
    Hostile("network of a module in the folder", spec(name="ran:Net"), saved, UsageError),
    Hostile("network of a module of Python", spec(name="os:system"), saved, UsageError),
    Hostile("network with a wide layer", options(hidden=[1 << 40]), saved, IntegrityError),
    Hostile("network with a layer of 10³⁰ units", options(hidden=[10**30]), saved, IntegrityError),
    Hostile("network with a hundred thousand layers", options(hidden=[1] * 100_000), saved, IntegrityError),
    Hostile("network for a picture of a trillion pixels", spec(input_shape=[1, 1 << 20, 1 << 20], options={"hidden": [3]}), saved, IntegrityError),
    Hostile("network that enlarges its pictures", described(lambda c: c["preprocessing"].update(size=[1 << 20, 1 << 20])), saved, UsageError),
    Hostile(
        "network with infinitely many classes",
        configured(lambda text: text.replace('"num_classes": 2', '"num_classes": 1e999')),
        saved,
        IntegrityError,
    ),
    Hostile(
        "network with deep options", configured(lambda text: text.replace('"hidden": [', '"hidden": [' + nested(100_000))), saved, IntegrityError
    ),
    Hostile("network with options of six hundred levels", options(hidden=json.loads(nested(600) + "]" * 600)), saved, IntegrityError),
    Hostile(
        "network with a number of 5,000 digits",
        configured(lambda text: text.replace('"num_classes": 2', '"num_classes": ' + "9" * 5000)),
        saved,
        IntegrityError,
    ),
]

HOSTILE = [*FOREIGN, *SAFETENSORS, *STATES, *NETWORKS]


def sound(folder: Path) -> None:
    save_file(weights(), folder / "w.safetensors")


SOUND = [
    Hostile("a checkpoint", of(lambda f: weights()), checkpoint, None),
    Hostile("an old checkpoint", of(lambda f: weights(), "w.pth", _use_new_zipfile_serialization=False), checkpoint, None),
    Hostile("safetensors", sound, checkpoint, None),
    Hostile("a network", configured(str), saved, None),
    Hostile("a state", in_state(lambda f: {"step": 1}), state, None),
]
