"""The soft targets of one example at several temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from darkknowledge.report.figure._sample import Sample, colours, probabilities, short
from darkknowledge.report.figure._style import canvas, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)


@styled()
def sample(found: Sample, *, temperatures: Sequence[float] = TEMPERATURES) -> Figure:
    """The picture, and beside it a row of bars for each network, a column for each temperature.

    Source: Hinton, Vinyals & Dean (2015), section 2.
    """
    rows = len(found.logits)
    figure = canvas(1.7 * (len(temperatures) + (found.picture is not None)) + 0.9, 1.9 * rows + 0.5)
    columns = len(temperatures) + (found.picture is not None)
    panels = figure.subplots(rows, columns, squeeze=False)
    for row, (name, logits) in enumerate(found.logits.items()):
        bars = panels[row]
        if found.picture is not None:
            picture, bars = bars[0], bars[1:]
            show_picture(picture, found if row == 0 else None)
        _bars(bars, found, logits, temperatures, titled=row == 0)
        bars[0].set_ylabel(name if rows > 1 else "class")
        for panel in bars:
            panel.set_xlabel("probability" if row == rows - 1 else "")
    return figure


def show_picture(panel: Axes, found: Sample | None) -> None:
    """The picture of an example alone, without axes; an empty place for None."""
    panel.set_axis_off()
    if found is not None and found.picture is not None:
        pixels = found.picture.permute(1, 2, 0).numpy()
        panel.imshow(pixels, cmap="gray_r" if pixels.shape[2] == 1 else None, vmin=0, vmax=1)
        panel.set_title(found.title)


def _bars(panels: Sequence[Axes], found: Sample, logits: Tensor, temperatures: Sequence[float], *, titled: bool) -> None:
    indices, names = found.shown()
    every = probabilities(logits, temperatures)[:, indices].tolist()
    tones = colours(next(iter(found.logits.values())), indices)  # a class has one colour in every row
    for panel, temperature, values in zip(panels, temperatures, every, strict=True):
        panel.barh(range(len(names)), values, color=tones, height=0.75)
        panel.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6))
        panel.set_xticks([0, 0.5, 1], labels=["0", "0.5", "1"])
        panel.set_yticks(range(len(names)), labels=names if panel is panels[0] else [""] * len(names))
        panel.grid(visible=False, axis="y")
        panel.tick_params(axis="y", length=0)
        if titled:
            panel.set_title(f"T = {temperature:g}")
        _say_second(panel, names, values)


def _say_second(panel: Axes, names: Sequence[str], values: Sequence[float]) -> None:
    """The number of the class that comes second: what a label does not say."""
    place = sorted(range(len(values)), key=values.__getitem__)[-2:][0]
    value = values[place]
    text = f"{short(names[place])}: {value:.2g}" if value >= 1e-4 else f"{short(names[place])}: {value:.0e}"
    panel.text(min(value, 0.55) + 0.04, place, text, va="center", fontsize=8)
