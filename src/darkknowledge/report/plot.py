"""Drawings as SVG: axes, lines, points and intervals. Sizes are in pixels; colours, and what they are in the dark, are the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from darkknowledge.report.text import LARGEST, plain, visible

LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 44
"""Margins, in which the ticks and the names of the axes stand."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis says, its ends, and its ticks with their words; ``log`` needs a positive ``low``."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; beyond them at the end."""
        low, high, found = (math.log(max(one, 1e-300)) if self.log else one for one in (self.low, self.high, value))
        return min(1.0, max(0.0, (found - low) / (high - low)))


def linear(label: str, values: Iterable[float], *, zero: bool = False, ticks: int = 5) -> Axis:
    """An axis for these values with round ticks, from 0 on where ``zero`` asks for it."""
    found = [value for value in values if -LARGEST <= value <= LARGEST] or [0.0, 1.0]
    low, high = (min(0.0, *found) if zero else min(found)), max(found)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = (low if zero else low - 0.5), high + 0.5
    step = _round_step((high - low) / ticks)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    marks = [step * number for number in range(first, last + 1)]
    return Axis(label, marks[0], marks[-1], [(mark, plain(round(mark, 10))) for mark in marks])


def logarithmic(label: str, values: Iterable[float]) -> Axis:
    """An axis for these positive values with ticks at 1, 2 and 5 times the powers of ten, or at some of the powers alone where those are many."""
    found = [value for value in values if 1 / LARGEST <= value <= LARGEST] or [1.0]
    low, high = min(found) / 1.15, max(found) * 1.15
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    marks = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5) if low <= factor * 10.0**decade <= high]
    if len(marks) > 6:
        powers = [mark for mark in marks if abs(math.log10(mark) - round(math.log10(mark))) < 1e-9]
        marks = powers[:: -(-len(powers) // 7)]
    return Axis(label, low, high, [(mark, short(mark)) for mark in marks], log=True)


def short(value: float) -> str:
    """A number in a few characters.

    >>> short(255006), short(0.002)
    ('255k', '0.002')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


@dataclass(slots=True)
class Plot:
    """A drawing under way; `svg` ends it. ``title`` and ``words`` are what it says to those who cannot see it."""

    title: str
    words: str
    x: Axis
    y: Axis
    width: int = 340
    height: int = 240
    left: int = LEFT
    parts: list[Markup] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place of a point of the axes."""
        across = self.left + self.x.share(x) * (self.width - self.left - RIGHT)
        return round(across, 1), round(self.height - BOTTOM - self.y.share(y) * (self.height - TOP - BOTTOM), 1)

    def line(self, points: Iterable[tuple[float, float]], kind: str) -> None:
        """A line through points of the axes."""
        places = [self.at(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        self.parts.append(Markup('<polyline class="line {}" points="{}"/>').format(kind, " ".join(f"{x},{y}" for x, y in places)))

    def rule(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A straight line."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        self.parts.append(Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2))

    def bar(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """A filled rectangle between two corners."""
        (x1, y1), (x2, y2) = self.at(*start), self.at(*end)
        corner, size = (min(x1, x2), min(y1, y2)), (abs(x2 - x1), abs(y2 - y1))
        form = '<rect class="bar {}" x="{}" y="{}" width="{:.1f}" height="{:.1f}"/>'
        self.parts.append(Markup(form).format(kind, *corner, *size))

    def point(self, x: float, y: float, kind: str, *, size: float = 4.5) -> None:
        """A mark whose form goes with its kind, so that no colour is needed to tell it."""
        across, down = self.at(x, y)
        self.parts.append(marker(across, down, kind, size))

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", shift: tuple[float, float] = (0, 0), kind: str = "") -> None:
        """Words at a point of the axes, moved by ``shift``."""
        across, down = self.at(x, y)
        form = '<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>'
        self.parts.append(Markup(form).format(kind, round(across + shift[0], 1), round(down + shift[1], 1), anchor, words))

    def svg(self) -> Markup:
        """The drawing."""
        return drawing(self.title, self.words, self.width, self.height, [self._across(), self._down(), *self.parts])

    def _across(self) -> Markup:
        ticks = [_tick(*self.at(value, self.y.low), words, "middle", (0, 16)) for value, words in self.x.ticks]
        middle, floor = (self.left + self.width - RIGHT) / 2, self.height - BOTTOM
        base = Markup('<line class="axis" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(self.left, floor, self.width - RIGHT, floor)
        label = Markup('<text class="label" x="{}" y="{}" text-anchor="middle">{}</text>').format(middle, self.height - 8, self.x.label)
        return base + Markup("").join([*ticks, label])

    def _down(self) -> Markup:
        grid = Markup("").join(
            Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(self.left, place, self.width - RIGHT, place)
            for place in (self.at(self.x.low, value)[1] for value, _ in self.y.ticks)
        )
        ticks = [_tick(*self.at(self.x.low, value), words, "end", (-7, 4)) for value, words in self.y.ticks]
        middle = (TOP + self.height - BOTTOM) / 2
        form = '<text class="label" x="0" y="0" transform="translate(12 {}) rotate(-90)" text-anchor="middle">{}</text>'
        return grid + Markup("").join([*ticks, Markup(form).format(middle, self.y.label) if self.y.label else Markup("")])


def marker(x: float, y: float, kind: str, size: float = 4.5) -> Markup:
    """A square for a teacher, a ring for a student alone, a diamond for one distilled, else a dot."""
    forms = {"teacher": "M{0} {1}h{2}v{2}h-{2}z", "distilled": "M{3} {1}l{4} {4}l-{4} {4}l-{4} -{4}z"}
    if kind.partition(" ")[0] in forms:
        path = forms[kind.partition(" ")[0]].format(round(x - size, 1), round(y - size, 1), 2 * size, x, size)
        return Markup('<path class="mark {}" d="{}"/>').format(kind, path)
    return Markup('<circle class="mark {}" cx="{}" cy="{}" r="{}"/>').format(kind, x, y, size)


def drawing(title: str, words: str, width: int, height: int, parts: Sequence[Markup]) -> Markup:
    """An SVG that is a picture with these words to those who cannot see it."""
    head = '<svg class="drawing" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">'
    heading = Markup('<text class="title" x="{}" y="10" text-anchor="middle">{}</text>').format(width / 2, title) if title else Markup("")
    return Markup(head).format(width, height, f"{title}. {words}" if title else words) + heading + Markup("").join(parts) + Markup("</svg>")


def name_of(text: object, longest: int = 12) -> str:
    """A class name where there is little room."""
    return visible(text, longest=longest)


def _tick(x: float, y: float, words: str, anchor: str, shift: tuple[float, float]) -> Markup:
    form = '<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>'
    return Markup(form).format(round(x + shift[0], 1), round(y + shift[1], 1), anchor, words)
