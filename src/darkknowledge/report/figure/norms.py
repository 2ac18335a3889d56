"""How long the gradient of the soft term is at each temperature, with the factor T² and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from darkknowledge.objective import hard_label_gradient, soft_target_gradient
from darkknowledge.report.figure._style import COLOURS, GREY, canvas, powers, styled, word

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0, 40.0, 100.0, 200.0, 400.0, 1000.0)
AT_LOGITS = "norm at the logits,\nmean over cases"


@dataclass(frozen=True, slots=True)
class Norms:
    """For one student, by temperature, the norm of the soft term with the factor T²; and that of the labels."""

    student: str
    soft: Mapping[float, float]
    hard: float


def norms_at_logits(name: str, student: Tensor, teacher: Tensor, labels: Tensor, *, temperatures: Sequence[float] = TEMPERATURES) -> Norms:
    """Mean over the cases of the norm of each one's gradient at the logits: student (N, C), teacher (N, C), labels (N,)."""
    student, teacher = student.double(), teacher.double()

    def soft(temperature: float) -> float:
        return temperature**2 * float(soft_target_gradient(student, teacher, temperature=temperature).norm(dim=1).mean())

    hard = float(hard_label_gradient(student, labels).norm(dim=1).mean())
    return Norms(name, {temperature: soft(temperature) for temperature in temperatures}, hard)


@styled()
def norms(rows: Mapping[str, Sequence[Norms]]) -> Figure:
    """A row for each kind of norm, by its name, and in it a column for each student."""
    columns = max(map(len, rows.values()))
    figure = canvas(max(3.2 * columns, 4.8), 2.6 * len(rows) + (len(rows) == 1))
    panels = figure.subplots(len(rows), columns, sharex=True, sharey="row", squeeze=False)
    for (kind, row), places in zip(rows.items(), panels, strict=True):
        for found, panel in zip(row, places, strict=True):
            _lines(panel, found)
        places[0].set_ylabel(kind)
    for found, panel in zip(next(iter(rows.values())), panels[0], strict=True):
        panel.set_title(found.student)
    for panel in panels[-1]:
        panel.set_xlabel("temperature")
    _label(panels[0][0], next(iter(rows.values()))[0])
    return figure


def _lines(panel: Axes, found: Norms) -> None:
    without = [value / temperature**2 for temperature, value in found.soft.items()]
    panel.plot(list(found.soft), list(found.soft.values()), color=COLOURS[0], marker="o", markersize=3.5)
    panel.plot(list(found.soft), without, color=COLOURS[1], marker="s", markersize=3.5, linestyle="--")
    panel.axhline(found.hard, color=GREY, linestyle=":")
    logarithmic(panel, list(found.soft))
    panel.margins(y=0.12)


def logarithmic(panel: Axes, temperatures: Sequence[float]) -> None:
    """Both axes."""
    panel.set(xscale="log", yscale="log", xlim=(min(temperatures) / 1.3, max(temperatures) * 1.3))
    powers(panel.xaxis)
    powers(panel.yaxis)


def _label(panel: Axes, found: Norms) -> None:
    """Words beside the lines of one panel."""
    last, highest = max(found.soft), found.soft[max(found.soft)]
    middle = sorted(found.soft)[len(found.soft) // 2]
    higher = highest > found.hard
    word(panel, (last, highest), "soft targets × T²", COLOURS[0], above=higher, align="right")
    word(panel, (last, found.hard), "labels", GREY, above=not higher, align="right")
    word(panel, (middle, found.soft[middle] / middle**2), "soft targets,\nwithout T²", COLOURS[1], above=False, align="right")
