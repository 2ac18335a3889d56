"""Errors against the temperature, or whatever else is measured at several places over several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from darkknowledge.analysis import summarise
from darkknowledge.report.figure._style import COLOURS, MARKERS, canvas, styled, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = Mapping[float, Sequence[float]]
"""The values of the seeds at each place."""


@styled()
def temperature(found: Mapping[str, Line]) -> Figure:
    """A line for each kind of student by name: error rates in percent by temperature, with each seed and the interval of their mean."""
    figure = canvas(6.4, 3.8)
    panel = figure.subplots()
    lines(panel, found)
    panel.set(xscale="log", xlabel="temperature", ylabel="errors (%)")
    ticks(panel.xaxis, sorted({place for values in found.values() for place in values}))
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, 0.0), min(high, 100.0))  # the interval of a few seeds may be wider than what there is
    if len(found) > 1:
        panel.legend()
    return figure


def lines(panel: Axes, found: Mapping[str, Line]) -> None:
    """Means over seeds with the 95 % t interval where there is one, and each seed as a dash."""
    for (name, values), colour, marker in zip(found.items(), COLOURS, MARKERS, strict=False):
        places = sorted(values)
        summaries = [summarise(values[place]) for place in places]
        halves = [summary.interval.high - summary.mean if summary.interval else 0.0 for summary in summaries]
        means = [summary.mean for summary in summaries]
        panel.errorbar(places, means, yerr=halves, color=colour, marker=marker, markersize=5, capsize=3, linewidth=1.4, label=name)
        for place in places:
            panel.plot([place] * len(values[place]), list(values[place]), "_", color=colour, alpha=0.6, markersize=9)
