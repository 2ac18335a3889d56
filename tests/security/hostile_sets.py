"""Transfer sets, manifests of folders, and words of the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from darkknowledge import model
from darkknowledge.cli.main import main
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer import TransferSet, verify
from security.hostile import Hostile, nested, pickled, sha256, vouched
from security.hostile_weights import network, saved
from transfer.small import recorded

SHARD = "shards/00000-of-00007"


def opened(folder: Path) -> object:
    return TransferSet.open(folder / "set").keys().sum()


def verified(folder: Path) -> object:
    return verify(folder / "set")


def command(*words: str) -> Callable[[Path], object]:
    """Such as ``dk``, in the folder; its exit code."""
    return lambda folder: main(words)


def signed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A set whose manifest was changed by somebody who can put its SHA-256 right."""

    def edit(text: str) -> str:
        manifest = json.loads(text)
        change(manifest)
        manifest.pop("sha256")
        return canonical({**manifest, "sha256": sha256(canonical(manifest).encode())})

    return rewritten(edit)


def canonical(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def rewritten(edit: Callable[[str], str]) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        recorded(folder / "set")
        path = folder / "set" / "manifest.json"
        path.write_text(edit(path.read_text()))

    return build


def identity(**values: Any) -> Callable[[Path], None]:
    return signed(lambda manifest: manifest["identity"].update(values))


def with_shard(make: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """A set with a shard of somebody else's, for which its sidecar and its manifest vouch."""

    def build(folder: Path) -> None:
        recorded(folder / "set")
        shard, beside = (folder / "set" / f"{SHARD}.{ending}" for ending in ("arrow", "json"))
        shard.write_bytes(make(shard))
        beside.write_text(canonical(json.loads(beside.read_text()) | facts(shard)))
        path = folder / "set" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"] |= {f"{SHARD}.arrow": facts(shard), f"{SHARD}.json": facts(beside)}
        manifest.pop("sha256")
        path.write_text(canonical({**manifest, "sha256": sha256(canonical(manifest).encode())}))

    return build


def facts(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256(path.read_bytes())}


def extended(shard: Path) -> bytes:
    """The same columns, one of which says that it is of a type that is made by a pickle."""
    batch = pa.ipc.open_file(shard.read_bytes()).get_batch(0)
    marks = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": b"\x80\x04cos\nsystem\n(S'touch RAN'\ntR."}
    schema = batch.schema.set(0, batch.schema.field(0).with_metadata(marks))
    return written(pa.RecordBatch.from_arrays(batch.columns, schema=schema))


def squeezed(shard: Path) -> bytes:
    """A million rows of zeros in a few bytes."""
    rows = pa.table({"key": np.zeros(1 << 20, np.int64)})
    return written(rows.to_batches()[0], pa.ipc.IpcWriteOptions(compression="zstd"))


def written(batch: pa.RecordBatch, how: pa.ipc.IpcWriteOptions | None = None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema, options=how) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """A set of which a part is something else."""

    def build(folder: Path) -> None:
        recorded(folder / "set")
        path = folder / "set" / name
        path.rename(folder / "moved")
        make(path)

    return build


def unfinished(folder: Path) -> None:
    (folder / "set").mkdir()
    os.mkfifo(folder / "set" / "plan.json")


def empty_of(size: int) -> Callable[[Path], None]:
    """A file of that size, which takes no space."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def planned(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / "set").mkdir()
        (folder / "set" / "plan.json").write_text(text)

    return build


SETS = [
    Hostile("set with a file above it", signed(lambda m: m["files"].update({"../../RAN": {"bytes": 1, "sha256": ""}})), opened, IntegrityError),
    Hostile("set with a file elsewhere", signed(lambda m: m.update(files={"/etc/passwd": {"bytes": 1, "sha256": ""}})), verified, IntegrityError),
    Hostile("set with _target_ in its identity", identity(_target_="os.system"), opened, IntegrityError),
    Hostile("set with _target_ beside its identity", signed(lambda m: m.update(_target_="os.system")), opened, None),
    Hostile("set with a codec of its own", identity(codec={"name": "ran:Codec", "options": {}}), opened, IntegrityError),
    Hostile("set with a codec of Python's", identity(codec={"name": "os:system", "options": {}}), opened, IntegrityError),
    Hostile("set with a codec of a trillion numbers", identity(codec={"name": "topk", "options": {"k": 1 << 40}}), opened, IntegrityError),
    Hostile("set with a billion billion rows", signed(lambda m: m.update(rows=10**18)), opened, IntegrityError),
    Hostile("set with a terminal's commands", identity(transform="\x1b]0;ran\x07\x1b[2J"), command("transfer", "show", "set"), None),
    Hostile(
        "set with a terminal's commands for a codec", identity(codec={"name": "\x1b[2J", "options": {}}), command("verify", "set"), IntegrityError
    ),
    Hostile("set with a deep manifest", rewritten(lambda text: nested(100_000)), opened, IntegrityError),
    Hostile("set with a manifest of 5 GB", replaced("manifest.json", empty_of(5 << 30)), opened, IntegrityError),
    Hostile("set with a shard that is a link", replaced(f"{SHARD}.arrow", lambda path: path.symlink_to("../../moved")), opened, IntegrityError),
    Hostile("set with shards that are a link", replaced("shards", lambda path: path.symlink_to("../moved")), verified, IntegrityError),
    Hostile("set with a manifest that is a link", replaced("manifest.json", lambda path: path.symlink_to("../moved")), opened, IntegrityError),
    Hostile("set with a shard that is a pipe", replaced(f"{SHARD}.arrow", os.mkfifo), opened, IntegrityError),
    Hostile("set with a shard of 5 GB", replaced(f"{SHARD}.arrow", empty_of(5 << 30)), opened, IntegrityError),
    Hostile("set with a shard that is a pickle", with_shard(lambda shard: pickled(shard.parents[2])), opened, IntegrityError),
    Hostile("set with a shard of a pickled type", with_shard(extended), verified, None),
    Hostile("set with a shard that is compressed", with_shard(squeezed), opened, IntegrityError),
    Hostile("set with a plan that is a pipe", unfinished, command("verify", "set"), UsageError),
    Hostile("set with a deep plan", planned(nested(100_000)), command("transfer", "show", "set"), IntegrityError),
]


def naming(*names: str) -> Callable[[Path], None]:
    """A saved network whose manifest names more files."""

    def build(folder: Path) -> None:
        model.save(network(), folder / "model")
        vouched(folder / "model", "config.json", "model.safetensors")
        path = folder / "model" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"] |= {name: {"bytes": 0, "sha256": sha256(b"")} for name in names}
        path.write_text(json.dumps(manifest))

    return build


def linking(folder: Path) -> None:
    naming("more")(folder)
    (folder / "model" / "more").symlink_to("/etc/passwd")


def manifest(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        model.save(network(), folder / "model")
        (folder / "model" / "manifest.json").write_text(text)

    return build


MANIFESTS = [
    Hostile("manifest that climbs out", naming("../../../etc/passwd"), saved, IntegrityError),
    Hostile("manifest with an absolute path", naming("/etc/passwd"), saved, IntegrityError),
    Hostile("manifest with a device", naming("/dev/zero"), saved, IntegrityError),
    Hostile("manifest with an end of text", naming("more\0"), saved, IntegrityError),
    Hostile("manifest with the other slashes", naming("..\\..\\more"), saved, IntegrityError),
    Hostile("manifest with a link out", linking, saved, IntegrityError),
    Hostile("manifest that is deep", manifest(nested(100_000)), saved, IntegrityError),
    Hostile(
        "manifest with numbers for digests", manifest('{"schema": 1, "files": {"config.json": {"bytes": [], "sha256": {}}}}'), saved, IntegrityError
    ),
]


def planted(folder: Path) -> None:
    """Configurations that lie where a command is given."""
    (folder / "evil.yaml").write_text("# @package _global_\nout: ${oc.env:HOME}\ntraining:\n  _target_: os.system\n")


def words(name: str, *words: str) -> Hostile:
    return Hostile(f"words {name}", planted, command(*words), UsageError)


WORDS = [
    words("that choose a file elsewhere", "run", f"experiment={'../' * 20}{Path.cwd().anchor}tmp/evil", "--cfg", "job"),
    words("that choose a file above", "train", "training=../../evil", "--cfg", "job"),
    words("that choose two files above", "train", "+training=[default,../../evil]", "--cfg", "job"),
    words("that search elsewhere", "train", "hydra.searchpath=[file://.]", "--cfg", "job"),
    words("that read the environment", "train", "out=${oc.env:HOME}", "--cfg", "job"),
    words("that name what is to be made", "train", "+model._target_=os.system", "out=run"),
    words("that name a class beside the keys", "train", "+_target_=os.system", "--dry-run"),
]

HOSTILE = [*SETS, *MANIFESTS, *WORDS]
SOUND = [
    Hostile("a set", lambda folder: recorded(folder / "set") and None, verified, None),
    Hostile("a set that is shown", lambda folder: recorded(folder / "set") and None, command("transfer", "show", "set"), None),
    Hostile("a set that is verified", lambda folder: recorded(folder / "set") and None, command("verify", "set"), None),
    Hostile("words", planted, command("run", "--cfg", "job"), None),
    Hostile("words for a plan", planted, command("train", "model=hinton_mlp", "--dry-run"), None),
]
