"""What follows for choosing: sentences with the numbers of the records, and where there are none, with the word of the paper alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.hinton2015.grids import ALPHAS, TEMPERATURES, VIEWS
from benchmarks.hinton2015.plan import NARROW_EPOCHS, NARROW_TEMPERATURES, SIZE_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.recipe import STUDENT_EPOCHS
from benchmarks.hinton2015.report.bars import STANDARD_ERRORS, best_temperature, change, fewer, share
from benchmarks.hinton2015.report.notation import listed, number, short
from benchmarks.hinton2015.report.records import Records
from benchmarks.hinton2015.report.rows import Row, at_share, at_temperature, by_views, cell, compare, few_gap, recovered, row
from benchmarks.hinton2015.report.sweeps import WIDTHS, of_size

ON_PAPER = "Not measured here yet: this rests on the paper alone."
PAPER_BEST = (2.5, 4)
"""Section 3, of 30 units a layer; the bar is wider."""
ON_NOTHING = "Not measured here yet, and the paper says nothing about it."


def errors(found: Row) -> str:
    """``76.2``, with the number of seeds where some are missing."""
    if found.summary is None:
        return "(not run)"
    return number(found.summary.mean) + ("" if found.n == found.wanted else f" ({found.count} seeds)")


def narrow(records: Records) -> str:
    """P5."""
    best = best_temperature(records, 30, NARROW_TEMPERATURES)
    if best is None:
        return ON_PAPER
    low, high = PAPER_BEST
    others = [(t, compare(at_temperature(records, 30, t), best[1])) for t in (1.0, 20.0) if t != best[0]]
    told = listed([f"T = {short(t)} {change(apart)}" for t, apart in others if apart.test is not None])
    agrees = "The paper found the same" if low <= best[0] <= high else "The paper found another"
    beside = f"; {told}" if told else ""
    tried = sum(at_temperature(records, 30, t).n == best[1].n for t in NARROW_TEMPERATURES)
    return f"The best of {tried} temperatures was T = {short(best[0])}, with {errors(best[1])} errors{beside}. {agrees}: 2.5 to 4."


def wide(records: Records) -> str:
    """P4."""
    rows = {t: at_temperature(records, 300, t) for t in WIDE_TEMPERATURES}
    found = [f"{errors(own)} at T = {short(t)}" for t, own in rows.items() if own.n]
    return f"Errors: {listed(found)}. The paper calls all T above 8 alike." if found else ON_PAPER


def weights(records: Records) -> str:
    """P12: the weight of the soft targets."""
    rows = {(t, alpha): cell(records, t, alpha) for t in TEMPERATURES for alpha in ALPHAS}
    means = {place: own.summary.mean for place, own in rows.items() if own.summary}
    if not means:
        return ON_PAPER
    best = min(means, key=lambda place: (means[place], place))
    alike = [place for place in means if _alike(rows[place], rows[best])]
    column = listed([f"{errors(rows[best[0], alpha])} at alpha = {short(alpha)}" for alpha in ALPHAS if rows[best[0], alpha].n])
    return (
        f"The best of {len(means)} cells is T = {short(best[0])} with alpha = {short(best[1])}. At that temperature the validation errors are "
        f"{column}. Of the {len(means)} cells {len(alike)} lie within {STANDARD_ERRORS} standard errors of the best: {_places(alike)}."
    )


def _alike(found: Row, best: Row) -> bool:
    apart = compare(found, best)
    if apart.test is None:
        return False
    return apart.test.difference <= STANDARD_ERRORS * (apart.standard_error or 0.0)


def _places(alike: list[tuple[float, float]]) -> str:
    by_alpha: Mapping[float, list[str]] = {alpha: [short(t) for t, own in alike if own == alpha] for alpha in ALPHAS}
    return "; ".join(f"alpha = {short(alpha)} with T = {listed(found)}" for alpha, found in by_alpha.items() if found)


def views(records: Records) -> str:
    """P12: the number of views."""
    rows = {count: by_views(records, count) for count in VIEWS}
    found = [f"{errors(own)} with {count}" for count, own in rows.items() if own.n]
    return f"Validation errors: {listed(found)}." if found else ON_NOTHING


def shifts(records: Records) -> str:
    """P2b and P3b: what shifts bring without a teacher, and what a teacher brings then."""
    alone, jitter, soft, both = (row(records, arm) for arm in ("alone", "alone-jitter", "soft", "soft-views"))
    if not (alone.n and jitter.n):
        return ON_NOTHING
    told = f"Without a teacher, shifts take the student from {errors(alone)} errors to {errors(jitter)}."
    if soft.n:
        told += f" Soft targets without shifts: {errors(soft)}."
    if both.n:
        told += f" Soft targets of {short(VIEWS[-1])} recorded shifts: {errors(both)}, which is {fewer(compare(jitter, both), 'shifts alone')}."
    return told


def ensemble(records: Records) -> str:
    """P3b: ten teachers."""
    one, ten, soft, by_ten = (row(records, arm) for arm in ("teacher", "ten", "soft", "soft-ten"))
    if not by_ten.n:
        return "Not measured here yet: this rests on the paper alone (section 4, speech)."
    return (
        f"One teacher makes {errors(one)} errors, ten together {errors(ten)}; their students {errors(soft)} and {errors(by_ten)}, "
        f"{fewer(compare(soft, by_ten), 'with one teacher')}."
    )


def sizes(records: Records) -> str:
    """P12: the size of the student."""
    told = []
    for width in WIDTHS:
        alone, *distilled = of_size(records, width)
        found = [f"{errors(own)} at T = {short(t)}" for own, t in zip(distilled, SIZE_TEMPERATURES, strict=True) if own.n]
        if alone.n and found:
            told.append(f"{width} units: {errors(alone)} alone, {listed(found)}")
    lengths = f"({NARROW_EPOCHS} epochs, {STUDENT_EPOCHS} with {WIDTHS[-1]} units)"
    return f"Errors {lengths}: " + "; ".join(told) + "." if told else ON_PAPER


def cases(records: Records) -> str:
    """P8: few cases."""
    hard, soft, whole = few_gap(records)
    gap = recovered(alone=hard, distilled=soft, teacher=whole)
    if gap is None:
        return "Not measured here yet: this rests on the paper alone, where soft targets recover 87 % of the gap on speech."
    return (
        f"On 3 % of the pictures, {errors(hard)} errors with labels (stopped early) and {errors(soft)} with soft targets (not stopped), beside "
        f"{errors(whole)} with all labels. Share of the gap: {share(gap)}; the paper's is 87 %, on speech."
    )


def labels(records: Records) -> str:
    """P8: few labels."""
    found = {f"{share:g}": at_share(records, "few-labels", share) for share in (0.01, 0.1)}
    whole = at_share(records, "few-soft", 1.0)
    told = [f"{errors(own)} errors with {short(100 * float(share))} % of the labels" for share, own in found.items() if own.n]
    return f"With soft targets of all pictures, {listed(told)}; {errors(whole)} with all of them." if told else ON_NOTHING


FIELDS: Mapping[str, Callable[[Records], str]] = {
    "narrow": narrow,
    "wide": wide,
    "weights": weights,
    "views": views,
    "shifts": shifts,
    "ensemble": ensemble,
    "sizes": sizes,
    "cases": cases,
    "labels": labels,
}
"""The fields of the template choosing.md."""
