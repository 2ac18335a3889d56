"""The learning rate as a function of time: no state to save, nothing to get out of step after a resume."""

from __future__ import annotations

import math

from darkknowledge.training.recipe import Recipe


def learning_rate(recipe: Recipe, *, epoch: float, epochs: float) -> float:
    """The rate of the step that begins at ``epoch`` (fractional, from 0) of ``epochs`` in all.

    A linear warm-up over ``recipe.warmup`` epochs, at most half of all, leads to the peak; then the cosine falls to 0 at the end, the step
    schedule multiplies by ``recipe.decay`` at each milestone, or the rate stays.
    """
    warmup = min(recipe.warmup, epochs / 2)
    peak = recipe.learning_rate
    if epoch < warmup:
        # The first step is not wasted on a rate of 0: warm-up starts at a hundredth of the peak.
        return peak * max(epoch / warmup, 0.01)
    if recipe.schedule == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))
    if recipe.schedule == "step":
        return peak * recipe.decay ** sum(epoch >= milestone for milestone in recipe.milestones)
    return peak
