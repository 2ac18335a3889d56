"""What was tried on validation before the recipes were frozen, and what was chosen."""

from __future__ import annotations

from benchmarks.hinton2015.arms import CONTROLS
from benchmarks.hinton2015.few import WARMUPS, soft
from benchmarks.hinton2015.recipe import FEW_WARMUPS, INITIAL_STD, RATES, REGULARISED, TEACHER_EPOCHS, TEACHER_RATE, TEMPERATURE
from benchmarks.hinton2015.report.notation import NOTHING, listed, number, short, table
from benchmarks.hinton2015.report.records import Record, Records, What
from benchmarks.hinton2015.selection import FEW, FEW_RATES

ARMS = (*CONTROLS, "soft", "soft-views")


def teachers(selection: Records) -> str:
    """Each trial of a teacher; the chosen one in bold."""
    found = selection.where("teacher")
    runs: list[Record | What] = [*found.finished, *found.diverged]
    rows = []
    for run in sorted(runs, key=_effort):
        given = _what(run).settings
        dropout = f"{short(given.get('input_dropout') or 0)}, {short(given.get('hidden_dropout') or 0)}"
        std = given.get("std")
        cells = (short(given.get("epochs") or 0), dropout, short(given.get("rate") or 0), short(std) if std else "He et al.", *_numbers(run))
        rows.append(tuple(f"**{cell}**" for cell in cells) if frozen_teacher(_what(run)) else cells)
    return table(("epochs", "dropout of inputs, of hidden units", "learning rate", "initial sd", "errors of 10,000", "NLL"), rows)


def frozen_teacher(what: What) -> bool:
    """Whether a trial is what the recipe says."""
    frozen = {
        "epochs": TEACHER_EPOCHS,
        "rate": TEACHER_RATE,
        "std": INITIAL_STD,
        "input_dropout": REGULARISED["input_dropout"],
        "hidden_dropout": REGULARISED["hidden_dropout"],
    }
    return all(what.settings.get(name) == value for name, value in frozen.items())


def teacher_in_words(selection: Records) -> str:
    """The chosen one beside the best of its length."""
    trials = [record for record in selection.where("teacher").finished if record.what.settings.get("epochs") == TEACHER_EPOCHS]
    chosen = [record for record in trials if frozen_teacher(record.what)]
    if not chosen:
        return "The chosen one has no record yet."
    ours, best = chosen[0], min(trials, key=lambda record: record.errors)
    told = f"The chosen one (bold) has {ours.errors} errors and an NLL of {number(ours.nll, 4)}"
    if best.errors == ours.errors:
        return f"{told}; no other of its length has fewer errors."
    return f"{told}; the fewest errors of its length are {best.errors}, with an NLL of {number(best.nll, 4)}."


def students(selection: Records) -> str:
    """Errors of each arm by learning rate; the chosen one in bold."""
    rates = selection_rates(selection)
    rows = [(f"`{arm}`", *(_cell(selection, arm, rate) for rate in rates)) for arm in ARMS]
    return table(("", *(f"rate {short(rate)}" for rate in rates)), rows)


def few(selection: Records) -> str:
    """Errors of the arms of P8 by warm-up and learning rate; the chosen cell in bold."""
    rates = sorted({rate for tried in FEW_RATES.values() for rate in tried})
    rows = [
        (f"`{arm}`", "one epoch" if steps is None else f"{steps} steps", *(_few_cell(selection, arm, warmup, rate) for rate in rates))
        for arm in FEW_RATES
        for warmup, steps in WARMUPS.items()
    ]
    return table(("", "warm-up", *(f"rate {short(rate)}" for rate in rates)), rows)


def _few_cell(selection: Records, arm: str, warmup: str, rate: float) -> str:
    given = soft({"fraction": FEW}, 0, rate, warmup)["training"]["warmup"]
    return _cell(selection, arm, rate, chosen=FEW_WARMUPS[arm] == warmup, warmup=given)


def selection_rates(selection: Records) -> list[float]:
    """The learning rates that students had."""
    every: list[Record | What] = [*selection.finished, *selection.diverged]
    return sorted({rate for run in every if _what(run).arm in ARMS and (rate := _what(run).settings.get("rate")) is not None})


def edges(selection: Records) -> str:
    """Which arms chose the lowest or the highest rate of those that were tried: a better one may lie beyond."""
    rates = selection_rates(selection)
    if not rates:
        return ""
    found = [f"`{arm}`" for arm in ARMS if RATES[arm] in (rates[0], rates[-1])]
    if not found:
        return ""
    return f"For {listed(found)} the chosen rate is the lowest or the highest of those tried, so a better one may lie beyond."


def diverged(selection: Records) -> str:
    """Which rates were too high for soft targets, beside the one that was best on labels."""
    found = sorted((what.arm, what.settings.get("rate") or 0) for what in selection.diverged if what.arm in ("soft", "soft-views"))
    if not found:
        return "Of the trials here none diverged."
    told = listed([f"`{arm}` at {short(rate)}" for arm, rate in found])
    return f"The student on labels chose {short(RATES['alone'])} here; at T = {short(TEMPERATURE)} these trials diverged: {told}."


def _cell(selection: Records, arm: str, rate: float, *, chosen: bool = True, **settings: float) -> str:
    found = selection.where(arm, rate=rate, **settings)
    text = "diverged" if found.diverged else str(found.finished[0].errors) if found.finished else NOTHING
    return f"**{text}**" if chosen and RATES[arm] == rate and text != NOTHING else text


def _numbers(run: Record | What) -> tuple[str, str]:
    return (str(run.errors), number(run.nll, 4)) if isinstance(run, Record) else ("diverged", NOTHING)


def _what(run: Record | What) -> What:
    return run if isinstance(run, What) else run.what


def _effort(run: Record | What) -> tuple[float, int, str]:
    """Short trials before long ones, and the worst first: each trial pointed to the next."""
    return _what(run).settings.get("epochs") or 0, -run.errors if isinstance(run, Record) else -10_000, _what(run).name
