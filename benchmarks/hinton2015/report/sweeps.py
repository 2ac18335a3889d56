"""The tables of what was varied: temperature, share of the cases, weights, views, size."""

from __future__ import annotations

from benchmarks.hinton2015.few import SHARES
from benchmarks.hinton2015.grids import ALPHAS, EPOCHS, TEMPERATURES, VIEWS
from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, NARROW_WIDTHS, WIDE_TEMPERATURES
from benchmarks.hinton2015.recipe import TEMPERATURE, VIEWS as RECORDED
from benchmarks.hinton2015.report.bars import fewer
from benchmarks.hinton2015.report.notation import NOTHING, number, short, table
from benchmarks.hinton2015.report.records import Records, paired
from benchmarks.hinton2015.report.rows import Row, alone_of_width, at_share, at_temperature, by_epochs, by_views, cell, compare, few_gap, row
from benchmarks.hinton2015.report.tables import brief

WIDTHS = (*NARROW_WIDTHS, 800)


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
    runs = few_gap(records)
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


def epochs(records: Records) -> str:
    """P12: longer training."""
    rows = []
    for count, what in ((1, "soft targets, pictures not shifted"), (RECORDED, f"soft targets of {RECORDED} recorded shifts")):
        found = [by_epochs(records, count, length) for length in EPOCHS]
        rows.append((what, *map(brief, found), fewer(compare(*found), f"after {EPOCHS[0]}")))
    return table(("", *(f"{length} epochs" for length in EPOCHS), "three times as long brings"), rows)


def sizes(records: Records) -> str:
    """P12: the student alone and distilled, by its size."""
    rows = []
    for width in WIDTHS:
        alone, *distilled = of_size(records, width)
        gains = [fewer(compare(alone, found), "alone") for found in distilled]
        rows.append(
            (f"784-{width}-{width}-10", *(brief(found) if found.n or width != WIDTHS[-1] else NOTHING for found in (alone, *distilled)), *gains)
        )
    return table(("student", "alone", "T = 4", "T = 20", "T = 4 brings", "T = 20 brings"), rows)


def of_size(records: Records, width: int) -> tuple[Row, Row, Row]:
    """Alone, distilled at T = 4, and at T = 20; the widest is that of P2 and P3."""
    if width == WIDTHS[-1]:
        return row(records, "alone"), at_temperature(records, width, 4.0), row(records, "soft")
    return alone_of_width(records, width), at_temperature(records, width, 4.0), at_temperature(records, width, TEMPERATURE)
