"""Whether networks are right as often as they are sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from darkknowledge.analysis import Bin, ece, equal_width_bins
from darkknowledge.report.figure._style import COLOURS, GREY, canvas, powers, styled, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 15
FEW = 10
"""Examples of a bin, below which its accuracy says little."""


@styled()
def reliability(found: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """A panel for each network by name, of logits (N, C) and labels (N,): accuracy against confidence, and what share of the examples is that sure.

    Bins have equal widths, those of fewer than `FEW` examples are hollow; points below the diagonal are overconfident.

    Source: Guo, Pleiss, Sun & Weinberger (2017), figure 1.
    """
    figure = canvas(2.9 * len(found), 3.9)
    rows = figure.subplots(2, len(found), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1))
    for (name, (logits, labels)), panel, counts in zip(found.items(), *rows, strict=True):
        bins = equal_width_bins(logits, labels, bins=BINS)
        _points(panel, bins)
        panel.set_title(f"{name}\nECE {100 * ece(bins):.2g} %")
        total = sum(one.count for one in bins)
        counts.bar([one.low for one in bins], [one.count / total for one in bins], width=1 / BINS, align="edge", color=COLOURS[0], edgecolor="white")
        counts.set(xlabel="confidence", yscale="log")
        powers(counts.yaxis)
        ticks(counts.xaxis, (0, 0.25, 0.5, 0.75, 1))
    rows[0][0].set_ylabel("accuracy")
    rows[1][0].set_ylabel("share")
    return figure


def _points(panel: Axes, bins: Sequence[Bin]) -> None:
    confidence, accuracy = [one.confidence for one in bins], [one.accuracy for one in bins]
    panel.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    panel.vlines(confidence, confidence, accuracy, color=COLOURS[1], linewidth=2)
    panel.plot(confidence, accuracy, color=COLOURS[0], linewidth=1)
    faces = ["white" if one.count < FEW else COLOURS[0] for one in bins]
    panel.scatter(confidence, accuracy, s=22, facecolor=faces, edgecolor=COLOURS[0], zorder=3, clip_on=False)
    panel.set(xlim=(0, 1), ylim=(0, 1.02))
