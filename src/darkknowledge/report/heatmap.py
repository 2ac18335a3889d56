"""A square of shades: how much each class (down) resembles each other one (across)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from markupsafe import Markup
from torch import Tensor

from darkknowledge.report.plot import drawing, name_of
from darkknowledge.report.text import plain, visible

WIDTH = 310
"""Pixels of a drawing of few classes: three of them stand side by side."""
LEVELS = 7
"""Shades of a drawing."""


def shades(panels: Sequence[Tensor]) -> list[float]:
    """The lower ends of the shades: equal ratios from nearly the smallest value to the largest, at most two powers of ten."""
    values = torch.cat([panel[~torch.eye(len(panel), dtype=torch.bool)] for panel in panels])
    top = max(float(values.max()), 1e-9)
    low = max(float(values.quantile(0.05)), top / 100)
    return [float(f"{low * (top / low) ** (level / LEVELS):.2g}") for level in range(LEVELS)]


def differences(values: Tensor) -> list[float]:
    """The lower ends of the shades of both signs."""
    top = max(float(values.abs().max()), 1e-9)
    positive = [float(f"{top * part:.1g}") for part in (0.1, 0.3, 0.6)]
    return [*(-end for end in reversed(positive)), *positive]


def heatmap(name: str, values: Tensor, names: Sequence[str], ends: Sequence[float]) -> Markup:
    """A drawing of which each shade is one path: fifty classes have 2,500 cells."""
    count, key = len(names), 42
    labels = [name_of(one, 11 if count <= 20 else 18) for one in names]
    margin = 14 + 6 * max(map(len, labels))
    cell = round(max(6.0, min(27.0, (WIDTH - margin) / count)) if count <= 20 else 11.0, 2)
    width, height = round(margin + cell * count + 6), round(22 + cell * count + margin + key)
    parts = [_cells(values, level, ends, margin, cell) for level in range(-3 if ends[0] < 0 else 0, 4 if ends[0] < 0 else LEVELS)]
    base = 22 + cell * count
    form = '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
    parts += [Markup(form).format(margin - 5, round(22 + cell * (row + 0.5) + 3.5, 1), one) for row, one in enumerate(labels)]
    turned = '<text class="tick" transform="translate({} {}) rotate(-90)" text-anchor="end">{}</text>'
    parts += [Markup(turned).format(round(margin + cell * (column + 0.5) + 3.5, 1), base + 5, one) for column, one in enumerate(labels)]
    frame = Markup('<rect class="frame" x="{}" y="22" width="{}" height="{}"/>').format(margin, round(cell * count, 1), round(cell * count, 1))
    place = int(values.abs().argmax())
    words = (
        f"Largest: {visible(names[place // count], 20)} as {visible(names[place % count], 20)}, {100 * float(values.flatten()[place]):+.2f} points"
    )
    return drawing(name, words, width, height, [*parts, frame, _key(ends, margin, height - 26, cell * count)])


def _level(value: float, ends: Sequence[float]) -> int:
    """The shade of a value; 0 and below are the ground of a drawing without signs."""
    if ends[0] < 0:
        sizes = [end for end in ends if end > 0]
        return int(math.copysign(sum(abs(value) >= end for end in sizes), value)) if value else 0
    return sum(value >= end for end in ends) - 1


def _cells(panel: Tensor, level: int, ends: Sequence[float], margin: float, cell: float) -> Markup:
    places = [
        (row, column)
        for row, values in enumerate(panel.tolist())
        for column, value in enumerate(values)
        if row != column and _level(value, ends) == level
    ]
    if not places or (ends[0] < 0 and level == 0):
        return Markup("")
    size = round(cell, 1)
    path = "".join(f"M{round(margin + column * cell, 1):g} {round(22 + row * cell, 1):g}h{size}v{size}h-{size}z" for row, column in places)
    return Markup('<path class="{}" d="{}"/>').format(_shade(level, ends), path)


def _shade(level: int, ends: Sequence[float]) -> str:
    return f"shade{level}" if ends[0] >= 0 else f"{'more' if level > 0 else 'less'}{abs(level)}"


def _key(ends: Sequence[float], left: float, top: float, width: float) -> Markup:
    """What the shades mean, in per cent."""
    levels = range(len(ends)) if ends[0] >= 0 else (-3, -2, -1, 1, 2, 3)
    step = min(max(width, 200) / len(ends), 38)
    form = '<rect class="{}" x="{}" y="{}" width="{}" height="9"/><text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>'
    marks = []
    for index, (level, end) in enumerate(zip(levels, ends, strict=True)):
        x = round(left + index * step, 1)
        # Of differences the largest on either side: there is no room for six.
        words = plain(100 * end) if ends[0] >= 0 or abs(level) == len(ends) // 2 else ""
        marks.append(Markup(form).format(_shade(level, ends), x, top, round(step - 1, 1), round(x + step / 2, 1), top + 21, words))
    return Markup("").join(marks)
