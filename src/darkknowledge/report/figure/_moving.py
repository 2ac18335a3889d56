"""The softmax as the temperature rises, as an SVG that moves by itself.

Where nothing moves (on paper, in viewers without CSS, for people who have asked for less motion) it shows one temperature, and the curves tell the
rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from darkknowledge.report.figure._sample import Sample, colours, probabilities
from darkknowledge.report.figure.softmax import HIGH, LOW, PAUSE, SECONDS, STEPS, TICKS, scale
from darkknowledge.report.picture import data_uri, thumbnail

HEIGHT, PICTURE, BARS, CURVES = 300, 132, 190, 270
"""Of the whole; of the picture's side, the longest bar and the curves' width."""
TOP, BOTTOM = 52, 250
"""Between which bars and curves lie."""
STYLE = """
text{font:12px system-ui,sans-serif;fill:#222}
.paper{fill:#fff}.axis{stroke:#999;fill:none}.grid{stroke:#e5e5e5}.cursor{stroke:#222;stroke-width:1.5}.mark{fill:#222}
.head{font-weight:600}.right{text-anchor:end}.middle{text-anchor:middle}.curve{fill:none;stroke-width:2}
@media (prefers-color-scheme:dark){text{fill:#ddd}.paper{fill:#1a1c1e}.grid{stroke:#3a3d40}.cursor{stroke:#ddd}.mark{fill:#ddd}}
"""


def softmax_svg(found: Sample, *, temperatures: Sequence[float] = (LOW, HIGH)) -> str:
    """The moving picture: the example, a bar for each class, and the curves of all over the temperature with a line that goes along them."""
    low, high = min(temperatures), max(temperatures)
    indices, names = found.shown()
    logits = next(iter(found.logits.values()))
    tones = colours(logits, indices)
    left = 20 if found.picture is None else PICTURE + 40
    bars = left + 8 + 7 * max(map(len, names))
    curves = bars + BARS + 70
    width = curves + CURVES + 24
    still = math.sqrt(low * high)
    steps = probabilities(logits, scale(low, high, STEPS))[:, indices].T.tolist()
    now = probabilities(logits, [still])[0, indices].tolist()
    likeliest = max(range(len(names)), key=now.__getitem__)
    ends = f"from {steps[likeliest][0]:.3f} at T = {low:g} to {steps[likeliest][-1]:.3f} at T = {high:g}"
    description = f"The probability of {names[likeliest]} goes {ends}; those of the others become alike"
    body = [
        _picture(found),
        _bars(names, tones, now, bars),
        _curves(probabilities(logits, scale(low, high, 3 * STEPS))[:, indices].T.tolist(), tones, low, high, curves),
        _cursor(curves, CURVES / 2),
    ]
    moves = [_move(f"b{place}", [BARS * (value - 1) for value in values]) for place, values in enumerate(steps)]
    moves.append(_move("c", [CURVES * step / STEPS for step in range(STEPS + 1)]))
    moving = f"@media (prefers-reduced-motion:no-preference){{{''.join(moves)}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" role="img" '
        f'aria-labelledby="t d"><title id="t">The softmax as the temperature rises</title><desc id="d">{escape(description)}.</desc>'
        f'<style>{STYLE}{moving}</style><rect class="paper" width="{width}" height="{HEIGHT}" rx="8"/>{"".join(body)}</svg>\n'
    )


def _picture(found: Sample) -> str:
    if found.picture is None:
        return ""
    data = data_uri(thumbnail(found.picture if len(found.picture) > 1 else 1 - found.picture))
    above = (TOP + BOTTOM - PICTURE) / 2
    return (
        f'<image href="{data}" x="20" y="{above:g}" width="{PICTURE}" height="{PICTURE}" style="image-rendering:pixelated"/>'
        f'<text class="middle" x="{20 + PICTURE / 2:g}" y="{above - 10:g}">{escape(found.title)}</text>'
    )


def _bars(names: Sequence[str], tones: Sequence[str], now: Sequence[float], left: float) -> str:
    """Bars are as long as the axis and are moved into their window, so that what moves is a translation, which every browser knows."""
    height = (BOTTOM - TOP) / len(names)
    lines = [
        f'<clipPath id="w"><rect x="{left}" y="{TOP}" width="{BARS}" height="{BOTTOM - TOP}"/></clipPath>',
        f'<text class="head" x="{left}" y="{TOP - 22}">softmax(z / T)</text>',
        *(_tick(left + BARS * share, f"{share:g}") for share in (0, 0.5, 1)),
    ]
    for place, (name, tone, value) in enumerate(zip(names, tones, now, strict=True)):
        y = TOP + place * height
        lines.append(f'<text class="right" x="{left - 8}" y="{y + height / 2 + 4:.1f}">{escape(name)}</text>')
        bar = f'<rect class="b{place}" x="{left}" y="{y + 2:.1f}" width="{BARS}" height="{height - 4:.1f}" fill="{tone}"'
        lines.append(f'<g clip-path="url(#w)">{bar} transform="translate({BARS * (value - 1):.1f} 0)"/></g>')
    lines.append(f'<path class="axis" d="M{left} {TOP}V{BOTTOM}"/><text class="middle" x="{left + BARS / 2}" y="{BOTTOM + 36}">probability</text>')
    return "".join(lines)


def _tick(x: float, text: str) -> str:
    return f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/><text class="middle" x="{x:.1f}" y="{BOTTOM + 17}">{text}</text>'


def _curves(values: Sequence[Sequence[float]], tones: Sequence[str], low: float, high: float, left: float) -> str:
    def x(temperature: float) -> float:
        return left + CURVES * math.log(temperature / low) / math.log(high / low)

    lines = [_tick(x(tick), f"{tick:g}") for tick in TICKS if low <= tick <= high]
    for share in (0, 0.5, 1):
        y = BOTTOM - (BOTTOM - TOP) * share
        lines.append(f'<path class="grid" d="M{left} {y:g}H{left + CURVES}"/><text class="right" x="{left - 8}" y="{y + 4:g}">{share:g}</text>')
    for row, tone in zip(values, tones, strict=True):
        points = " ".join(f"{left + CURVES * place / (len(row) - 1):.1f},{BOTTOM - (BOTTOM - TOP) * value:.1f}" for place, value in enumerate(row))
        lines.append(f'<polyline class="curve" stroke="{tone}" points="{points}"/>')
    lines.append(f'<text class="middle" x="{left + CURVES / 2}" y="{BOTTOM + 36}">temperature T</text>')
    return "".join(lines)


def _cursor(left: float, at: float) -> str:
    triangle = f"M{left - 6} {TOP - 14}h12l-6 10z"
    return (
        f'<g class="c" transform="translate({at:.1f} 0)"><path class="cursor" d="M{left} {TOP - 6}V{BOTTOM}"/><path class="mark" d="{triangle}"/></g>'
    )


def _move(name: str, places: Sequence[float]) -> str:
    """The animation of one class of elements through these horizontal places, there and back, with a rest at both ends."""
    rest = PAUSE / (STEPS + 2 * PAUSE) * 100
    percents = [rest + (100 - 2 * rest) * step / STEPS for step in range(len(places))]
    frames = [(0.0, places[0]), *zip(percents, places, strict=True), (100.0, places[-1])]
    text = "".join(f"{percent:.4g}%{{transform:translateX({place:.1f}px)}}" for percent, place in frames)
    return f".{name}{{animation:{name} {SECONDS:g}s linear infinite alternate}}@keyframes {name}{{{text}}}"
