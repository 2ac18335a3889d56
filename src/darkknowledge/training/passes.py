"""Which examples a run sees, in which order and in which views: known before the first step, so that a teacher can be asked in advance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.randomness import view_of
from darkknowledge.training.randomness import order
from darkknowledge.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Passes:
    """The way of a run through ``ids`` (N,), the examples that it trains on."""

    ids: Tensor
    recipe: Recipe

    @property
    def per_epoch(self) -> int:
        """Steps in a whole epoch."""
        return -(-len(self.ids) // self.recipe.batch_size)

    @property
    def steps(self) -> int:
        """Steps in all."""
        whole = self.recipe.epochs * self.per_epoch
        return min(whole, self.recipe.steps or whole)

    @property
    def epochs(self) -> int:
        """Epochs in all, the last one possibly cut short."""
        return -(-self.steps // self.per_epoch)

    @property
    def examples(self) -> int:
        """Examples that the run sees in all, each as often as it is seen."""
        whole, steps = divmod(self.steps, self.per_epoch)
        return whole * len(self.ids) + min(steps * self.recipe.batch_size, len(self.ids))

    @property
    def views(self) -> int:
        """Views of each example that the run shows; as many as epochs is what a live teacher sees: a new one in every epoch."""
        return min(self.recipe.views or self.epochs, self.epochs)

    def epoch(self, number: int, *, begin: int = 0) -> tuple[Tensor, Tensor]:
        """Positions and views of the examples, both (n,), that an epoch shows from its step ``begin`` on."""
        end = min(self.steps - number * self.per_epoch, self.per_epoch)
        size, seed = self.recipe.batch_size, self.recipe.seed
        positions = order(len(self.ids), seed=seed, epoch=number, block=self.recipe.shuffle_block)[begin * size : end * size]
        return positions, self._views(self.ids[positions], number)

    def batch(self, step: int) -> Tensor:
        """The ids of the examples of one step, counted from 0."""
        number, index = divmod(step, self.per_epoch)
        positions, _ = self.epoch(number, begin=index)
        return self.ids[positions[: self.recipe.batch_size]]

    def rows(self) -> tuple[Tensor, Tensor]:
        """Ids and views of everything that the run sees, each pair once, in ascending order; both (n,)."""
        whole = min(self.steps // self.per_epoch, self.views)  # after so many epochs every view was shown
        keys = [self.ids * self.views + self._views(self.ids, number) for number in range(whole)]
        if whole < self.views and whole < self.epochs:
            positions, shown = self.epoch(whole)
            keys.append(self.ids[positions] * self.views + shown)
        unique: Tensor = torch.unique(torch.cat(keys))
        return unique // self.views, unique % self.views

    def _views(self, ids: Tensor, number: int) -> Tensor:
        return view_of(ids, epoch=number, views=self.views if self.views < self.epochs else None)
