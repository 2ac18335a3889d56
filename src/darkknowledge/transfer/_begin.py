"""How a recording begins or goes on: everything that can be refused before the teacher is asked."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from darkknowledge.contract import Report
from darkknowledge.errors import IntegrityError, ResourceError
from darkknowledge.runs.environment import environment
from darkknowledge.runs.files import flush_folder, storage_error, write_bytes, write_text
from darkknowledge.transfer._identity import CONTINUING, Identity, different, require_same
from darkknowledge.transfer._layout import AGAIN, MANIFEST, PLAN, SCHEMA, SHARDS, printable, read_sealed, sealed
from darkknowledge.transfer._plan import Plan
from darkknowledge.transfer._sidecar import finished_shards

OTHER = "choose another folder with out=…, or remove this one"


def begin(folder: Path, plan: Plan, report: Report) -> dict[str, Any] | None:
    """Begin a build, or go on with the one that another process began, perhaps just now.

    Returns:
        Versions and hardware of whoever began, None if the build has ended.

    Raises:
        IntegrityError: it was begun for another plan.
        ResourceError: the folder can't be written or the disk is too small.
    """
    begun = _begun(folder)
    if (folder / MANIFEST).is_file():  # another process was faster; without a plan and a manifest there is no shard, and nobody can be
        return None
    if begun is not None:
        _require_same_plan(begun, plan, folder)
    _require_space(folder, plan)
    if begun is None:
        begun = _first(folder, {**plan.to_dict(), "schema": SCHEMA, "environment": environment()})
        if begun is None:
            return None
        _require_same_plan(begun, plan, folder)
    _require_writable(folder / SHARDS)
    facts: dict[str, Any] = begun["environment"]
    if changes := _changes(facts, environment()):
        report(f"warning: the last digits of the logits may differ from those of whoever began {folder}: {', '.join(changes)}")
    return facts


def other_rows(name: str, found: object, wanted: object, folder: Path) -> IntegrityError:
    """The message for a folder that holds, or is to hold, other rows than the ones asked for."""
    if name == "keys" or (name == "rows" and found == wanted):  # as many rows; a digest says nothing to anybody
        name, found, wanted = "keys", "other examples or views", "these"
    return different(name, found, wanted, where=str(folder), why="it would hold other rows than the ones asked for", fix=OTHER)


def _first(folder: Path, content: dict[str, Any]) -> dict[str, Any] | None:
    """Write the plan unless another part was first; the plan that is there, None if the build has ended since."""
    staged = folder / f".{PLAN}.tmp-{os.getpid()}-{secrets.token_hex(4)}"
    write_text(staged, sealed(content))
    try:
        os.link(staged, folder / PLAN)  # never replaces a file
    except FileExistsError:
        pass
    except OSError:  # a file system without links, where the last one of two wins
        write_text(folder / PLAN, sealed(content))
    finally:
        staged.unlink(missing_ok=True)
    flush_folder(folder)
    found = _begun(folder)
    if (folder / MANIFEST).is_file():  # it was finished before the plan could be written
        (folder / PLAN).unlink(missing_ok=True)
        return None
    return found


def _begun(folder: Path) -> dict[str, Any] | None:
    """What ``plan.json`` holds; None where there is none, or not any more."""
    try:
        return read_sealed(folder / PLAN)
    except IntegrityError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _require_same_plan(found: dict[str, Any], plan: Plan, folder: Path) -> None:
    fix = f"go on with the settings of the first call, or start over: {OTHER}"
    if found.get("schema") != SCHEMA:
        raise IntegrityError(f"{PLAN} has schema {found.get('schema')!r}, and {SCHEMA} is the one known here", where=str(folder / PLAN), fix=fix)
    if not isinstance(found.get("environment"), dict):
        raise IntegrityError(f"{PLAN} does not say where the build began", where=str(folder / PLAN), fix=AGAIN)
    require_same(Identity.from_dict(found.get("identity")), plan.identity, where=str(folder), fix=fix, names=CONTINUING)
    for name in ("rows", "keys", "shard_rows"):
        if found.get(name) != plan.to_dict()[name]:
            raise other_rows(name, found.get(name), plan.to_dict()[name], folder)


def _require_space(folder: Path, plan: Plan) -> None:
    needed = plan.bytes - sum(sidecar.bytes for sidecar in finished_shards(folder, plan).values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        what = f"not enough space for the transfer set: {needed / 1e6:,.1f} MB needed, {free / 1e6:,.1f} MB free"
        raise ResourceError(what, where=str(folder), fix="free some space, choose another folder with out=…, or another codec")


def _require_writable(shards: Path) -> None:
    try:
        shards.mkdir(exist_ok=True)
        probe = shards / f".probe.tmp-{os.getpid()}"
        write_bytes(probe, b"")
        probe.unlink()
    except OSError as error:
        raise storage_error(error, shards) from error


def _changes(begun: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What may move the last digits: the bytes are the same only on one kind of hardware, with one version of torch and number of threads."""
    pairs = [(name, begun.get(name), now.get(name)) for name in ("processor", "accelerator", "threads")]
    packages = begun.get("packages")
    pairs.append(("torch", packages.get("torch") if isinstance(packages, dict) else None, now["packages"].get("torch")))
    return [printable(f"{name} was {before} and is {after}") for name, before, after in pairs if before != after]
