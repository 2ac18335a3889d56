"""What a page shows of the test split beyond a student's answers. Whoever measures on the split keeps it: nobody opens it again for a page."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors

from darkknowledge.contract import Examples
from darkknowledge.pipeline._measuring import Answers
from darkknowledge.report.choosing import Opinions, worth_a_picture
from darkknowledge.report.picture import thumbnail
from darkknowledge.report.story import PICTURES, TEACHER
from darkknowledge.runs.files import Written, write_bytes


def save_for_page(
    folder: Path, examples: Examples, *, student: Answers, teacher: Answers | None = None, alone: Answers | None = None
) -> dict[str, Written]:
    """Keep, beside a student's answers to the test split, what else a page shows: the teacher's answers and some pictures; what was written."""
    opinions = Opinions(
        student.labels,
        teacher=None if teacher is None else teacher.logits,
        distilled=student.logits,
        alone=None if alone is None else alone.logits,
    )
    said = {} if teacher is None else {TEACHER: teacher.save(folder / TEACHER)}
    return said | _save_pictures(folder, examples, opinions)


def _save_pictures(folder: Path, examples: Examples, opinions: Opinions) -> dict[str, Written]:
    """Write ``ids`` (K,) and ``pictures`` (K, C, H, W) uint8 of the examples worth a picture, where there are any; what was written, by name."""
    positions = torch.tensor(worth_a_picture(opinions), dtype=torch.int64)
    if not len(positions):
        return {}
    batches = list(examples.batches(positions, batch_size=len(positions), views=None))
    pictures = torch.stack([thumbnail(picture) for batch in batches for picture in batch.inputs])
    ids = torch.cat([batch.ids for batch in batches])
    return {PICTURES: write_bytes(folder / PICTURES, to_safetensors({"ids": ids, "pictures": pictures}))}
