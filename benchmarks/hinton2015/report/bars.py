"""The bars that were set before, and whether they are met. A bar is judged when all of its seeds have run, not before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.report.notation import NOTHING, interval, number, probability, short
from benchmarks.hinton2015.report.records import Records
from benchmarks.hinton2015.report.rows import Comparison, Row, at_temperature, compare, few_gap, recovered, row
from darkknowledge.analysis import GapRecovered, Interval

TEACHER, ALONE, SOFT, BEYOND = 70, (130, 165), 80, 67
SHARE = 0.88
SPREAD = 10
NARROW_BEST = (2, 5)
STANDARD_ERRORS = 2
DISTANT = 20.0


@dataclass(frozen=True, slots=True)
class Bar:
    """``verdict`` is met, missed, reported, or not run (n of 5)."""

    row: str
    wants: str
    found: str
    verdict: str


def bars(records: Records) -> list[Bar]:
    """All of them, in the order of the rows."""
    makers: tuple[Callable[[Records], Iterable[Bar]], ...] = (_teacher, _alone, _soft, _beyond, _wide, _narrow, _few)
    return [bar for maker in makers for bar in maker(records)]


def judged(rows: Iterable[Row], holds: bool) -> str:
    """The verdict: a diverged run is a missed bar, a run that is still to come leaves it open."""
    rows = list(rows)
    if any(found.runs.diverged for found in rows):
        return f"missed ({sum(len(found.runs.diverged) for found in rows)} diverged)"
    least = min(rows, key=lambda found: found.n)
    return ("met" if holds else "missed") if all(found.whole for found in rows) else f"not run ({least.n} of {least.wanted})"


def _median(found: Row) -> str:
    return NOTHING if found.median is None else f"median {short(found.median)}"


def _within(found: Row, low: float, high: float) -> bool:
    return found.median is not None and low <= found.median <= high


def _teacher(records: Records) -> Iterable[Bar]:
    found = row(records, "teacher")
    yield Bar("P1", f"median ≤ {TEACHER}", _median(found), judged([found], _within(found, 0, TEACHER)))


def _alone(records: Records) -> Iterable[Bar]:
    found = row(records, "alone")
    yield Bar("P2", f"median {ALONE[0]} to {ALONE[1]}", _median(found), judged([found], _within(found, *ALONE)))


def _soft(records: Records) -> Iterable[Bar]:
    teacher, alone, soft = (row(records, arm) for arm in ("teacher", "alone", "soft"))
    yield Bar("P3", f"median ≤ {SOFT}", _median(soft), judged([soft], _within(soft, 0, SOFT)))
    gap = recovered(alone=alone, distilled=soft, teacher=teacher)
    holds = gap is not None and gap.share is not None and gap.share >= SHARE
    yield Bar("P3", f"≥ {SHARE:.0%} of the gap".replace("%", " %"), share(gap), judged([teacher, alone, soft], holds))


def share(gap: GapRecovered | None) -> str:
    """The share of the gap with its interval over seeds."""
    if gap is None:
        return NOTHING
    if gap.share is None:
        return "n/a: the gap may be nothing"
    return f"{number(100 * gap.share, 0)} % (95 % interval {interval(gap.interval, 0, scale=100)} %)"


def _beyond(records: Records) -> Iterable[Bar]:
    jitter = row(records, "alone-jitter")
    for arm in ("soft-views", "soft-ten", "soft-ten-views"):
        found = row(records, arm)
        apart = compare(jitter, found)
        holds = _within(found, 0, BEYOND) and apart.test is not None and apart.test.difference > 0
        bar = f"{arm}: median ≤ {BEYOND}, and mean below that of alone-jitter"
        yield Bar("P3b", bar, f"{_median(found)}; {fewer(apart, 'alone-jitter')}", judged([found, jitter], holds))


def fewer(apart: Comparison, than: str) -> str:
    """The mean of the paired differences, in words."""
    test = apart.test
    if test is None:
        return NOTHING
    sure = f"95 % interval {span(apart, more=test.difference < 0)}, {probability(test.p_value)}" if test.interval else f"n = {test.n}"
    return f"{number(abs(test.difference))} {'fewer' if test.difference >= 0 else 'more'} than {than} ({sure})"


def change(apart: Comparison) -> str:
    """``makes 12.0 more (95 % interval …)``: the first beside the second."""
    assert apart.test is not None
    test = apart.test
    sure = f" (95 % interval {span(apart, more=test.difference < 0)})" if test.interval else ""
    return f"makes {number(abs(test.difference))} {'more' if test.difference >= 0 else 'fewer'}{sure}"


def span(apart: Comparison, *, more: bool) -> str:
    """The interval of first − second, or of second − first, which counts what the second has ``more``."""
    found = apart.test.interval if apart.test else None
    return interval(Interval(-found.high, -found.low, found.level) if found and more else found)


def _wide(records: Records) -> Iterable[Bar]:
    rows = [at_temperature(records, 300, temperature) for temperature in WIDE_TEMPERATURES if temperature >= 8]
    means = [found.summary.mean for found in rows if found.summary]
    spread = max(means) - min(means) if means else 0.0
    found = f"{number(min(means))} to {number(max(means))}, spread {number(spread)}" if means else NOTHING
    yield Bar("P4", f"mean errors over T in 8…40 within {SPREAD}", found, judged(rows, spread <= SPREAD))


def best_temperature(records: Records, width: int, temperatures: Iterable[float]) -> tuple[float, Row] | None:
    """The temperature with the fewest mean errors, among those with the most seeds."""
    rows = {temperature: at_temperature(records, width, temperature) for temperature in temperatures}
    most = max((found.n for found in rows.values()), default=0)
    means = {temperature: found.summary.mean for temperature, found in rows.items() if found.summary and found.n == most}
    return min(((t, rows[t]) for t in means), key=lambda pair: (means[pair[0]], pair[0]), default=None)


def _narrow(records: Records) -> Iterable[Bar]:
    rows = [at_temperature(records, 30, temperature) for temperature in NARROW_TEMPERATURES]
    best = best_temperature(records, 30, NARROW_TEMPERATURES)
    low, high = NARROW_BEST
    found = NOTHING if best is None else f"T = {short(best[0])}"
    yield Bar("P5", f"best T in [{low}, {high}]", found, judged(rows, best is not None and low <= best[0] <= high))
    distant = at_temperature(records, 30, DISTANT)
    apart = compare(distant, best[1]) if best else Comparison((), None, ())
    error, test = apart.standard_error, apart.test
    holds = test is not None and error is not None and test.difference > STANDARD_ERRORS * error
    in_errors = f", {number(test.difference / error)} standard errors" if test and error else ""
    told = NOTHING if test is None else f"{number(test.difference)} more errors than the best{in_errors}"
    yield Bar("P5", f"T = {short(DISTANT)} worse than the best by > {STANDARD_ERRORS} standard errors", told, judged(rows, holds))


def _few(records: Records) -> Iterable[Bar]:
    rows = few_gap(records)
    gap = recovered(alone=rows[0], distilled=rows[1], teacher=rows[2])
    verdict = judged(rows, True)
    yield Bar("P8", "share of the gap at 3 % of the cases (the paper, on speech: 87 %)", share(gap), verdict if "not run" in verdict else "reported")
