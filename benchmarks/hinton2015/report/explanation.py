"""Why a bar of P3 and P3b was missed: each explanation that could be tested, with what its test brought."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.hinton2015.grids import EPOCHS
from benchmarks.hinton2015.plan import WIDE_TEMPERATURES
from benchmarks.hinton2015.recipe import VIEWS
from benchmarks.hinton2015.report.bars import share
from benchmarks.hinton2015.report.notation import number, short
from benchmarks.hinton2015.report.records import Records
from benchmarks.hinton2015.report.rows import Row, at_temperature, by_epochs, recovered, row

PART = 0.88
"""Of the gap: the bar of P3."""


def explanation(records: Records) -> str:
    """A list, each item made of its own rows; those without any are left out."""
    told = [line for line in (make(records) for make in EXPLANATIONS) if line]
    return "\n".join(f"- {line}" for line in told) if told else "Nothing to explain yet."


def _chance(records: Records) -> str:
    alone, soft, teacher = (row(records, arm) for arm in ("alone", "soft", "teacher"))
    if alone.summary is None or soft.summary is None or teacher.summary is None:
        return ""
    wanted = alone.summary.mean - PART * (alone.summary.mean - teacher.summary.mean)
    gap = recovered(alone=alone, distilled=soft, teacher=teacher)
    if gap is None or gap.share is None or gap.interval is None or gap.share >= PART:
        return ""
    holds = "does not hold the bar, so it is not chance"
    if gap.interval.low <= PART <= gap.interval.high:
        holds = f"holds the bar: {soft.n} seeds and 10,000 test pictures cannot tell the two apart"
    return (
        f"**Chance.** {short(100 * PART)} % of the gap would be {number(wanted)} errors; it is {_mean(soft)}, with a standard deviation of "
        f"{number(soft.summary.sd or 0)} between seeds. The interval of the share, {share(gap)}, {holds}."
    )


def _temperature(records: Records) -> str:
    found = [mean.summary.mean for t in WIDE_TEMPERATURES if t >= 8 and (mean := at_temperature(records, 300, t)).summary]
    if len(found) < 2:
        return ""
    return f"**The temperature.** With 300 units, all T from 8 to 40 lie within {number(max(found) - min(found))} errors."


def _time(records: Records) -> str:
    rows = {count: [by_epochs(records, count, length) for length in EPOCHS] for count in (1, VIEWS)}
    if not all(found.n for row in rows.values() for found in row):
        return ""
    (short_one, long_one), (short_views, long_views) = rows.values()
    return (
        f"**Too short a training.** On validation the student of P3 has {_mean(short_one)} errors after {EPOCHS[0]} epochs and "
        f"{_mean(long_one)} after {EPOCHS[1]}. The one that learns from {VIEWS} shifts goes from {_mean(short_views)} to {_mean(long_views)} "
        f"(one seed each, so less than about ten errors mean little)."
    )


def _answers(records: Records) -> str:
    alone, teacher, ten, both = (row(records, arm) for arm in ("alone", "teacher", "soft-ten", "soft-ten-views"))
    gap = recovered(alone=alone, distilled=ten, teacher=teacher)
    if gap is None or both.summary is None or teacher.summary is None:
        return ""
    beside = "fewer" if both.summary.mean < teacher.summary.mean else "no fewer"
    return (
        f"**What the teacher says.** The same network, trained as long, has {_mean(ten)} errors when ten teachers answer for the same pictures "
        f"(of the gap to one teacher {share(gap)}), and {_mean(both)} when they answer for {VIEWS} shifts of each: {beside} than one teacher by "
        f"itself ({_mean(teacher)}). What is left to explain the rest is what one teacher says about pictures that it was trained on."
    )


def _mean(found: Row) -> str:
    assert found.summary is not None
    return number(found.summary.mean)


EXPLANATIONS: tuple[Callable[[Records], str], ...] = (_chance, _temperature, _time, _answers)
