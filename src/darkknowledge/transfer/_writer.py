"""Asking the teacher for one shard's rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Batch, Examples, Output, Stored, Teacher
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.transfer._checks import checksums
from darkknowledge.transfer._identity import Identity, require_same_transform
from darkknowledge.transfer._shard import Columns


class Recorder:
    """A teacher, the examples that it is asked about, and the device where it lives.

    Raises:
        IntegrityError: the teacher's classes or the examples' transform are not those of the identity.
    """

    def __init__(self, teacher: Teacher, examples: Examples, identity: Identity, *, device: torch.device | str) -> None:
        _check_same("class_names", tuple(teacher.class_names), identity.class_names)
        require_same_transform(identity, examples.transform, where="the examples to record")
        self._teacher, self._examples, self._identity, self._device = teacher, examples, identity, torch.device(device)
        self._ids, self._order = examples.ids.cpu().sort()

    def require(self, keys: Tensor) -> None:
        """Refuse keys of examples that are not there.

        Raises:
            DataError: some are missing; they are counted and the first are named.
        """
        ids = keys // self._identity.views
        absent = self._ids[self._places(ids)] != ids if len(self._ids) else torch.ones_like(ids, dtype=torch.bool)
        if absent.any():
            lost = np.unique(ids[absent].numpy())
            raise DataError(
                f"{len(lost):,} examples to record are not in the data: id {', '.join(map(str, lost[:5].tolist()))}{' …' if len(lost) > 5 else ''}",
                fix="plan the recording with ids of these examples",
            )

    def record(self, keys: Tensor, *, after_batch: Callable[[int], None]) -> Columns:
        """The rows at ``keys`` (R,); ``after_batch`` hears how many came in each batch.

        Batches have the recording's size and start at the first row, so the rows don't depend on who asks, or when.

        Raises:
            DataError: the teacher's logits are not finite, or too large for the codec; names the example.
            IntegrityError: the teacher or the examples answer something else than they were asked.
        """
        ids, views = keys // self._identity.views, keys % self._identity.views
        positions = self._order[self._places(ids)]
        columns = Columns.empty(len(keys), width=self._identity.bytes_per_answer)
        columns.keys[:] = keys.numpy()
        start = 0
        for batch in self._examples.batches(positions, batch_size=self._identity.batch_size, views=None if self._identity.plain else views):
            rows = slice(start, start + len(batch))
            if not torch.equal(batch.ids.cpu(), ids[rows]):
                raise IntegrityError("the data answers with other examples than it was asked for", where=f"rows {rows.start} to {rows.stop}")
            self._fill(columns, rows, batch, ids[rows], views[rows])
            start = rows.stop
            after_batch(len(batch))
        if start != len(keys):
            raise IntegrityError(f"the data answers with {start} of {len(keys)} examples")
        return columns

    def _fill(self, columns: Columns, rows: slice, batch: Batch, ids: Tensor, views: Tensor) -> None:
        # First, while the pictures that were just made are still in the processor's cache.
        columns.input_crc32[rows] = checksums(batch.inputs)
        columns.labels[rows] = batch.labels.cpu().numpy() if batch.labels.ndim == 1 else IGNORED
        columns.answers[rows] = self._packed(self._ask(batch), ids, views).numpy()

    def _ask(self, batch: Batch) -> Tensor:
        """The logits (members, B, C) to be stored, in main memory."""
        identity = self._identity
        half = torch.autocast(self._device.type, dtype=torch.bfloat16) if identity.precision == "bf16" else nullcontext()
        with torch.no_grad(), half:
            answer = self._teacher(batch.to(self._device))
        output = answer.decoded() if isinstance(answer, Stored) else answer
        if not isinstance(output, Output):
            raise UsageError(f"a teacher that answers {type(output).__name__} can't be recorded", fix="record from networks or from a dense set")
        members, wanted = output.members, (len(identity.teacher), len(batch), len(identity.class_names))
        if tuple(members.shape) != wanted:
            raise IntegrityError(f"the teacher answers {tuple(members.shape)}, and (teachers, examples, classes) is {wanted}")
        if len(members) > 1:
            _check_same("average", output.average, identity.average)
            if not torch.allclose(output.weights.cpu().double(), torch.tensor(identity.weights).double(), atol=1e-6):
                _check_same("weights", tuple(output.weights.tolist()), identity.weights)
        stored = output.logits(math.inf)[None] if identity.members == 1 else members
        return stored.float().cpu()

    def _packed(self, answers: Tensor, ids: Tensor, views: Tensor) -> Tensor:
        """The bytes (B, W) of answers (members, B, C)."""
        codec = self._identity.codec
        rows = answers.transpose(0, 1).reshape(-1, codec.classes)
        if not rows.isfinite().all():
            example = self._example(~rows.isfinite().all(-1), ids, views)
            raise DataError(f"the teacher's logits for {example} are not finite", fix="check its weights, its normalisation and this picture")
        unfit = codec.unfit(rows)
        if unfit.any():
            largest = rows[unfit][0]
            example, value = self._example(unfit, ids, views), float(largest[largest.abs().argmax()])
            fix = "record with codec=float32 (dk distill: transfer.codec=float32)"
            raise DataError(f"a logit for {example} is {value:g}, too large for codec={codec.name}", fix=fix)
        return codec.encode(rows).view(len(ids), -1)

    def _example(self, rows: Tensor, ids: Tensor, views: Tensor) -> str:
        index = int(rows.nonzero()[0, 0]) // self._identity.members
        return f"id {int(ids[index])}" + (f", view {int(views[index])}," if self._identity.views > 1 else "")

    def _places(self, ids: Tensor) -> Tensor:
        return torch.searchsorted(self._ids, ids).clamp_max(len(self._ids) - 1)


def _check_same(name: str, found: object, wanted: object) -> None:
    if found != wanted:
        what = f"the {name} of what is recorded is {found!r}, and the set is to have {wanted!r}"
        raise IntegrityError(what, why="the set would say of itself what is not true", fix="make the identity from this teacher and these examples")
