"""Augmentation of small pictures: a pure function of (seed, example id, view), for a whole batch at once.

Every recipe is a choice of pixels, so a batch costs one gather on uint8 values, whatever the recipe.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from darkknowledge.contract import PLAIN
from darkknowledge.randomness import Stream, uniform


@dataclass(frozen=True, slots=True)
class Augmentation:
    """A recipe: each example is shifted, then maybe mirrored, then a square of it is blanked.

    ``shift`` k moves the picture by whole pixels, uniform in {−k, …, k} down and right, and fills with zeros. (Padding by k zeros and cropping
    at random is the same thing.) ``flip`` mirrors left and right with probability 1/2. ``cutout`` is the side of a square of zeros whose
    centre is uniform over the pixels; at the border a part of it falls outside.

    Sources: shifts of at most two pixels, Hinton, Vinyals & Dean (2015), section 3; padding, cropping and mirroring, He et al. (2016),
    section 4.2; cutout, DeVries & Taylor (2017), section 3.
    """

    shift: int = 0
    flip: bool = False
    cutout: int = 0

    def meaning(self, *, seed: int) -> str:
        """The recipe and its seed in words. The number behind a name is the version of what it means, which changes with any pixel."""
        parts = [f"shift/1({self.shift})"] * bool(self.shift) + ["flip/1"] * self.flip + [f"cutout/1({self.cutout})"] * bool(self.cutout)
        return " ".join([*parts, f"seed={seed}"]) if parts else PLAIN

    def __call__(self, pictures: Tensor, *, seed: int, ids: Tensor, views: Tensor | int) -> Tensor:
        """The views numbered ``views``, (B,) or one for all, of ``pictures`` (B, C, H, W) with these ``ids`` (B,), the same shape and dtype."""
        if self.shift or self.flip:
            pictures = self._move(pictures, seed, ids, views)
        if self.cutout:
            pictures = pictures.masked_fill(self._hole(pictures, seed, ids, views), 0)
        return pictures

    def _move(self, pictures: Tensor, seed: int, ids: Tensor, views: Tensor | int) -> Tensor:
        channels, height, width = pictures.shape[1:]
        span, margin = 2 * self.shift + 1, self.shift
        rows, columns = (torch.arange(size, device=ids.device).expand(len(ids), -1) for size in (height, width))
        if self.flip:
            columns = torch.where((uniform(seed, ids, views, Stream.FLIP) < 0.5)[:, None], width - 1 - columns, columns)
        if self.shift:
            rows = rows + _integers(uniform(seed, ids, views, Stream.SHIFT_DOWN), span)[:, None]
            columns = columns + _integers(uniform(seed, ids, views, Stream.SHIFT_RIGHT), span)[:, None]
            pictures = F.pad(pictures, (margin, margin, margin, margin))
        source = (rows[:, :, None] * (width + 2 * margin) + columns[:, None, :]).view(len(ids), 1, height * width)
        return pictures.flatten(2).gather(2, source.expand(-1, channels, -1)).view(len(ids), channels, height, width)

    def _hole(self, pictures: Tensor, seed: int, ids: Tensor, views: Tensor | int) -> Tensor:
        """(B, 1, H, W), true inside the square."""
        height, width = pictures.shape[2:]
        row, column = (uniform(seed, ids, views, stream) for stream in (Stream.CUTOUT_ROW, Stream.CUTOUT_COLUMN))
        side = torch.full_like(ids, self.cutout)
        return within(row, side, height)[:, None, :, None] & within(column, side, width)[:, None, None, :]


RECIPES = {
    "none": Augmentation(),
    "jitter": Augmentation(shift=2),
    "crop_flip": Augmentation(shift=4, flip=True),
    "crop_flip_cutout": Augmentation(shift=4, flip=True, cutout=16),
}
"""``jitter`` suits digits of 28×28, the others colour pictures of 32×32. Digits of 8×8 are better left alone (``benchmarks/digits``)."""


def _integers(numbers: Tensor, count: int) -> Tensor:
    """Uniform numbers in [0, 1) as integers 0 … count − 1."""
    return (numbers * count).long()


def within(centres: Tensor, sides: Tensor, size: int) -> Tensor:
    """(B, size), true in the interval of ``sides`` (B,) pixels around a pixel that ``centres`` (B,), uniform in [0, 1), choose; cut off outside."""
    first = (_integers(centres, size) - sides // 2)[:, None]
    place = torch.arange(size, device=centres.device)
    return (place >= first) & (place < first + sides[:, None])
