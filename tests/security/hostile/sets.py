"""Transfer sets: the manifest, the shards with their sidecars, and the plan of a recording that goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from darkknowledge.errors import IntegrityError, ResourceError, UsageError
from darkknowledge.transfer import TransferSet, verify
from security.hostile.file import DISTILL, RECORD, Hostile, Opened, command, empty_of, made, nested, pickled, sha256
from transfer.small import recorded

KIND = "Transfer sets"

SHARD = "shards/00000-of-00007"
BEGUN = "runs/begun"


def opened(folder: Path) -> object:
    return TransferSet.open(folder / "set").keys().sum()


def verified(folder: Path) -> object:
    return verify(folder / "set")


def signed(change: Callable[[dict[str, Any]], object]) -> Opened:
    """A set whose manifest was changed by somebody who can put its SHA-256 right."""

    def edit(text: str) -> str:
        manifest = json.loads(text)
        change(manifest)
        manifest.pop("sha256")
        return signed_by(manifest)

    return rewritten(edit)


def signed_by(content: dict[str, Any], name: str = "sha256") -> str:
    """The text of a file that vouches for itself."""
    return canonical({**content, name: sha256(canonical(content).encode())})


def canonical(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def rewritten(edit: Callable[[str], str]) -> Opened:
    def build(folder: Path) -> None:
        made(recorded, folder / "set")
        path = folder / "set" / "manifest.json"
        path.write_text(edit(path.read_text()))

    return build


def identity(**values: Any) -> Opened:
    return signed(lambda manifest: manifest["identity"].update(values))


def with_shard(make: Callable[[Path], bytes]) -> Opened:
    """A set with a shard of somebody else's, for which its sidecar and its manifest vouch."""

    def build(folder: Path) -> None:
        made(recorded, folder / "set")
        shard, beside = (folder / "set" / f"{SHARD}.{ending}" for ending in ("arrow", "json"))
        shard.write_bytes(make(shard))
        sidecar = json.loads(beside.read_text()) | facts(shard)
        sidecar.pop("sidecar_sha256")
        beside.write_text(signed_by(sidecar, "sidecar_sha256"))
        path = folder / "set" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"] |= {f"{SHARD}.arrow": facts(shard), f"{SHARD}.json": facts(beside)}
        manifest.pop("sha256")
        path.write_text(signed_by(manifest))

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


def replaced(name: str, make: Callable[[Path], object]) -> Opened:
    """A set of which a part is something else."""

    def build(folder: Path) -> None:
        made(recorded, folder / "set")
        path = folder / "set" / name
        path.rename(folder / "moved")
        make(path)

    return build


def begun(name: str, make: Callable[[Path], object]) -> Opened:
    """A recording under way, of which a part is something else."""

    def build(folder: Path) -> None:
        (folder / BEGUN).mkdir(parents=True)
        make(folder / BEGUN / name)

    return build


def planned(text: str) -> Opened:
    return begun("plan.json", lambda path: path.write_text(text))


def sound(folder: Path) -> None:
    made(recorded, folder / "set")
    (folder / "runs").mkdir()


def row(name: str, build: Opened, says: str, open: Opened = opened) -> Hostile:
    return Hostile(f"set {name}", build, open, IntegrityError, says)


SHOW, VERIFY, EXPORT = command("transfer", "show", "set"), command("verify", "set"), command("transfer", "export", "set", "runs/set.parquet")
LEARN = command(*DISTILL, "transfer.source=set")
ON = command(*RECORD[:-1], "teacher=[{name: hinton_mlp, hidden: [2]}]", "teacher.check=false", f"out={BEGUN}")
NO_SET = "manifest.json does not describe a transfer set"
NO_JSON = "manifest.json is not valid JSON"
NO_SHARD = "00000-of-00007.arrow is no shard of 16 rows with answers of 40 bytes"
ABOVE = signed(lambda m: m["files"].update({"../../RAN": {"bytes": 1, "sha256": ""}}))
ELSEWHERE = signed(lambda m: m.update(files={"/etc/passwd": {"bytes": 1, "sha256": ""}}))

