"""Recorded answers beside those that the teacher gives again.

The differences are counted in steps of the codec: for uint8 the row's own step, for float16 the distance to the next float16 (at the stored logit),
for float32, which rounds nothing away, `ARITHMETIC` times the row's largest logit. That is sixteen float32 spacings, about what a sum of 1,200
products changes by when they are added in another order (half the square root of their number); no step of the other codecs is taken to be finer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from darkknowledge import TransferSet
from darkknowledge.contract import Answer, Batch, Teacher
from darkknowledge.data import Dataset
from darkknowledge.transfer import RecordedTeacher

CODECS = ("float32", "float16", "uint8")
VIEWS = 2
ARITHMETIC = 2.0**-19


class Comparison:
    """The largest difference in steps, for each codec, over all that it is shown; it is the teacher of the resumed run, too."""

    def __init__(self, teacher: Teacher, sets: Mapping[str, TransferSet]) -> None:
        self.teacher, self.sets, self.class_names = teacher, sets, teacher.class_names
        self.largest = dict.fromkeys(sets, 0.0)
        self.keys: list[Tensor] = []

    def __call__(self, batch: Batch) -> Answer:
        assert batch.views is not None
        live = self.teacher(batch).logits()
        for codec, found in self.sets.items():
            found.check_alignment(batch)
            stored = found[batch.ids, batch.views].logits()
            self.largest[codec] = max(self.largest[codec], ((live - stored).abs() / step(codec, stored)).max().item())
        self.keys.append(batch.ids * VIEWS + batch.views)
        return RecordedTeacher(self.sets["float32"])(batch)

    def to(self, device: torch.device | str) -> Comparison:
        return self

    def over(self, batches: Iterable[Batch]) -> dict[str, Any]:
        for batch in batches:
            self(batch)
        return self.result()

    def result(self) -> dict[str, Any]:
        return {"samples": len(set(torch.cat(self.keys).tolist())), **self.largest, "within_one_step": max(self.largest.values()) <= 1}


def step(codec: str, stored: Tensor) -> Tensor:
    """One step of a codec at stored logits (B, C)."""
    arithmetic = ARITHMETIC * stored.abs().amax(-1, keepdim=True)
    if codec == "uint8":
        low, high = stored.aminmax(dim=-1, keepdim=True)
        return torch.maximum((high - low) / 255, arithmetic)
    if codec == "float16":
        half = stored.abs().half()
        return torch.maximum((half.nextafter(torch.full_like(half, torch.inf)) - half).float(), arithmetic)
    return arithmetic


def every_sample(data: Dataset, *, batch_size: int, shuffled: bool = True, rank: int = 0, world: int = 1) -> Iterator[Batch]:
    """Both views of every picture, or one process's share of them."""
    keys = torch.arange(len(data.train) * VIEWS)
    if shuffled:
        keys = keys[torch.randperm(len(keys), generator=torch.Generator().manual_seed(1))]
    keys = keys[rank::world]
    return data.train.batches(data.train.ids.argsort()[keys // VIEWS], batch_size=batch_size, views=keys % VIEWS)
