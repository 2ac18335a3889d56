"""Saved networks: their weights, their configuration, and the manifest that vouches for both."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from darkknowledge import model
from darkknowledge.errors import IntegrityError, UsageError
from security.hostile.file import DISTILL, RECORD, Hostile, Opened, command, empty_of, made, nested, pickled, sha256, vouched
from security.hostile.torch_files import network

KIND = "Saved networks"

CODE = "which is not imported on the word of a file"
LARGE = "the network that is described is far larger than the weights for it"
OUTSIDE = "a file outside its folder is named"


def saved(folder: Path) -> object:
    return model.load(folder / "model")


def _save(folder: Path) -> None:
    model.save(network(), folder)


def described(change: Callable[[dict[str, Any]], object]) -> Opened:
    """A saved network whose configuration somebody has changed."""
    return configured(lambda text: json.dumps(_changed(json.loads(text), change)))


def _changed(config: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    change(config)
    return config


def configured(change: Callable[[str], str]) -> Opened:
    def build(folder: Path) -> None:
        made(_save, folder / "model")
        config = folder / "model" / "config.json"
        config.write_text(change(config.read_text()))
        vouched(folder / "model", "config.json", "model.safetensors")

    return build


def unpickled(folder: Path) -> None:
    """A saved network whose weights are a pickle."""
    made(_save, folder / "model")
    (folder / "model" / "model.safetensors").write_bytes(pickled(folder))
    vouched(folder / "model", "config.json", "model.safetensors")


def options(**values: Any) -> Opened:
    return described(lambda config: config["network"]["options"].update(values))


def spec(**values: Any) -> Opened:
    return described(lambda config: config["network"].update({"options": {}} | values))


def row(name: str, build: Opened, says: str, refused: type[IntegrityError | UsageError] = IntegrityError, open: Opened = saved) -> Hostile:
    return Hostile(name, build, open, refused, says)


NETWORKS = [
    row("network whose weights are a pickle", unpickled, "model.safetensors cannot be read: its header would have"),
    row("network of a pickle that learns", unpickled, "model.safetensors cannot be read", open=command(*DISTILL, "teacher=model")),
    row("network of a pickle to record", unpickled, "model.safetensors cannot be read", open=command(*RECORD, "teacher=model")),
    row("network with _target_ in its options", options(_target_="os.system"), "hinton_mlp has no option '_target_'", UsageError),
    Hostile("network with _target_ beside them", described(lambda c: c.update(_target_="os.system", auto_map={"AutoModel": "ran.Net"})), saved),
    row("network of a module in the folder", spec(name="ran:Net"), CODE, UsageError),
    row("network of a module that teaches", spec(name="ran:Net"), CODE, UsageError, command(*DISTILL, "teacher=model")),
    row("network of a module of Python", spec(name="os:system"), CODE, UsageError),
    row("network from the hub", spec(name="timm:hf-hub:stranger/network"), "no network 'hf-hub:stranger/network'", UsageError),
    row("network of timm with more layers than weights", spec(name="timm:resnet10t"), LARGE),
    row("network with a wide layer", options(hidden=[1 << 40]), LARGE),
    row("network with a layer of 10³⁰ units", options(hidden=[10**30]), LARGE),
    row("network with a hundred thousand layers", options(hidden=[1] * 100_000), LARGE),
    row("network for a picture of a trillion pixels", spec(input_shape=[1, 1 << 20, 1 << 20], options={"hidden": [3]}), LARGE),
    row(
        "network that enlarges its pictures",
        described(lambda c: c["preprocessing"].update(size=[1 << 20, 1 << 20])),
        "the size (1048576, 1048576) is no",
        UsageError,
    ),
    row(
        "network with infinitely many classes",
        configured(lambda text: text.replace('"num_classes": 2', '"num_classes": 1e999')),
        "config.json does not describe a network",
    ),
    row(
        "network with deep options",
        configured(lambda text: text.replace('"hidden": [', '"hidden": [' + nested(100_000))),
        "config.json is not valid JSON",
    ),
    row(
        "network with options of six hundred levels",
        options(hidden=json.loads(nested(600) + "]" * 600)),
        "config.json does not describe a network",
    ),
    row(
        "network with a number of 5,000 digits",
        configured(lambda text: text.replace('"num_classes": 2', '"num_classes": ' + "9" * 5000)),
        "config.json is not valid JSON",
    ),
]


def naming(*names: str) -> Opened:
    """A saved network whose manifest names more files."""

    def build(folder: Path) -> None:
        made(_save, folder / "model")
        path = folder / "model" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"] |= {name: {"bytes": 0, "sha256": sha256(b"")} for name in names}
        path.write_text(json.dumps(manifest))

    return build


def linking(folder: Path) -> None:
    naming("more")(folder)
    (folder / "model" / "more").symlink_to("/etc/passwd")


def with_manifest(make: Callable[[Path], object]) -> Opened:
    def build(folder: Path) -> None:
        made(_save, folder / "model")
        (folder / "model" / "manifest.json").rename(folder / "moved")
        make(folder / "model" / "manifest.json")

    return build


def text(content: str) -> Opened:
    return with_manifest(lambda path: path.write_text(content))


NUMBERS = '{"bytes": [], "sha256": {}}'

MANIFESTS = [
    row("manifest that climbs out", naming("../../../etc/passwd"), OUTSIDE),
    row("manifest that climbs out, looked at", naming("../../../etc/passwd"), OUTSIDE, open=command("verify", "model")),
    row("manifest with an absolute path", naming("/etc/passwd"), OUTSIDE),
    row("manifest with a device", naming("/dev/zero"), OUTSIDE),
    row("manifest with an end of text", naming("more\0"), OUTSIDE),
    row("manifest with the other slashes", naming("..\\..\\more"), "..\\..\\more is missing"),
    row("manifest with a link out", linking, OUTSIDE),
    row("manifest that is deep", text(nested(100_000)), "manifest.json is not valid JSON"),
    row("manifest of 5 GB", with_manifest(empty_of(5 << 30)), "it is no file of at most"),
    row("manifest that is a pipe", with_manifest(os.mkfifo), "has no manifest.json"),
    row(
        "manifest with numbers for digests",
        text(f'{{"schema": 1, "files": {{"config.json": {NUMBERS}, "model.safetensors": {NUMBERS}}}}}'),
        "config.json is not the file that was written",
    ),
]

HOSTILE = [*NETWORKS, *MANIFESTS]
SOUND = [
    Hostile("a network", configured(str), saved),
    Hostile("a network with more in its manifest", naming(), saved),
    Hostile("a network that is looked at", naming(), command("verify", "model")),
]
