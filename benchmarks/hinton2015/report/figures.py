"""The figures, each of the records that there are; one whose records are missing is not drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.hinton2015.report import curves
from benchmarks.hinton2015.report.records import Records
from benchmarks.hinton2015.report.rows import ARMS, row
from darkknowledge.report.figure._style import COLOURS, canvas, save, styled

SIZE = (7.2, 4.2)
PAPER = COLOURS[1]


@dataclass(frozen=True, slots=True)
class Figure:
    """``drawable`` tells, without matplotlib, whether there is anything to draw."""

    caption: str
    drawable: Callable[[Records], bool]
    draw: Callable[[Records, Any], None]
    height: float = SIZE[1]


def _headline_rows(records: Records) -> list[str]:
    return [arm for arm in ARMS if row(records, arm).n]


def headline(records: Records, panel: Any) -> None:
    """Errors of each arm: seeds, mean, and the paper's number."""
    names = _headline_rows(records)
    for position, name in enumerate(names):
        found = row(records, name)
        assert found.summary is not None
        panel.plot(found.runs.errors, [position] * found.n, "o", color=COLOURS[0], alpha=0.55, markersize=5, label="a seed")
        panel.plot([found.summary.mean] * 2, [position - 0.3, position + 0.3], color="black", linewidth=2, label="mean")
        paper = ARMS[name].paper
        if paper is not None:
            panel.plot([paper], [position], "D", markerfacecolor="none", markeredgecolor=PAPER, markersize=9, markeredgewidth=1.8, label="paper")
    panel.set(yticks=range(len(names)), yticklabels=names, xlabel="test errors of 10,000", ylim=(len(names) - 0.5, -0.5))
    curves.legend_once(panel, loc="lower right")


FIGURES: Mapping[str, Figure] = {
    "errors": Figure("Errors of each network; every dot is a seed.", lambda records: bool(_headline_rows(records)), headline),
    "temperature": Figure(
        "Errors against temperature. Bars: 95 % t intervals of the mean over seeds; dashes: seeds; shaded: what the paper says.",
        lambda records: bool(curves.temperature_lines(records)),
        curves.temperature,
        7.5,
    ),
    "few": Figure(
        "Errors against the share of the training pictures, or of the labels. Bars: 95 % t intervals; dashes: seeds.",
        lambda records: bool(curves.few_lines(records)),
        curves.few,
    ),
    "grid": Figure(
        "Validation errors of 10,000 against temperature and the weight of the soft targets, means over seeds.",
        lambda records: bool(records.where("grid").finished),
        curves.grid,
    ),
    "views": Figure(
        "Validation errors against the number of recorded views of each picture. Bars: 95 % t intervals; dashes: seeds.",
        lambda records: bool(records.where("views").finished),
        curves.views,
    ),
    "sizes": Figure(
        "Errors against the number of units in each of the two hidden layers. Bars: 95 % t intervals; dashes: seeds.",
        lambda records: any(len(values) > 1 for values in curves.size_lines(records).values()),
        curves.sizes,
    ),
}


def file_of(name: str) -> str:
    """A figure's file in the docs."""
    return f"hinton2015-{name}.svg"


def figures_in_markdown(records: Records) -> dict[str, str]:
    """``NAME_figure`` to the figure with its caption; empty for those that are not drawn."""
    return {f"{name}_figure": _linked(name, figure) if figure.drawable(records) else "" for name, figure in FIGURES.items()}


def _linked(name: str, figure: Figure) -> str:
    return f"![{figure.caption}]({file_of(name)})\n\n*{figure.caption}*"


def draw(records: Records, folder: Path) -> list[Path]:
    """All that can be drawn; equal records give equal bytes."""
    return [_draw(name, figure, records, folder) for name, figure in FIGURES.items() if figure.drawable(records)]


@styled()
def _draw(name: str, figure: Figure, records: Records, folder: Path) -> Path:
    shown = canvas(SIZE[0], figure.height)
    figure.draw(records, shown.subplots())
    path = folder / file_of(name)
    save(shown, path)
    return path
