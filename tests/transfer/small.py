"""Small examples, teachers and sets for the tests of the transfer room, written against `darkknowledge.contract` alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge.contract import PLAIN, Average, Batch, Output
from darkknowledge.transfer import Identity, Plan, TransferSet, build, codec as codecs

FEATURES = 6


@dataclass(frozen=True)
class Points:
    """Examples whose view is a function of (id, view); ids need not be in order."""

    inputs: Tensor
    ids: Tensor
    labels: Tensor
    transform: str = PLAIN

    def __len__(self) -> int:
        return len(self.ids)

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        shown: Any = [None] * len(positions) if views is None else views.split(batch_size)
        for rows, view in zip(positions.split(batch_size), shown, strict=False):
            inputs = self.inputs[rows]
            if view is not None:
                inputs = inputs + 0.1 * torch.sin(self.ids[rows, None] * 7.0 + view[:, None])
            yield Batch(self.ids[rows], inputs, self.labels[rows], view)


def points(count: int = 100, *, classes: int = 10, seed: int = 0, transform: str = PLAIN, first_id: int = 1000, gap: int = 1) -> Points:
    generator = torch.Generator().manual_seed(seed)
    ids = first_id + gap * torch.randperm(count, generator=generator)
    inputs = torch.rand(count, FEATURES, generator=generator)
    return Points(inputs, ids, torch.randint(classes, (count,), generator=generator), transform)


class Linear:
    """A teacher of ``members`` linear maps; it counts the rows that it was asked about, and may take its time."""

    def __init__(self, classes: int = 10, *, members: int = 1, average: Average = "probability", scale: float = 5.0, pause: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(classes + members)
        self.weights = torch.randn(members, FEATURES, classes, generator=generator) * scale
        self.shares = torch.arange(1.0, members + 1) / torch.arange(1.0, members + 1).sum()
        self.average: Average = average
        self.pause, self.asked = pause, 0

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(f"class {index}" for index in range(self.weights.shape[-1]))

    def __call__(self, batch: Batch) -> Output:
        time.sleep(self.pause)
        self.asked += len(batch)
        return Output(torch.einsum("bf,mfc->mbc", batch.inputs, self.weights), self.shares, self.average)

    def to(self, device: torch.device | str) -> Linear:
        return self


class Fixed(Linear):
    """A teacher that answers what a function makes of the batch."""

    def __init__(self, answer: Any, classes: int) -> None:
        super().__init__(classes)
        self.answer = answer

    def __call__(self, batch: Batch) -> Output:
        self.asked += len(batch)
        return Output.single(self.answer(batch))


def identity_of(teacher: Linear, examples: Points, *, views: int = 1, codec: str = "float32", batch_size: int = 8, **options: Any) -> Identity:
    return Identity(
        teacher=tuple(f"fingerprint {index}" for index in range(len(teacher.weights))),
        average=teacher.average,
        weights=tuple(teacher.shares.tolist()),
        data="some points",
        class_names=teacher.class_names,
        transform=examples.transform,
        views=views,
        codec=codecs.build(codec, len(teacher.class_names), **options),
        batch_size=batch_size,
    )


def every_row(examples: Points, views: int) -> tuple[Tensor, Tensor]:
    """All ids and views."""
    return examples.ids.repeat_interleave(views), torch.arange(views).repeat(len(examples))


def plan_of(teacher: Linear, examples: Points, *, views: int = 1, shard_rows: int | None = 16, **settings: Any) -> Plan:
    ids, numbers = every_row(examples, views)
    return Plan.make(identity_of(teacher, examples, views=views, **settings), ids=ids, views=numbers, shard_rows=shard_rows)


def recorded(out: Path, *, teacher: Linear | None = None, examples: Points | None = None, **settings: Any) -> TransferSet:
    """A finished set in the folder ``out``."""
    teacher, examples = teacher or Linear(), examples or points()
    made = build(out, plan_of(teacher, examples, **settings), teacher=teacher, examples=examples)
    assert made is not None
    return made


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
