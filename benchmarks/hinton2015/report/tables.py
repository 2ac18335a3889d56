"""The tables of the page, each as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.hinton2015.few import SHARES
from benchmarks.hinton2015.grids import ALPHAS, TEMPERATURES, VIEWS
from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.recipe import SEEDS, STUDENT_EPOCHS, TEMPERATURE
from benchmarks.hinton2015.report.bars import bars, fewer
from benchmarks.hinton2015.report.notation import NOTHING, interval, mean, number, probability, short, table
from benchmarks.hinton2015.report.records import Record, Records, paired
from benchmarks.hinton2015.report.rows import (
    ARMS,
    Comparison,
    Row,
    alone_of_width,
    at_share,
    at_temperature,
    by_views,
    cell,
    compare,
    row,
)

WIDTHS = (30, 100, 300, 800)
PAIRS = (
    ("alone", "soft"),
    ("alone", "alone-jitter"),
    ("alone-jitter", "soft"),
    ("alone-jitter", "soft-views"),
    ("alone-jitter", "soft-ten"),
    ("alone-jitter", "soft-ten-views"),
    ("alone-all", "soft-views"),
    ("soft", "soft-views"),
    ("soft", "soft-ten"),
    ("teacher", "soft"),
    ("teacher", "soft-views"),
)
"""What is compared seed by seed."""


def brief(found: Row) -> str:
    """``mean ± sd``, and how many seeds there are where some are missing."""
    count = "" if found.n == found.wanted and not found.runs.diverged else f" (n = {found.count})"
    return f"{mean(found.summary)}{count}"


def average(found: Row, measure: str, digits: int, scale: float = 1.0) -> str:
    """The mean over the seeds of ``nll`` or ``ece``."""
    values = [float(getattr(record, measure)) * scale for record in found.runs.finished]
    return number(sum(values) / len(values), digits) if values else NOTHING


def headline(records: Records) -> str:
    """Errors of each arm beside the paper's."""
    rows = []
    for name, arm in ARMS.items():
        found = row(records, name)
        summary = found.summary
        rows.append(
            (
                *(arm.row, f"{arm.about} (`{name}`)", str(arm.paper or NOTHING), mean(summary), interval(summary.interval if summary else None)),
                *(NOTHING if found.median is None else short(found.median), found.count),
                *(average(found, "nll", 4), average(found, "ece", 2, 100)),
            )
        )
    return table(("", "network", "paper", "errors, mean ± sd", "95 % interval", "median", "n", "NLL", "ECE, %"), rows)


def readme(records: Records) -> str:
    """The same, for somebody who has not met the words yet."""
    shown = [(arm, ARMS[arm], row(records, arm)) for arm in ARMS]
    rows = [(arm.about, str(arm.paper or NOTHING), brief(found)) for _, arm, found in shown if found.n]
    return table(("test errors of 10,000", "paper", f"here, mean ± sd over {len(SEEDS)} seeds"), rows)


def bar_table(records: Records) -> str:
    """Bars, and whether they are met."""
    return table(("", "bar", "found", ""), [(bar.row, bar.wants, bar.found, f"**{bar.verdict}**") for bar in bars(records)])


def seed_by_seed(records: Records) -> str:
    """Differences with their intervals, and McNemar's test of each pair."""
    rows = []
    for first, second in PAIRS:
        apart = compare(row(records, first), row(records, second))
        cells = {ours.what.seed: _pair(ours, theirs, apart, position) for position, (ours, theirs) in enumerate(apart.pairs)}
        rows.append((f"`{first}` → `{second}`", fewer(apart, "before"), *(cells.get(seed, NOTHING) for seed in SEEDS)))
    return table(("", "second of the two, paired t", *(f"seed {seed}" for seed in SEEDS)), rows)


def _pair(ours: Record, theirs: Record, apart: Comparison, position: int) -> str:
    found = apart.tests[position]
    return f"{ours.errors} → {theirs.errors}, +{found.only_second} −{found.only_first}, {probability(found.p_value)}"


def temperatures(records: Records) -> str:
    """P4 and P5."""
    every = sorted({*NARROW_TEMPERATURES, *WIDE_TEMPERATURES})
    rows = []
    for width in WIDTHS[:-1]:
        found = {temperature: at_temperature(records, width, temperature) for temperature in every}
        rows.append((f"784-{width}-{width}-10", *(brief(found[t]) if found[t].n or found[t].runs.diverged else "" for t in every)))
    return table(("student", *(f"T = {short(t)}" for t in every)), rows)


