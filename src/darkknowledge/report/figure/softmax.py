"""The softmax as the temperature rises: a picture that stands still, and its frames for a GIF."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from darkknowledge.report.figure._sample import Sample, colours, probabilities
from darkknowledge.report.figure._style import INK, canvas, styled, ticks
from darkknowledge.report.figure.sample import show_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOW, HIGH = 0.5, 50.0
TICKS = (0.5, 1, 2, 5, 10, 20, 50)
STEPS = 24
"""From one end to the other, alike on a logarithmic axis."""
PAUSE = 4
"""Steps to stand still at each end."""
SECONDS = 5.0
"""From one end to the other."""
GIF_DOTS = 80


def scale(low: float, high: float, steps: int) -> list[float]:
    """Temperatures from ``low`` to ``high``, each the same multiple of the one before."""
    return [low * (high / low) ** (step / steps) for step in range(steps + 1)]


@styled()
def softmax(found: Sample, *, temperatures: Sequence[float] = (LOW, HIGH)) -> Figure:
    """Probabilities at the middle of the range of temperatures as bars, and over the whole range as curves."""
    low, high = min(temperatures), max(temperatures)
    figure, bars, cursor = _composed(found, low, high)
    _set(found, bars, cursor, math.sqrt(low * high))
    return figure


@styled()
def softmax_gif(found: Sample, *, temperatures: Sequence[float] = (LOW, HIGH)) -> bytes:
    """The same as a GIF that goes to the end of the range and back."""
    low, high = min(temperatures), max(temperatures)
    figure, bars, cursor = _composed(found, low, high)
    frames = []
    figure.set_dpi(GIF_DOTS)
    for temperature in scale(low, high, STEPS):
        _set(found, bars, cursor, temperature)
        frames.append(_pixels(figure))
    there_and_back = [*frames, *frames[-2:0:-1]]
    step = int(1000 * SECONDS / (STEPS + PAUSE))
    stops = [step * (1 + PAUSE * (frame in (frames[0], frames[-1]))) for frame in there_and_back]
    file = io.BytesIO()
    there_and_back[0].save(file, "GIF", save_all=True, append_images=there_and_back[1:], duration=stops, loop=0, optimize=True)
    return file.getvalue()


def _composed(found: Sample, low: float, high: float) -> tuple[Figure, Axes, Any]:
    """Picture, bars and curves side by side; the panel of the bars and the line at the temperature are still to be set."""
    pictured = found.picture is not None
    figure = canvas(8.6 if pictured else 7.0, 3.2)
    panels = list(figure.subplots(1, 2 + pictured, width_ratios=[1] * pictured + [1.6, 2]))
    if pictured:
        show_picture(panels.pop(0), found)
    bars, curves = panels
    indices, _ = found.shown()
    logits = next(iter(found.logits.values()))
    places = scale(low, high, 4 * STEPS)
    for values, colour in zip(probabilities(logits, places)[:, indices].T.tolist(), colours(logits, indices), strict=True):
        curves.plot(places, values, color=colour, linewidth=1.8)
    curves.set(xscale="log", xlim=(low, high), ylim=(0, 1), xlabel="temperature T", ylabel="probability")
    ticks(curves.xaxis, [tick for tick in TICKS if low <= tick <= high] or [low, high])
    return figure, bars, curves.axvline(low, color=INK, linewidth=1.2)


def _set(found: Sample, panel: Axes, cursor: Any, temperature: float) -> None:
    """Show one temperature."""
    indices, names = found.shown()
    logits = next(iter(found.logits.values()))
    panel.clear()
    panel.barh(range(len(names)), probabilities(logits, [temperature])[0, indices].tolist(), color=colours(logits, indices), height=0.75)
    panel.set(xlim=(0, 1), ylim=(len(names) - 0.4, -0.6), xlabel="probability", title=f"T = {temperature:.1f}")
    panel.set_yticks(range(len(names)), labels=names)
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)
    cursor.set_xdata([temperature])


def _pixels(figure: Figure) -> Image.Image:
    """A figure as it would be seen, in at most 64 colours."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=GIF_DOTS)
    return Image.open(file).convert("RGB").quantize(64)
