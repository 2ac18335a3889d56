"""From a teacher and a data set to a transfer set: what identifies it, where it lies, and the bar that is shown meanwhile."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeGuard, runtime_checkable

from rich.console import Console
from torch import nn

from darkknowledge import model as model_room
from darkknowledge.contract import Average, Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import BusyError, DataError, IntegrityError, Interrupted, UsageError
from darkknowledge.pipeline._parts import CodecSettings
from darkknowledge.pipeline._progress import RowsProgress
from darkknowledge.training.memory import shortage_told
from darkknowledge.training.signals import stoppable
from darkknowledge.transfer import Identity, Plan, TransferSet, build
from darkknowledge.transfer.codec import Codec, build as build_codec, choose


@runtime_checkable
class Tellable(Teacher, Protocol):
    """A teacher that its networks tell from any other, as `Frozen` and `Ensemble` are."""

    @property
    def networks(self) -> tuple[nn.Module, ...]: ...
    @property
    def weights(self) -> tuple[float, ...]: ...
    @property
    def average(self) -> Average: ...


def tellable(teacher: Teacher) -> TypeGuard[Tellable]:
    """Whether its networks alone make up its answers. An ensemble may have a member of another kind."""
    return isinstance(teacher, Tellable) and 0 < len(teacher.networks) == len(teacher.weights)


@dataclass(frozen=True, slots=True)
class Recording:
    """What is recorded: a teacher's answers to some views of a data set's training pictures."""

    teacher: Teacher
    data: Dataset
    plan: Plan


def identify(
    teacher: Teacher,
    data: Dataset,
    *,
    views: int,
    codec: Codec,
    precision: Literal["fp32", "bf16"] = "fp32",
    batch_size: int = 256,
    fingerprints: Sequence[str] = (),
) -> Identity:
    """What tells the answers of this teacher to this data from all others.

    Raises:
        UsageError: the teacher is no network or ensemble of networks, so that nothing tells it from another.
    """
    if not tellable(teacher):
        raise UsageError(
            f"{type(teacher).__name__} has no networks to tell it by",
            why="a transfer set belongs to one teacher, and a change of it must be noticed",
            fix="use darkknowledge.Frozen or darkknowledge.Ensemble, or ask it live: transfer={'mode': 'live'}",
        )
    return Identity(
        teacher=tuple(fingerprints or map(model_room.fingerprint, teacher.networks)),
        average=teacher.average,
        weights=teacher.weights,
        data=data.fingerprint,
        class_names=data.class_names,
        transform=data.train.transform,
        views=views,
        codec=codec,
        precision=precision,
        batch_size=batch_size,
    )


def codec_for(settings: CodecSettings, classes: int, *, temperatures: Sequence[float] = ()) -> Codec:
    """The codec of the settings, or the one that suits so many classes; a top-k one keeps the tail at these ``temperatures`` too.

    Raises:
        UsageError: top-k is asked for where every logit is needed, as in the limit of a high temperature.
    """
    usual, options, every = choose(classes), settings.codec_options(), any(map(math.isinf, temperatures))
    name = settings.codec or ("topk" if options else usual.name)
    if name == "topk" and every:
        if settings.codec or options:
            raise UsageError("this objective needs every logit, and codec=topk keeps a few", fix="use transfer.codec=uint8, or float16")
        name = "uint8"
    if name == "topk" and "temperatures" not in options:
        declared = usual.temperatures or build_codec("topk", classes, **({"k": min(128, classes)} | options)).temperatures or ()
        options["temperatures"] = tuple(sorted({*declared, *temperatures}))
    return build_codec(name, classes, **options)


def record_rows(
    recording: Recording,
    out: Path,
    *,
    part: tuple[int, int] | None = None,
    device: str = "cpu",
    progress: bool = True,
    console: Console,
    report: Report,
) -> TransferSet | None:
    """Ask the teacher for what is missing in ``out``; the finished set, or None when other parts are still to come."""
    plan = recording.plan
    examples = f"{len(plan.keys) // plan.identity.views:,} pictures × {plan.identity.views}" if plan.identity.views > 1 else "one a picture"
    report(f"recording {len(plan.keys):,} answers ({examples}), {plan.bytes / 1e6:,.1f} MB as {plan.identity.codec.name}, into {out}")
    bar = RowsProgress(console, out.name, shown=progress)
    try:
        with bar, stoppable(lambda number: _stopped(number, bar, plan, out)), shortage_told(device, lambda: _too_large(plan)):
            return build(
                out,
                plan,
                teacher=recording.teacher.to(device),
                examples=recording.data.train,
                part=part or (0, 1),
                device=device,
                watch=bar,
                report=report,
            )
    finally:
        recording.teacher.to("cpu")


def _stopped(number: int, bar: RowsProgress, plan: Plan, out: Path) -> Interrupted:
    what = f"stopped by signal {number} after {bar.done:,} of {bar.total or len(plan.keys):,} rows; the files that are finished are kept"
    return Interrupted(what, signal=number, where=str(out), fix="the same command goes on with them")


def _too_large(plan: Plan) -> tuple[str, str]:
    """What there is not enough memory for, and what may help."""
    size = plan.identity.batch_size
    live = "dk distill: transfer.mode=live asks the teacher about a batch of the training at a time"
    return f"ask the teacher about {size} pictures at a time", f"dk record: batch_size={size // 2}; {live}"


def find_or_record(
    recording: Recording, known: Sequence[Path], folder: Path, *, device: str, progress: bool, console: Console, report: Report
) -> TransferSet:
    """The first set among the ``known`` that holds these answers; if there is none, one that is recorded now in ``folder``."""
    for candidate in known:
        if (found := _usable(candidate, recording)) is not None:
            report(f"transfer set: {found.path}, {len(found):,} rows recorded before")
            return found
    out = folder / _name(recording)
    while True:
        try:
            made = record_rows(recording, out, device=device, progress=progress, console=console, report=report)
            assert made is not None, "an undivided recording is complete when it ends"
            return made
        except BusyError as busy:
            report(f"waiting: {busy.what}")
            time.sleep(5)


def _usable(path: Path, recording: Recording) -> TransferSet | None:
    """The set at ``path`` if it holds what is needed, perhaps among more views. A damaged one is no reason to stop: it is recorded anew."""
    wanted, keys = recording.plan.identity, recording.plan.keys
    try:
        found = TransferSet.open(path)
        if found.views < wanted.views or replace(found.identity, views=wanted.views) != wanted:
            return None
        found.require_rows(keys // wanted.views, keys % wanted.views)
    except (DataError, IntegrityError, UsageError):
        return None
    return found


def _name(recording: Recording) -> str:
    """Data set and a hash of everything that decides the bytes."""
    digest = hashlib.sha256(json.dumps(recording.plan.to_dict(), sort_keys=True).encode())
    return f"{recording.data.name.replace(':', '-').replace('/', '-')}-{digest.hexdigest()[:12]}"
