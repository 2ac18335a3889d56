"""``record``: a teacher's answers to a data set as a transfer set, that students learn from without the teacher."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from darkknowledge.contract import Report, Teacher
from darkknowledge.data import Dataset
from darkknowledge.errors import UsageError
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import (
    assemble_teacher,
    data_settings,
    examine_teacher,
    fingerprints,
    load_data,
    load_members,
    require_teacher,
    teacher_settings,
)
from darkknowledge.pipeline._parts import USUAL
from darkknowledge.pipeline._recording import Recording, codec_for, identify, record_rows
from darkknowledge.pipeline._reporting import error_stream, reporter
from darkknowledge.pipeline.settings import RecordSettings, validate
from darkknowledge.training.memory import freed_memory_kept
from darkknowledge.training.precision import resolve_device
from darkknowledge.training.signals import stoppable
from darkknowledge.training.threads import use_threads
from darkknowledge.transfer import Plan, TransferSet, require_place

LOOKED_AT = USUAL["distillation"]["temperature"]
"""Where the teacher's soft targets are looked at; students may choose any temperature later."""


def record(
    teacher: str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]] | Network | Teacher,
    data: str | Mapping[str, Any] | Dataset,
    out: str | Path,
    *,
    average: str = "probability",
    weights: Sequence[float] | None = None,
    check: bool = True,
    plugins: tuple[str, ...] = (),
    **options: Any,
) -> TransferSet | None:
    """Record a teacher's answers to every training picture of a data set, and to ``views`` augmented views of each.

    A recording that was stopped anywhere goes on when it is called again, and gives the same bytes. Several processes or machines share the work
    with ``shard``, or under ``torchrun``.

    Args:
        teacher: as for `distill`.
        data: a name, a name with options, or a `Dataset`. Labels are optional.
        out: the folder to make, or to go on with.
        average: how an ensemble's answers become one: ``probability`` (the paper's) or ``logit``.
        weights: of the ensemble's members; equal by default.
        check: refuse a teacher whose accuracy on validation (on the training pictures where there is none) is near chance.
        plugins: modules whose classes may be imported when a saved network names one.
        options: ``views``, ``codec``, ``top_k``, ``temperatures``, ``shard``, ``batch_size``, ``shard_rows``, ``precision``, ``device``,
            ``threads``, ``progress``; see ``dk record --help``.

    Returns:
        The finished set, or None when parts that others record are still missing.

    Raises:
        DarkKnowledgeError: what the class says; finished shards are kept.

    Example::

        transfer_set = darkknowledge.record("runs/teacher", "mnist", "sets/mnist")
        transfer_set[[7, 8]].logits(temperature=4)
    """
    answering, described = teacher_settings(teacher, average=average, weights=weights, check=check)
    values = {"teacher": described, "data": data_settings(data), "out": out, "plugins": plugins} | options
    return record_from(validate(RecordSettings, values), teacher=answering, data=data if isinstance(data, Dataset) else None)


@stoppable()
@freed_memory_kept()
def record_from(
    settings: RecordSettings, *, teacher: Teacher | None = None, data: Dataset | None = None, report: Report | None = None
) -> TransferSet | None:
    """`record` with checked settings; ready objects stand in for those that the settings name."""
    console = error_stream()
    report = report or reporter(console)
    part, device = _part(settings), _device(settings)
    use_threads(settings.threads)
    require_place(settings.out)
    if teacher is None:
        require_teacher(settings.teacher)
    found = data or load_data(settings.data)
    prints: list[str] = []
    if teacher is None:
        members = load_members(settings.teacher, found, plugins=settings.plugins, report=report)
        teacher, prints = assemble_teacher(members, settings.teacher), fingerprints(members)
    recording = _plan(settings, teacher, found, prints)
    report(found.describe())
    examine_teacher(teacher, found, temperature=LOOKED_AT, check=settings.teacher.check, report=report)
    return record_rows(recording, settings.out, part=part, device=device, progress=settings.progress, console=console, report=report)


def _plan(settings: RecordSettings, teacher: Teacher, data: Dataset, prints: Sequence[str]) -> Recording:
    """Every view of every training picture."""
    views = settings.views if data.varies else 1
    codec = codec_for(settings, len(data.class_names))
    identity = identify(teacher, data, views=views, codec=codec, precision=settings.precision, batch_size=settings.batch_size, fingerprints=prints)
    ids = data.train.ids.repeat_interleave(views)
    plan = Plan.make(identity, ids=ids, views=torch.arange(views).repeat(len(data.train)), shard_rows=settings.shard_rows)
    return Recording(teacher, data, plan)


def _device(settings: RecordSettings) -> str:
    """The device of this process: each of ``torchrun`` has an accelerator of its own, as far as there are any."""
    device = resolve_device(settings.device, key="device")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    return f"cuda:{local % torch.cuda.device_count()}" if device == "cuda" else device


def _part(settings: RecordSettings) -> tuple[int, int] | None:
    """What this process records: what ``shard`` says, or its share among the processes of ``torchrun``.

    Raises:
        UsageError: both say something.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if not world.isdecimal() or int(world) < 2:
        return settings.part
    if settings.part is not None:
        raise UsageError("shard is given under torchrun, which divides the work itself", fix="leave shard away, or start the parts without torchrun")
    return int(os.environ["RANK"]), int(world)
