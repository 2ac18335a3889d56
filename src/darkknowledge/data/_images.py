"""Small pictures, decoded once and held as one uint8 tensor: a batch is a gather."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from darkknowledge.contract import Batch
from darkknowledge.data._augment import RECIPES, Augmentation
from darkknowledge.data._replay import OneByOne, Replayable
from darkknowledge.errors import UsageError, close_match


@dataclass(frozen=True, slots=True)
class ImageExamples:
    """Examples in memory: ``images`` (N, C, H, W) uint8, ``ids`` (N,) int64, ``labels`` (N,) int64.

    They may lie on any device; batches are made where they lie, and are the same on each.
    """

    images: Tensor
    ids: Tensor
    labels: Tensor
    augmentation: Augmentation | OneByOne = field(default_factory=Augmentation)
    seed: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> ImageExamples:
        """The same examples on another device, so that gathering and augmentation happen there."""
        return replace(self, images=self.images.to(device), ids=self.ids.to(device), labels=self.labels.to(device))

    @property
    def resident_bytes(self) -> int | None:
        """What `to` moves, unless a transform of one's own looks at each picture in main memory; see `contract.Examples`."""
        if isinstance(self.augmentation, OneByOne):
            return None
        return self.images.nbytes + self.ids.nbytes + self.labels.nbytes

    @property
    def transform(self) -> str:
        """What a view shows; see `contract.Examples`."""
        return self.augmentation.meaning(seed=self.seed)

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        """Batches of the examples at ``positions``; see `contract.Examples`."""
        positions, views = positions.to(self.images.device), None if views is None else views.to(self.images.device)
        for start in range(0, len(positions), batch_size):
            rows = positions[start : start + batch_size]
            ids = self.ids.index_select(0, rows)
            pictures = self.images.index_select(0, rows)
            shown = None if views is None else views[start : start + batch_size]
            if shown is not None:
                pictures = self.augmentation(pictures, seed=self.seed, ids=ids, views=shown)
            # The product, unlike the quotient by 255, is rounded alike on every device.
            yield Batch(ids, pictures.float().mul_(1 / 255), self.labels.index_select(0, rows), shown)

    def select(self, positions: Tensor, *, labels: Tensor) -> ImageExamples:
        """The examples at ``positions`` alone, with these ``labels``."""
        return replace(self, images=self.images.index_select(0, positions), ids=self.ids[positions], labels=labels)

    def augmented(self, recipe: str | Replayable, *, seed: int) -> ImageExamples:
        """The same examples whose views follow the recipe, one of `RECIPES` by name or one of your own.

        Raises:
            UsageError: there is no such recipe for small pictures.
        """
        if isinstance(recipe, Replayable):
            return replace(self, augmentation=OneByOne(recipe, *self.images.shape[2:]), seed=seed)
        if recipe not in RECIPES:
            raise UsageError(f"there is no augmentation {recipe!r} for small pictures", where="augment", fix=close_match(recipe, RECIPES))
        return replace(self, augmentation=RECIPES[recipe], seed=seed)
