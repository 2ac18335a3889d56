"""What a network says beside the right class: the mean soft target of each class, without its diagonal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darkknowledge.errors import DataError
from darkknowledge.objective import soften
from darkknowledge.report.figure._sample import short
from darkknowledge.report.figure._style import canvas, powers, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPERATURES = (4.0,)
NAMED = 30
"""Classes at most that are named at the axes."""


def mean_soft_targets(logits: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Mean soft target (C, C) of the examples of each class, of logits (N, C) and labels (N,); rows of classes without any are NaN."""
    known = labels >= 0
    probabilities, labels = soften(logits[known].double(), temperature=temperature), labels[known]
    sums = torch.zeros(logits.shape[1], logits.shape[1], dtype=torch.float64).index_add_(0, labels, probabilities)
    return sums / labels.bincount(minlength=logits.shape[1])[:, None]


@styled()
def dark_knowledge(found: Mapping[str, tuple[Tensor, Tensor]], class_names: Sequence[str], *, temperatures: Sequence[float] = TEMPERATURES) -> Figure:
    """A matrix for each network by name and each temperature: rows are true classes, the colour is the logarithm of the mean probability.

    Raises:
        DataError: no example is labelled.
    """
    if all(bool((labels < 0).all()) for _, labels in found.values()):
        raise DataError("no example is labelled", why="the rows of the matrix are the true classes")
    shown = [
        (name, t, mean_soft_targets(*answers, temperature=t).fill_diagonal_(float("nan"))) for name, answers in found.items() for t in temperatures
    ]
    high = max(float(matrix.nan_to_num().max()) for *_, matrix in shown)
    low = max(min(float(matrix[matrix > 0].min()) for *_, matrix in shown), high / 1e4)
    figure = canvas(3.5 * len(shown) + 0.8, 3.9)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (name, temperature, matrix) in zip(panels, shown, strict=True):
        image = panel.imshow(matrix.clamp_min(low).numpy(), cmap="cividis", norm=_logarithm(low, high), interpolation="nearest")
        panel.set(title=f"{name}, T = {temperature:g}", xlabel="class of the output")
        panel.grid(visible=False)
        if len(class_names) <= NAMED:
            names = [short(name) for name in class_names]
            panel.set_xticks(range(len(names)), labels=names, rotation=0 if max(map(len, names)) < 3 else 90)
            panel.set_yticks(range(len(names)), labels=names)
    panels[0].set_ylabel("true class")
    powers(figure.colorbar(image, ax=list(panels), label="mean probability", shrink=0.85, pad=0.02).ax.yaxis)
    return figure


def _logarithm(low: float, high: float) -> object:
    from matplotlib.colors import LogNorm

    return LogNorm(low, high)
