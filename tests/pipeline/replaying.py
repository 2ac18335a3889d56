"""A teacher asked again about what was recorded, also by another process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from darkknowledge import Dataset, TransferSet
from darkknowledge.contract import Batch, Output, Teacher
from darkknowledge.data import load
from darkknowledge.model import load as load_model
from darkknowledge.teacher import Frozen

CODECS = ("float32", "float16", "uint8")
VIEWS = 2


class AskedAgain:
    """A live teacher that checks on every batch that it answers what was recorded, to within one step of each codec, and keeps the keys."""

    def __init__(self, teacher: Teacher, sets: Mapping[str, TransferSet]) -> None:
        self.teacher, self.sets, self.class_names = teacher, sets, teacher.class_names
        self.keys: list[int] = []

    def __call__(self, batch: Batch) -> Output:
        live = Output.of(self.teacher(batch))
        for codec, found in self.sets.items():
            found.check_alignment(batch)
            stored = found.answer(batch.ids, batch.views).logits()
            off = (stored - live.logits()).abs()
            assert (off <= step(codec, live.logits())).all(), f"{codec}: off by {off.max()}"
        views = torch.zeros_like(batch.ids) if batch.views is None else batch.views
        self.keys += (batch.ids * VIEWS + views).tolist()
        return live

    def over(self, batches: Iterable[Batch]) -> list[int]:
        """The keys of all that was asked."""
        for batch in batches:
            self(batch)
        return sorted(self.keys)

    def to(self, device: torch.device | str) -> AskedAgain:
        return self


def step(codec: str, logits: Tensor) -> Tensor:
    """The distance of a codec's values at these logits (B, C); for float32 eight spacings at the row's largest, which arithmetic may take."""
    largest = logits.abs().amax(-1, keepdim=True)
    if codec == "uint8":
        return (logits.amax(-1, keepdim=True) - logits.amin(-1, keepdim=True)) / 255 + 2**-20 * largest
    return (2**-10 * logits.abs() if codec == "float16" else 0) + 2**-20 * largest


def load_pair(teacher: Path, settings: Mapping[str, Any]) -> tuple[Dataset, Frozen]:
    data = load(**settings)
    return data, Frozen(load_model(teacher / "model"), data.class_names)


def half_of_it(rank: int, teacher: Path, settings: Mapping[str, Any], folder: Path) -> None:
    """One of two processes: its half of the samples; then each must know that together they saw them all."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    data, live = load_pair(teacher, settings)
    asked = AskedAgain(live, {codec: TransferSet.open(folder / codec) for codec in CODECS})
    positions = torch.arange(len(data.train)).repeat(VIEWS)[rank::2]
    views = torch.arange(VIEWS).repeat_interleave(len(data.train))[rank::2]
    seen = torch.zeros(int(data.train.ids.max() + 1) * VIEWS, dtype=torch.int64)
    seen[asked.over(data.train.batches(positions, batch_size=33, views=views))] += 1
    dist.all_reduce(seen)
    assert (seen.nonzero()[:, 0] == asked.sets["uint8"].keys()).all()
    assert seen.max() == 1
    dist.destroy_process_group()
