"""What training said of itself: the terms of the loss, and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from darkknowledge.report.figure._style import COLOURS, GREY, MARKERS, canvas, powers, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Sequence[Mapping[str, Any]]
"""The lines of a run's ``metrics.jsonl``."""
PANELS = {"validation_accuracy": "validation accuracy", "validation_nll": "validation NLL (nats)"}
NO_TERMS = {"kind", "step", "epoch", "learning_rate", "examples_per_second", *PANELS}
DASHES = ("-", "--", ":", "-.")


@styled()
def curves(runs: Mapping[str, Records]) -> Figure:
    """For each run by name: its terms, weighted, by epoch on a logarithmic axis; the validation accuracy; the validation NLL.

    The soft term is a divergence, 0 where the teacher is copied.
    """
    figure = canvas(9.6, 3.2)
    terms, *panels = figure.subplots(1, 1 + len(PANELS))
    for (name, records), colour, marker in zip(runs.items(), cycle(COLOURS), cycle(MARKERS), strict=False):
        epochs = [record for record in records if record.get("kind") == "epoch"]
        every = sorted({key for record in epochs for key in record} - NO_TERMS - {"loss"})
        found = [key for key in every if _column(epochs, key)[0]] or ["loss"]
        for key, dashes in zip(found, cycle(DASHES), strict=False):
            terms.plot(*_column(epochs, key), color=colour, linestyle=dashes, label=f"{name}: {key}" if len(runs) > 1 else key)
        for panel, key in zip(panels, PANELS, strict=True):
            if (line := _column(epochs, key))[0]:
                panel.plot(*line, color=colour, marker=marker, markersize=3, label=name)
    terms.set(yscale="log", ylabel="mean over the epoch (nats)", title="terms of the loss")
    powers(terms.yaxis)
    for panel, title in zip(panels, PANELS.values(), strict=True):
        panel.set_title(title)
    for panel in (terms, *panels):
        _finish(panel)
    return figure


def _column(epochs: Records, key: str) -> tuple[list[float], list[float]]:
    """The epochs and the values where both are numbers."""
    pairs = [(record.get("epoch"), record.get(key)) for record in epochs]
    found = [(epoch, value) for epoch, value in pairs if isinstance(epoch, int | float) and isinstance(value, int | float)]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _finish(panel: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=8)
    else:
        panel.text(0.5, 0.5, "not measured", transform=panel.transAxes, ha="center", color=GREY)
