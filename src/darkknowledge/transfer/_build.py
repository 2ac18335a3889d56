"""Recording a transfer set: shard after shard, to be killed and continued, or split among processes, with the same bytes at the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from darkknowledge.contract import Examples, Report, Teacher
from darkknowledge.errors import BusyError, ResourceError, UsageError
from darkknowledge.runs.files import storage_error
from darkknowledge.transfer._begin import OTHER, begin, other_rows
from darkknowledge.transfer._identity import USING, require_same
from darkknowledge.transfer._layout import LOCK, MANIFEST, PLAN, printable
from darkknowledge.transfer._lock import building, leftovers
from darkknowledge.transfer._plan import Plan
from darkknowledge.transfer._sidecar import Sidecar, commit, finished_shards, write_shard
from darkknowledge.transfer._transfer_set import TransferSet
from darkknowledge.transfer._writer import Recorder

Watch = Callable[[int, int, int], None]
"""Hears after every batch: rows done in this call, rows of this part in all, rows that were there before."""


def build(
    out: str | os.PathLike[str],
    plan: Plan,
    *,
    teacher: Teacher,
    examples: Examples,
    part: tuple[int, int] = (0, 1),
    device: torch.device | str = "cpu",
    report: Report = lambda line: None,
    watch: Watch = lambda done, total, before: None,
) -> TransferSet | None:
    """Record the answers of ``teacher``, which lives on ``device``, to the rows of ``plan`` in the folder ``out``.

    A build that was stopped, in whatever way, goes on when it is called again. With ``part=(i, n)`` it records the shards i, i + n, i + 2n, … alone,
    so that n processes can share the work; who finishes last completes the set. The files are the same, byte for byte, on one kind of hardware. A
    finished set of the same identity and rows is left as it is.

    Returns:
        The set, or None while shards of other parts are missing.

    Raises:
        UsageError: ``out`` holds something else, or there is no such part.
        DataError: an example is not in the data, or its logits can't be stored.
        IntegrityError: ``out`` holds a set or a build with another identity or other rows, or what was written is damaged.
        ResourceError: the folder can't be written or the disk is too small; found before the teacher is asked.
        BusyError: another process records there.
    """
    folder = Path(out)
    if not 0 <= part[0] < part[1]:
        raise UsageError(f"part {part[0]} of {part[1]}", fix="with n parts, give i from 0 to n - 1")
    if found := _finished(folder, plan):
        report(f"{folder} is recorded already")
        return found
    require_place(folder)
    recorder = Recorder(teacher, examples, plan.identity, device=device)
    recorder.require(plan.keys)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    with building(folder, part=part):
        facts = begin(folder, plan, report)
        written = None if facts is None else _record(folder, plan, recorder, part, report, watch)
        if facts is not None and written is not None:
            _complete(folder, plan, facts, written, report)
    if facts is None:
        return _finished(folder, plan)
    return TransferSet.open(folder) if (folder / MANIFEST).is_file() else None


def _record(folder: Path, plan: Plan, recorder: Recorder, part: tuple[int, int], report: Report, watch: Watch) -> dict[int, Sidecar] | None:
    """Record the shards of one part that are missing; their sidecars, by number, or None while shards of other parts are missing."""
    mine = range(part[0], len(plan.shards), part[1])
    kept = finished_shards(folder, plan)
    before, total = (sum(len(plan.shard_keys(number)) for number in numbers) for numbers in (kept.keys() & set(mine), mine))
    if kept:
        report(f"going on with {folder}: {len(kept)} of {len(plan.shards)} files are there")
    done = 0

    def after_batch(rows: int) -> None:
        nonlocal done
        done += rows
        watch(done, total, before)

    absent = [number for number in mine if number not in kept]
    written = {number: write_shard(folder, plan, number, recorder.record(plan.shard_keys(number), after_batch=after_batch)) for number in absent}
    missing = len(plan.shards) - len(finished_shards(folder, plan))
    if missing:
        report(f"part {part[0] + 1} of {part[1]} is recorded; whoever records the last of {missing} missing files finishes {folder}")
    return None if missing else written


def _complete(folder: Path, plan: Plan, facts: dict[str, Any], written: dict[int, Sidecar], report: Report) -> None:
    """Write the manifest; several parts may do so at once, with the same bytes."""
    statistics = commit(folder, plan, environment=facts, written=written)
    (folder / PLAN).unlink(missing_ok=True)
    report(f"recorded {statistics.rows:,} answers in {len(plan.shards)} file{'s'[: len(plan.shards) != 1]}, {plan.bytes / 1e6:,.1f} MB")
    if statistics.flat and statistics.first_flat is not None:
        example, view = divmod(statistics.first_flat, plan.identity.views)
        report(
            f"warning: all logits are equal in {statistics.flat:,} of {statistics.rows:,} rows, the first for id {example}"
            + (f", view {view}" if plan.identity.views > 1 else "")
            + ": they teach nothing. Look at these pictures and at the teacher."
        )


def _finished(folder: Path, plan: Plan) -> TransferSet | None:
    """The set in ``folder`` if it is finished and the wanted one; it is tidied up if its builder was killed at the very end."""
    if not (folder / MANIFEST).is_file():
        return None
    found = TransferSet.open(folder)
    require_same(found.identity, plan.identity, where=str(folder), fix=OTHER, names=(*USING, "codec"))
    if found.manifest.keys != plan.keys_digest:
        raise other_rows("rows", len(found), len(plan.keys), folder)
    if (folder / PLAN).exists() or leftovers(folder):
        # Another part that is about to leave tidies up by itself, and a set that may not be written is as good.
        with suppress(BusyError, ResourceError), building(folder, part=(0, 1)):
            (folder / PLAN).unlink(missing_ok=True)
    return found


def require_place(out: str | os.PathLike[str]) -> None:
    """Look whether a set can be recorded in the folder ``out``, so that a mistake is found before a teacher is loaded.

    Raises:
        UsageError: ``out`` holds something else.
        ResourceError: it, or the folder where it would be made, can't be written.
    """
    folder = Path(out)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if there.is_dir() and not (folder / MANIFEST).is_file() and not _may_be_written(there):
        reason = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
        raise storage_error(OSError(reason, os.strerror(reason)), folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder", where=str(folder), fix="choose another folder with out=…")
    if not folder.exists():
        return
    ours = {LOCK, *(path.name for path in leftovers(folder))}
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    # Another part may begin or end just now. The plan comes before the first shard and goes after the manifest has come: looked for in this order.
    if strangers and not (folder / PLAN).is_file() and not (folder / MANIFEST).is_file():
        what = f"{folder} holds something else than a transfer set: {printable(', '.join(strangers[:3]))}{' …' if len(strangers) > 3 else ''}"
        raise UsageError(what, where=str(folder), why="recording never writes among other files", fix=OTHER)


def _may_be_written(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
