"""The tables of the headline: networks, bars, pairs, costs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.hinton2015.recipe import SEEDS
from benchmarks.hinton2015.report.bars import bars, span
from benchmarks.hinton2015.report.notation import NOTHING, interval, mean, number, probability, short, table
from benchmarks.hinton2015.report.records import Record, Records
from benchmarks.hinton2015.report.rows import ARMS, MINUTE, Comparison, Row, compare, row

ORDER = ("P1", "P2", "P2b", "P3", "P3b", "P4", "P5", "P8", "P12, sizes", "P12, grid", "P12, views", "P12, epochs")
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
    if not found.n:
        return f"not run ({found.count})" if not found.runs.diverged else found.count
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
    return table(("test errors of 10,000", "paper", f"here, mean ± sd over {len(SEEDS)} seeds (one run where there is no sd)"), rows)


def bar_table(records: Records) -> str:
    """Bars, and whether they are met."""
    return table(("", "bar", "found", ""), [(bar.row, bar.wants, bar.found, f"**{bar.verdict}**") for bar in bars(records)])


def seed_by_seed(records: Records) -> str:
    """Differences with their intervals, and McNemar's test of each pair."""
    rows = []
    for first, second in PAIRS:
        apart = compare(row(records, first), row(records, second))
        if not apart.pairs:
            continue
        cells = {ours.what.seed: _pair(ours, theirs, apart, position) for position, (ours, theirs) in enumerate(apart.pairs)}
        rows.append((f"`{first}` → `{second}`", _change(apart), *(cells.get(seed, NOTHING) for seed in SEEDS)))
    return table(("", "change in errors (95 % interval), paired t", *(f"seed {seed}" for seed in SEEDS)), rows)


def _change(apart: Comparison) -> str:
    assert apart.test is not None
    sure = f" ({span(apart, more=True)}), {probability(apart.test.p_value)}" if apart.test.interval else ""
    return f"{number(-apart.test.difference)}{sure}"


def _pair(ours: Record, theirs: Record, apart: Comparison, position: int) -> str:
    found = apart.tests[position]
    return f"{ours.errors} → {theirs.errors}, +{found.only_second} −{found.only_first}, {probability(found.p_value)}"


def minutes(records: Records, selection: Records) -> str:
    """What each row took."""
    shown = [(name, *_cost(runs)) for name, runs in _by_row(records).items() if runs]
    shown.append(("selection", *_cost(selection.finished)))
    shown.append(("**all**", *_cost([*records.finished, *selection.finished])))
    return table(("", "runs", "minutes"), shown)


def _by_row(records: Records) -> dict[str, list[Record]]:
    """Every finished run, under the first row that it belongs to."""
    found: dict[str, list[Record]] = {name: [] for name in ORDER}
    for record in records.finished:
        found.setdefault(_row_of(record), []).append(record)
    return found


ROWS = {
    **{name: arm.row for name, arm in ARMS.items()},
    **dict.fromkeys(("few-hard", "few-soft", "few-labels"), "P8"),
    **{name: f"P12, {name}" for name in ("grid", "views", "epochs")},
}


def _row_of(record: Record) -> str:
    what = record.what
    width = what.settings.get("width")
    if what.arm == "teacher" and what.seed not in SEEDS:
        return "P3b"
    if what.arm == "temperature":
        return {300: "P4", 30: "P5"}.get(int(width or 0), "P12, sizes")
    if what.arm == "alone" and width != 800:
        return "P12, sizes"
    return ROWS[what.arm]


def _cost(runs: Sequence[Record]) -> tuple[str, str]:
    return str(len(runs)), number(sum(record.core_seconds for record in runs) / MINUTE, 0)