MANIFESTS = [
    row("with a file above it", ABOVE, NO_SET),
    row("with a file above it, shown", ABOVE, NO_SET, SHOW),
    row("with a file above it, exported", ABOVE, NO_SET, EXPORT),
    row("with a file above it, to learn from", ABOVE, NO_SET, LEARN),
    row("with a file elsewhere", ELSEWHERE, NO_SET, verified),
    row("with _target_ in its identity", identity(_target_="os.system"), NO_SET),
    Hostile("set with _target_ beside its identity", signed(lambda m: m.update(_target_="os.system")), opened),
    row("with a codec of its own", identity(codec={"name": "ran:Codec", "options": {}}), NO_SET),
    row("with a codec of Python's", identity(codec={"name": "os:system", "options": {}}), NO_SET),
    row("with a codec of a trillion numbers", identity(codec={"name": "topk", "options": {"k": 1 << 40}}), NO_SET),
    row("with a billion billion rows", signed(lambda m: m.update(rows=10**18)), NO_SET),
    Hostile("set with a terminal's commands", identity(transform="\x1b]0;ran\x07\x1b[2J"), SHOW, says="]0;ran"),
    row("with a terminal's commands for a codec", identity(codec={"name": "\x1b[2J", "options": {}}), "[2J", VERIFY),
    row("with a deep manifest", rewritten(lambda text: nested(100_000)), NO_JSON),
    row("with a manifest of 5 GB", replaced("manifest.json", empty_of(5 << 30)), NO_JSON),
    row("with a manifest that is a link", replaced("manifest.json", lambda path: path.symlink_to("../moved")), "manifest.json is a link"),
]

SHARDS = [
    row("with a shard that is a link", replaced(f"{SHARD}.arrow", lambda path: path.symlink_to("../../moved")), "00000-of-00007.arrow is a link"),
    row("with shards that are a link", replaced("shards", lambda path: path.symlink_to("../moved")), "shards is a link"),
    row("with shards that are a link, looked at", replaced("shards", lambda path: path.symlink_to("../moved")), "shards: is a link", verified),
    row("with a shard that is a pipe", replaced(f"{SHARD}.arrow", os.mkfifo), "shards/00000-of-00007.arrow is missing"),
    row("with a sidecar that is a pipe", replaced(f"{SHARD}.json", os.mkfifo), "shards/00000-of-00007.json: is missing", verified),
    row("with a shard of 5 GB", replaced(f"{SHARD}.arrow", empty_of(5 << 30)), "shards/00000-of-00007.arrow has 5368709120 bytes"),
    row("with a shard that is a pickle", with_shard(lambda shard: pickled(shard.parents[2])), NO_SHARD),
    row("with a pickle to learn from", with_shard(lambda shard: pickled(shard.parents[2])), NO_SHARD, LEARN),
    row("with a pickle to export", with_shard(lambda shard: pickled(shard.parents[2])), NO_SHARD, EXPORT),
    row("with a shard that is compressed", with_shard(squeezed), NO_SHARD),
    Hostile("set with a shard of a pickled type", with_shard(extended), verified),
]

PLANS = [
    Hostile(
        "set with a plan that is a pipe", begun("plan.json", os.mkfifo), command("verify", BEGUN), UsageError, f"there is no transfer set at {BEGUN}"
    ),
    Hostile(
        "set with a plan that is a pipe to go on with", begun("plan.json", os.mkfifo), ON, UsageError, "holds something else than a transfer set"
    ),
    row("with a deep plan", planned(nested(100_000)), "plan.json is not valid JSON", command("transfer", "show", BEGUN)),
    row("with a deep plan to go on with", planned(nested(100_000)), "plan.json is not valid JSON", ON),
    row("with a plan of another kind", planned(signed_by({"schema": 1, "environment": {}, "identity": [5]})), "this is no identity", ON),
    Hostile("set whose lock lies elsewhere", begun(".lock", lambda path: path.symlink_to("../elsewhere")), ON, ResourceError, "cannot write .lock"),
]

HOSTILE = [*MANIFESTS, *SHARDS, *PLANS]
SOUND = [
    Hostile("a set", sound, verified),
    Hostile("a set that is shown", sound, SHOW),
    Hostile("a set that is verified", sound, VERIFY),
    Hostile("a set that is exported", sound, EXPORT),
]