def few(records: Records) -> str:
    """P8."""
    rows = []
    for share in SHARES:
        hard, soft, labels = (at_share(records, arm, share) for arm in ("few-hard", "few-soft", "few-labels"))
        told = brief(labels) if share < 1 else "the same as all cases"
        rows.append((f"{short(100 * share)} %", brief(hard), last_epoch(hard), brief(soft), told))
    head = ("share", "labels, stopped early", "labels, last epoch", "soft targets, last epoch", "soft targets of all pictures, so many labels")
    return table(head, rows)


def last_epoch(found: Row) -> str:
    """The mean of the errors at the last epoch of those that were stopped early."""
    last = [record.errors_of_last_epoch for record in found.runs.finished if record.errors_of_last_epoch is not None]
    return number(sum(last) / len(last)) if last else NOTHING


def shares_by_seed(records: Records) -> str:
    """P8: the share of the gap of each seed, as far as it has one."""
    runs = (at_share(records, "few-hard", 0.03), at_share(records, "few-soft", 0.03), at_share(records, "few-hard", 1.0))
    told = []
    for hard, soft, whole in paired(*(found.runs for found in runs)):
        gap = hard.errors - whole.errors
        value = f"{number(100 * (hard.errors - soft.errors) / gap, 0)} %" if gap > 0 else "n/a"
        told.append(f"seed {hard.what.seed}: {value}")
    return ", ".join(told) or "no seed has all three yet"


def grid(records: Records) -> str:
    """P12: the grid."""
    rows = [(f"alpha = {short(alpha)}", *(brief(cell(records, t, alpha)) for t in TEMPERATURES)) for alpha in ALPHAS]
    return table(("", *(f"T = {short(t)}" for t in TEMPERATURES)), rows)


def views(records: Records) -> str:
    """P12: the number of views."""
    return table([f"{count} view{'s' * (count > 1)}" for count in VIEWS], [[brief(by_views(records, count)) for count in VIEWS]])


def sizes(records: Records) -> str:
    """P12: the student alone and distilled, by its size."""
    rows = [
        (f"784-{width}-{width}-10", *(brief(found) for found in of_size(records, width)), _gain(records, width))
        for width in WIDTHS
    ]
    return table(("student", "alone", "T = 4", "T = 20", "fewer at the better T"), rows)


def of_size(records: Records, width: int) -> tuple[Row, Row, Row]:
    """Alone, distilled at T = 4, and at T = 20; the widest is that of P2 and P3."""
    if width == WIDTHS[-1]:
        return row(records, "alone"), at_temperature(records, width, 4.0), row(records, "soft")
    return alone_of_width(records, width), at_temperature(records, width, 4.0), at_temperature(records, width, TEMPERATURE)


def _gain(records: Records, width: int) -> str:
    alone, *distilled = of_size(records, width)
    best = min((found for found in distilled if found.summary), key=lambda found: found.summary.mean if found.summary else 0.0, default=None)
    return NOTHING if best is None else fewer(compare(alone, best), "alone")


def minutes(records: Records, selection: Records) -> str:
    """What each row took."""
    by_row: dict[str, list[Row]] = {}
    for name, arm in ARMS.items():
        by_row.setdefault(arm.row, []).append(row(records, name))
    others = {
        "P4": [at_temperature(records, 300, t) for t in WIDE_TEMPERATURES],
        "P5": [at_temperature(records, 30, t) for t in NARROW_TEMPERATURES],
        "P8": [at_share(records, arm, share) for arm in ("few-hard", "few-soft", "few-labels") for share in SHARES],
        "P12, grid": [cell(records, t, alpha) for t in TEMPERATURES for alpha in ALPHAS],
        "P12, views": [by_views(records, count) for count in VIEWS],
        "P12, sizes": [*(alone_of_width(records, width) for width in WIDTHS[:-1]), *(at_temperature(records, 100, t) for t in (4.0, 20.0))],
        "more teachers of the ensemble": [Row(records.where("teacher", seeds=range(5, 10)), 5)],
        "selection": [Row(selection, len(selection.finished))],
    }
    rows = [(name, str(sum(found.n for found in rows)), number(sum(found.minutes for found in rows), 0)) for name, rows in (by_row | others).items()]
    total = sum(record.core_seconds for record in (*records.finished, *selection.finished)) / 60
    return table(("", "runs", "core-minutes"), [*_some(rows), ("all", str(len(records.finished) + len(selection.finished)), number(total, 0))])


def _some(rows: Iterable[tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    return (line for line in rows if line[1] != "0")


__all__ = ["STUDENT_EPOCHS"]
