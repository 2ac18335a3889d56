"""The gradient at each output for a label, and for soft targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from darkknowledge.objective import hard_label_gradient, soft_target_gradient
from darkknowledge.report.figure._sample import Sample
from darkknowledge.report.figure._style import COLOURS, INK, canvas, styled
from darkknowledge.report.figure.sample import show_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEMPERATURES = (1.0, 4.0, 20.0)


@styled()
def gradient(found: Sample, *, temperatures: Sequence[float] = TEMPERATURES) -> Figure:
    """What one example asks of each output of the student: to sink (above 0) or to rise (below 0).

    ``found`` holds the logits of the student first and those of the teacher second, and a label. With the factor T² the gradient for a soft target is
    T (q − p); for the label it is q − y at temperature 1.
    """
    student, teacher = list(found.logits.values())[:2]
    assert found.label is not None
    indices, names = found.shown()
    shown = {"label": hard_label_gradient(student[None].double(), torch.tensor([found.label]))[0, indices].tolist()}
    for temperature in temperatures:
        bare = soft_target_gradient(student[None].double(), teacher[None].double(), temperature=temperature)
        shown[f"soft target, T = {temperature:g}"] = (temperature**2 * bare)[0, indices].tolist()
    columns = len(shown) + (found.picture is not None)
    figure = canvas(1.9 * columns + 0.6, 2.6)
    panels = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    if found.picture is not None:
        show_picture(panels.pop(0), found)
    for panel in panels[1:]:
        panel.sharey(panels[0])
    for panel, (title, values) in zip(panels, shown.items(), strict=True):
        _bars(panel, title, names, values)
    panels[0].set_ylabel("gradient at the output")
    return figure


def _bars(panel: Axes, title: str, names: Sequence[str], values: Sequence[float]) -> None:
    panel.bar(range(len(names)), values, color=[COLOURS[1] if value > 0 else COLOURS[0] for value in values], width=0.75)
    panel.axhline(0, color=INK, linewidth=0.8)
    panel.set_xticks(range(len(names)), labels=names, rotation=0 if max(map(len, names)) < 3 else 90)
    panel.set(title=title, xlabel="class")
    panel.grid(visible=False, axis="x")
    panel.margins(y=0.1)
