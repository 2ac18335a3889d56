"""What is filled into the templates of the pages."""

from __future__ import annotations

from pathlib import Path

from benchmarks.hinton2015 import recipe
from benchmarks.hinton2015.few import SHARES
from benchmarks.hinton2015.gradients_section import section
from benchmarks.hinton2015.grids import ALPHAS, EPOCHS, GRID_EPOCHS, TEMPERATURES, VIEWS, VIEWS_EPOCHS
from benchmarks.hinton2015.plan import NARROW_EPOCHS, NARROW_TEMPERATURES, SIZE_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.report import chosen, sweeps, tables
from benchmarks.hinton2015.report.bars import bars, share
from benchmarks.hinton2015.report.explanation import explanation
from benchmarks.hinton2015.report.notation import listed, number, short
from benchmarks.hinton2015.report.provenance import made_with
from benchmarks.hinton2015.report.records import Records, paired
from benchmarks.hinton2015.report.rows import ARMS, Row, alone_of_width, at_share, at_temperature, by_epochs, by_views, cell, recovered, row
from darkknowledge.analysis import summarise

NOT_RUN = "Not run yet."


def page(records: Records, selection: Records, results: Path) -> dict[str, str]:
    """The fields of hinton2015.md."""
    found = {
        "summary": summary(records),
        "headline": tables.headline(records),
        "bars": tables.bar_table(records),
        "explanation": explanation(records),
        "seeds": tables.seed_by_seed(records),
        "temperatures": sweeps.temperatures(records) if _any(records, "temperature") else NOT_RUN,
        "few": sweeps.few(records) if _any(records, "few-hard", "few-soft", "few-labels") else NOT_RUN,
        "few_shares": sweeps.shares_by_seed(records),
        "grid": sweeps.grid(records) if _any(records, "grid") else NOT_RUN,
        "views": sweeps.views(records) if _any(records, "views") else NOT_RUN,
        "epochs": sweeps.epochs(records) if _any(records, "epochs") else NOT_RUN,
        "sizes": sweeps.sizes(records),
        "gradients": gradients(results),
        "selection_teachers": chosen.teachers(selection),
        "selection_teacher": chosen.teacher_in_words(selection),
        "selection_students": chosen.students(selection),
        "selection_edges": chosen.edges(selection),
        "selection_few": chosen.few(selection),
        "minutes": tables.minutes(records, selection),
        "made_with": made_with(record.what for record in (*records.finished, *selection.finished)),
        "missing": missing(records),
    }
    return found | frozen()


def frozen() -> dict[str, str]:
    """The recipe's numbers."""
    numbers = {
        "initial_std": recipe.INITIAL_STD,
        "teacher_epochs": recipe.TEACHER_EPOCHS,
        "teacher_rate": recipe.TEACHER_RATE,
        "student_epochs": recipe.STUDENT_EPOCHS,
        "narrow_epochs": NARROW_EPOCHS,
        "grid_epochs": GRID_EPOCHS,
        "views_epochs": VIEWS_EPOCHS,
        "smoothing": recipe.SMOOTHING,
        "temperature": recipe.TEMPERATURE,
        "alpha": recipe.ALPHA,
        "recorded_views": recipe.VIEWS,
        **recipe.REGULARISED,
    }
    rates = ", ".join(f"`{arm}` {short(rate)}" for arm, rate in recipe.RATES.items())
    return {name: short(value) for name, value in numbers.items()} | {"rates": rates}


def _any(records: Records, *arms: str) -> bool:
    return any(found.finished or found.diverged for found in map(records.where, arms))


def summary(records: Records) -> str:
    """The headline in a sentence, and which bars are met."""
    verdicts: dict[str, list[str]] = {"met": [], "missed": []}
    to_come: dict[str, None] = {}
    for bar in bars(records):
        for word, found in verdicts.items():
            if bar.verdict.startswith(word):
                found.append(f"{bar.row} ({bar.wants})")
        if bar.verdict.startswith("not run"):
            to_come[bar.row] = None
    told = [f"**{word.capitalize()}:** {'; '.join(found)}." for word, found in verdicts.items() if found]
    if to_come:
        told.append(f"**Not all seeds have run:** {listed(list(to_come))}.")
    return "\n\n".join([gap(records), *told])


def gap(records: Records) -> str:
    """Alone, distilled and teacher over the seeds that all three have, and the share of the gap."""
    arms = ("alone", "soft", "teacher")
    alone, soft, teacher = (row(records, arm) for arm in arms)
    recovery = recovered(alone=alone, distilled=soft, teacher=teacher)
    if recovery is None:
        return "Teacher, student alone and distilled student have no seed in common yet."
    runs = paired(alone.runs, soft.runs, teacher.runs)
    means = [summarise([record.errors for record in column]).mean for column in zip(*runs, strict=True)]
    own, distilled, taught = (f"{number(mean)} ({ARMS[arm].paper})" for arm, mean in zip(arms, means, strict=True))
    return (
        f"Test errors over {len(runs)} seeds, with the paper's in brackets: the student alone {own}, distilled at T = {short(recipe.TEMPERATURE)} "
        f"{distilled}, its teacher {taught}. Share of the gap recovered: {share(recovery)}; the paper's is 91 %."
    )


def missing(records: Records) -> str:
    """Each experiment that lacks a seed."""
    rows = {
        **{f"{arm.row} `{name}`": [row(records, name)] for name, arm in ARMS.items()},
        "P4": [at_temperature(records, 300, t) for t in WIDE_TEMPERATURES],
        "P5": [at_temperature(records, 30, t) for t in NARROW_TEMPERATURES],
        "P8 `few-hard`": [at_share(records, "few-hard", share) for share in SHARES],
        "P8 `few-soft`": [at_share(records, "few-soft", share) for share in SHARES],
        "P8 `few-labels`": [at_share(records, "few-labels", share) for share in SHARES[:-1]],
        "P12, sizes": [
            *(alone_of_width(records, width) for width in sweeps.WIDTHS[:-1]),
            *(at_temperature(records, 100, t) for t in SIZE_TEMPERATURES),
        ],
        "P12, grid": [cell(records, t, alpha) for t in TEMPERATURES for alpha in ALPHAS],
        "P12, views": [by_views(records, count) for count in VIEWS],
        "P12, epochs": [by_epochs(records, count, length) for count in (1, recipe.VIEWS) for length in EPOCHS],
    }
    found = [f"- {name}: {_lacking(own)}" for name, own in rows.items() if not all(part.n == part.wanted for part in own)]
    return "\n".join(["These runs are still to come, or diverged:\n", *found]) if found else "No run of the plan is missing."


def _lacking(rows: list[Row]) -> str:
    """``14 of 35 runs``."""
    diverged = sum(len(found.runs.diverged) for found in rows)
    told = f"{sum(found.n for found in rows)} of {sum(found.wanted for found in rows)} runs"
    return told + (f", {diverged} diverged" if diverged else "")


def gradients(results: Path) -> str:
    """P11, which has a record and a program of its own."""
    found = section(results)
    return f"{found.strip()}\n\n" if found.strip() else ""
