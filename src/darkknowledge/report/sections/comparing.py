"""Several runs, or a grid of them: the errors of every group over its seeds, and against each setting that differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from darkknowledge.analysis import summarise
from darkknowledge.report.content import Block, Figures, Listing, Note, Section, Table
from darkknowledge.report.groups import Group, Groups, said, told
from darkknowledge.report.plot import Axis, Plot, linear, logarithmic
from darkknowledge.report.sections._networks import error_interval, error_rates
from darkknowledge.report.sections.outcome import draw_interval
from darkknowledge.report.sections.provenance import listing
from darkknowledge.report.text import NOTHING, finite, number, plain, span, spread, visible

MOST_ROWS = 60
MOST_LINES = 6
WIDE = 7.9
"""A setting whose values span more than this factor gets a logarithmic axis."""


def comparing(found: Groups) -> list[Section]:
    """The sections of a comparing page."""
    return [_forest(found), *_against(found), _settings(found)]


def _forest(found: Groups) -> Section:
    title = "Every group of runs"
    if not found.groups:
        return Section("groups", title, blocks=[Note("n/a: none of these runs was measured on the test split; dk evaluate run=[…] does it.")])
    shown = found.groups[:MOST_ROWS]
    count = sum(len(group.networks) for group in found.groups)
    best = min(found.groups, key=lambda group: _mean(group))
    lead = (
        f"{len(found.groups)} groups of {count} networks; a group is one choice of settings over its seeds. "
        f"The least error on test, {_mean(best):.2f} %, has: {visible(found.label(best), 200)}. "
        "A setting that is chosen by this picture is chosen on the test split: choose it on validation, and read its test error once."
    )
    caption = (
        "Error on test of each group: small marks are seeds, the large mark is their mean, lines are 95 % intervals of it "
        "(Student’s t; Wilson for one network)."
    )
    if len(shown) < len(found.groups):
        caption += f" The first {MOST_ROWS} groups; the table has all."
    blocks: list[Block] = [Figures([_rows(found, shown)], caption), _table(found)]
    return Section("groups", title, lead, [*blocks, *(Note(f"Left out: {visible(note, 300)}.") for note in found.notes)])


def _mean(group: Group) -> float:
    rates = error_rates(group.networks)
    return sum(rates) / len(rates)


def _rows(found: Groups, shown: Sequence[Group]) -> Markup:
    intervals = [error_interval(group.networks) for group in shown]
    values = [rate for group in shown for rate in error_rates(group.networks)]
    # A pair of seeds may have an interval as wide as the world; it is cut at three times the errors.
    limit = 3 * max(values)
    ends = [min(end, limit) for interval in intervals if interval for end in (interval.low, interval.high)]
    labels = [visible(found.label(group), 50) for group in shown]
    words = "; ".join(f"{label}: {_mean(group):.2f} %" for label, group in zip(labels, shown, strict=True))
    across = linear("error on test, %", [*values, *ends], zero=True, ticks=6)
    left = 30 + 7 * max(map(len, labels))
    plot = Plot("", f"Error on test. {words}", across, Axis("", 0, len(shown), []), left + 460, 62 + 34 * len(shown), left)
    if found.teacher is not None and found.teacher.answers is not None:
        (rate,) = error_rates([found.teacher])
        plot.rule((rate, 0), (rate, len(shown)), "line teacher")
        plot.text(rate, len(shown), "teacher", anchor="middle", shift=(0, -3), kind="tick")
    for row, (group, label, interval) in enumerate(zip(shown, labels, intervals, strict=True)):
        draw_interval(plot, len(shown) - row - 0.5, group.kind, label, error_rates(group.networks), interval)
    return plot.svg()


def _table(found: Groups) -> Table:
    head = ["group", *(visible(said(name), 40) for name in found.varied), "networks (n)", "error", "95 % interval", "NLL, nats"]
    return Table("Groups, the settings in which they differ, and their errors on test", head, [_row(found, group) for group in found.groups])


def _row(found: Groups, group: Group) -> list[str]:
    errors, interval = summarise(error_rates(group.networks)), error_interval(group.networks)
    scores = summarise([one.answers.calibration.nll for one in group.networks if one.answers])
    return [
        "student distilled" if group.kind == "distilled" else "student alone",
        *("–" if group.settings.get(name) is None else visible(told(group.settings[name])) for name in found.varied),
        str(errors.n),
        spread(errors.mean, errors.sd, unit=" %"),
        NOTHING if interval is None else span(interval.low, interval.high, unit=" %"),
        number(scores.mean, 4) if scores.sd is None else spread(scores.mean, scores.sd, 4),
    ]


def _against(found: Groups) -> list[Section]:
    """A drawing for each setting of numbers."""
    drawings = [_curve(found, name) for name in found.varied]
    figures = [Figures([svg], caption, legend) for svg, caption, legend in (drawn for drawn in drawings if drawn)]
    if not figures:
        return []
    return [Section("settings", "Error against what was varied", "Marks are means over seeds, small marks the seeds.", figures)]


def _curve(found: Groups, name: str) -> tuple[Markup, str, list[tuple[str, str]]] | None:
    lines = _lines(found, name)
    xs = sorted({x for points in lines.values() for x, _ in points})
    if len(xs) < 2:
        return None
    rest = [group for group in found.groups if finite(group.settings.get(name)) is None]
    rates = [rate for points in lines.values() for _, group in points for rate in error_rates(group.networks)]
    down = linear("error on test, %", [*rates, *map(_mean, rest)])
    label = said(name)
    wide = xs[0] > 0 and xs[-1] / xs[0] > WIDE
    across = logarithmic(label, xs) if wide else linear(label, xs)
    if wide and len(xs) <= 8:
        across = Axis(label, across.low, across.high, [(x, plain(x)) for x in xs], log=True)
    plot = Plot("", f"Error on test against {label}", across, down, 520, 320)
    for group in rest if len(rest) <= 2 else ():
        plot.rule((across.low, _mean(group)), (across.high, _mean(group)), f"line {group.kind}")
        plot.text(across.low, _mean(group), f"student {group.kind}", shift=(4, -5), kind="tick")
    legend = []
    for index, (words, points) in enumerate(list(lines.items())[:MOST_LINES]):
        kind = points[0][1].kind if len(lines) <= 2 and len({line[0][1].kind for line in lines.values()}) == len(lines) else f"series{index}"
        legend.append((kind, visible(words, 80)))
        plot.line([(x, _mean(group)) for x, group in points], kind)
        for x, group in points:
            for rate in error_rates(group.networks) if len(group.networks) > 1 else ():
                plot.point(x, rate, f"{kind} seed", size=2.5)
            plot.point(x, _mean(group), kind, size=4.5)
    more = f" Of {len(lines)} lines the first {MOST_LINES} are shown." if len(lines) > MOST_LINES else ""
    return plot.svg(), f"Error on test against {label}.{more}", legend


def _lines(found: Groups, name: str) -> dict[str, list[tuple[float, Group]]]:
    """The groups that have a number for the setting, in lines along which all else is the same, each by its words."""
    lines: dict[str, list[tuple[float, Group]]] = {}
    for group in found.groups:
        value = finite(group.settings.get(name))
        if value is None:
            continue
        others: Mapping[str, Any] = {one: group.settings[one] for one in found.varied if one != name and group.settings.get(one) is not None}
        words = ", ".join([f"student {group.kind}", *(f"{said(one)} {told(setting)}" for one, setting in others.items())])
        lines.setdefault(words, []).append((value, group))
    whole = {words: sorted(points, key=lambda point: point[0]) for words, points in lines.items()}
    return {words: points for words, points in whole.items() if len({x for x, _ in points}) > 1}


def _settings(found: Groups) -> Section:
    """What all groups share, and where the runs lie."""
    shared = dict(found.groups[0].settings) if found.groups else {}
    for group in found.groups:
        shared = {name: value for name, value in shared.items() if json.dumps(group.settings.get(name)) == json.dumps(value)}
    rows = [
        [
            visible(one.name),
            str(one.seed) if one.seed is not None else NOTHING,
            visible(one.path, 120),
            visible(one.fingerprint[:16] or NOTHING),
        ]
        for group in found.groups
        for one in group.networks
    ]
    table = Table("The runs", ["run", "seed", "folder", "weights’ fingerprint"], rows, folded=f"the {len(rows)} runs")
    return Section("provenance", "Provenance", "", [table, Listing("the settings that all share", listing(shared))])
