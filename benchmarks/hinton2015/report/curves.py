"""Curves and the heat map: from records to a matplotlib panel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.hinton2015.few import SHARES
from benchmarks.hinton2015.grids import ALPHAS, TEMPERATURES, VIEWS
from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.report.notation import short
from benchmarks.hinton2015.report.records import Records
from benchmarks.hinton2015.report.rows import Row, at_share, at_temperature, by_views, cell
from benchmarks.hinton2015.report.sweeps import WIDTHS, of_size
from darkknowledge.report.figure._style import plain_numbers, ticks
from darkknowledge.report.figure.temperature import Line, lines

PAPERS = {30: ((2.5, 4.0), "best from 2.5 to 4"), 300: ((8.0, 45.0), "alike above 8")}
"""What the paper says of a width: from which temperature to which."""


def line(rows: Mapping[float, Row]) -> Line:
    """Where there are runs."""
    return {place: [float(value) for value in found.runs.errors] for place, found in rows.items() if found.n}


def legend_once(panel: Any, **where: Any) -> None:
    """Each label once."""
    handles, labels = panel.get_legend_handles_labels()
    panel.legend(*zip(*{label: (handle, label) for handle, label in zip(handles, labels, strict=True)}.values(), strict=True), **where)


def temperature_lines(records: Records) -> dict[int, Line]:
    """By the width of the student, where there is any."""
    every = sorted({*NARROW_TEMPERATURES, *WIDE_TEMPERATURES})
    found = {width: line({t: at_temperature(records, width, t) for t in every}) for width in WIDTHS[:-1]}
    return {width: values for width, values in found.items() if values}


def temperature(records: Records, panel: Any) -> None:
    """A panel for each width, since narrow students are several times as often wrong."""
    shown = temperature_lines(records)
    figure = panel.figure
    panel.remove()
    for position, (width, values) in enumerate(shown.items()):
        own = figure.add_subplot(len(shown), 1, position + 1)
        lines(own, {f"{width} units a layer": values})
        own.set(xscale="log", xlim=(0.9, 45), ylabel="test errors")
        ticks(own.xaxis, (1, 1.5, 2, 3, 4, 5, 8, 12, 20, 40))
        if width in PAPERS:
            (low, high), said = PAPERS[width]
            own.axvspan(low, high, color="#f0e442", alpha=0.45, linewidth=0, label=f"paper: {said}")
        own.legend()
    own.set_xlabel("temperature T")


FEW = {
    "labels, stopped early": "few-hard",
    "soft targets": "few-soft",
    "soft targets of all pictures,\nlabels of a share": "few-labels",
}
LAST = "labels, last epoch"


def few_lines(records: Records) -> dict[str, Line]:
    """Each arm by share, and the last epoch of what was stopped early."""
    found = {name: line({share: at_share(records, arm, share) for share in SHARES}) for name, arm in FEW.items()}
    last = {share: at_share(records, "few-hard", share) for share in SHARES}
    ends = {
        share: [float(run.errors_of_last_epoch) for run in own.runs.finished if run.errors_of_last_epoch is not None] for share, own in last.items()
    }
    found[LAST] = {share: values for share, values in ends.items() if values}
    return {name: values for name, values in found.items() if values}


def few(records: Records, panel: Any) -> None:
    """Both axes logarithmic."""
    lines(panel, few_lines(records))
    panel.set(xscale="log", yscale="log", xlabel="share of the 50,000 pictures, or of their labels", ylabel="test errors of 10,000")
    ticks(panel.xaxis, SHARES, [f"{short(100 * share)} %" for share in SHARES])
    plain_numbers(panel.yaxis)
    panel.legend()


def grid(records: Records, panel: Any) -> None:
    """The mean of the validation errors in each cell; black on light, white on dark."""
    found = {(t, alpha): cell(records, t, alpha) for t in TEMPERATURES for alpha in ALPHAS}
    means = {place: own.summary.mean for place, own in found.items() if own.summary}
    low, high = min(means.values()), max(means.values())
    nothing = float("nan")
    values = [[means.get((t, alpha), nothing) for t in TEMPERATURES] for alpha in ALPHAS]
    shown = panel.pcolormesh(values, cmap="cividis_r", vmin=low, vmax=high, edgecolors="white", linewidth=1)
    for (t, alpha), value in means.items():
        dark = value > (low + high) / 2
        place = TEMPERATURES.index(t) + 0.5, ALPHAS.index(alpha) + 0.5
        panel.text(*place, f"{value:.1f}", ha="center", va="center", color="white" if dark else "black")
    ticks(panel.xaxis, [place + 0.5 for place in range(len(TEMPERATURES))], [short(t) for t in TEMPERATURES])
    ticks(panel.yaxis, [place + 0.5 for place in range(len(ALPHAS))], [short(alpha) for alpha in ALPHAS])
    panel.set(xlabel="temperature T", ylabel="alpha, the weight of the soft targets")
    panel.grid(False)
    panel.figure.colorbar(shown, label="validation errors of 10,000")


def views(records: Records, panel: Any) -> None:
    """By the number of views."""
    lines(panel, {"784-800-800-10, T = 20": line({count: by_views(records, count) for count in VIEWS})})
    panel.set(xscale="log", xlabel="recorded views of each picture", ylabel="validation errors of 10,000")
    ticks(panel.xaxis, VIEWS)
    panel.legend()


def size_lines(records: Records) -> dict[str, Line]:
    """Alone and distilled, by width."""
    rows = {width: of_size(records, width) for width in WIDTHS}
    found = {
        name: line({width: own[position] for width, own in rows.items()})
        for position, name in enumerate(("alone", "distilled, T = 4", "distilled, T = 20"))
    }
    return {name: values for name, values in found.items() if values}


def sizes(records: Records, panel: Any) -> None:
    """Both axes logarithmic."""
    lines(panel, size_lines(records))
    panel.set(xscale="log", yscale="log", xlabel="units in each hidden layer", ylabel="test errors of 10,000")
    ticks(panel.xaxis, WIDTHS)
    plain_numbers(panel.yaxis)
    panel.legend()
