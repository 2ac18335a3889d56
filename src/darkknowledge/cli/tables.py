"""Results on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from darkknowledge.analysis import Cost, Latency, share_interval, summarise
from darkknowledge.pipeline._measuring import Evaluation
from darkknowledge.pipeline._training import Trained
from darkknowledge.pipeline.run import Comparison

RUNTIMES = {"pytorch": "PyTorch", "onnxruntime": "ONNX Runtime"}


def show_trained(trained: Trained, console: Console) -> None:
    """The validation scores and where the run lies."""
    if trained.last is not None and trained.best is not None:
        console.print(f"validation accuracy {trained.last.accuracy:.2%} after the last epoch, {trained.best.accuracy:.2%} at best", highlight=False)
    console.print(f"run: {trained.path}", highlight=False, markup=False, soft_wrap=True)


def show_evaluations(evaluations: Sequence[Evaluation], console: Console) -> None:
    """A column a run; then what a run costs beside its teacher."""
    table = Table("", *(evaluation.name for evaluation in evaluations), title=f"{evaluations[0].split} split")
    for label, cells in _rows([[evaluation] for evaluation in evaluations]):
        table.add_row(label, *cells)
    console.print(table)
    for evaluation in evaluations:
        if evaluation.cost and evaluation.teacher_cost:
            table = Table("", evaluation.name, "its teacher", title="cost")
            for label, cells in _cost_rows([evaluation.cost, evaluation.teacher_cost]):
                table.add_row(label, *cells)
            console.print(table)


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Teacher, student alone, student distilled; then what distillation brought, and where the runs lie."""
    n = len(comparison.alone)
    table = Table("", "teacher", "student alone", "student distilled", title=f"test split, students: mean ± sd over {n} seed{'s'[: n != 1]}")
    for label, cells in _rows([[comparison.teacher], comparison.alone, comparison.distilled]):
        table.add_row(label, *cells)
    console.print(table)
    for line in describe_gain(comparison):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"run: {comparison.path}", highlight=False, markup=False, soft_wrap=True)


def describe_gain(comparison: Comparison) -> list[str]:
    """The difference between the arms, pair by pair, and the share of the gap that was recovered."""
    gain, gap = comparison.gain, comparison.gap
    interval = f" (95 % interval {gain.interval.low:.1f} to {gain.interval.high:.1f}, paired t, p = {gain.p_value:.2g})" if gain.interval else ""
    tests = ", ".join(f"+{test.only_first} −{test.only_second} (p = {test.p_value:.2g})" for test in comparison.tests)
    if gap.share is None:
        share = f"n/a: {gap.why_not}"
    else:
        share = f"{gap.share:.0%}" + (f" (95 % interval {gap.interval.low:.0%} to {gap.interval.high:.0%})" if gap.interval else "")
    return [
        f"errors saved by distillation: {gain.difference:.1f} per seed{interval}",
        f"McNemar for each seed, examples won and lost: {tests}",
        f"share of the gap to the teacher recovered: {share}",
    ]


def _rows(arms: Sequence[Sequence[Evaluation]]) -> list[tuple[str, list[str]]]:
    """The measures, a row each, with a cell for each arm, whose evaluations differ by seed alone."""
    costs = [next((evaluation.cost for evaluation in arm if evaluation.cost), None) for arm in arms]
    rows = [
        ("errors", [f"{_spread([evaluation.accuracy.errors for evaluation in arm], '.1f')} of {arm[0].accuracy.examples:,}" for arm in arms]),
        ("error", [_spread([100 * (1 - evaluation.accuracy.top1) for evaluation in arm], ".2f", " %") for arm in arms]),
        ("95 % interval", [_interval([100 * (1 - evaluation.accuracy.top1) for evaluation in arm], arm[0].accuracy.examples) for arm in arms]),
        ("NLL", [_spread([evaluation.calibration.nll for evaluation in arm], ".4f") for arm in arms]),
        ("ECE", [_spread([100 * evaluation.calibration.ece for evaluation in arm], ".2f", " %") for arm in arms]),
        ("agrees with teacher", [_agreement(arm) for arm in arms]),
    ]
    return rows + _cost_rows([cost for cost in costs if cost]) if all(costs) else rows


def _cost_rows(costs: Sequence[Cost]) -> list[tuple[str, list[str]]]:
    """Sizes, work, and the times that were measured of every one of them."""
    rows = [
        ("parameters", [f"{cost.parameters:,}" for cost in costs]),
        ("MACs", [f"{cost.macs:,}" for cost in costs]),
        ("file", [f"{cost.file_bytes / 1e6:.2f} MB" if cost.file_bytes else "n/a" for cost in costs]),
    ]
    times = [{(timing.runtime, timing.batch_size): timing for timing in cost.latency} for cost in costs]
    for (runtime, size), timing in times[0].items():
        if all((runtime, size) in each for each in times):
            label = f"latency, {RUNTIMES[runtime]}, batch {size} ({timing.threads} thread{'s'[: timing.threads != 1]})"
            rows.append((label, [_time(each[runtime, size]) for each in times]))
    return rows


def _spread(values: Sequence[float], form: str, unit: str = "") -> str:
    summary = summarise(values)
    if summary.sd is None:
        return f"{values[0]}{unit}" if isinstance(values[0], int) else f"{summary.mean:{form}}{unit}"
    return f"{summary.mean:{form}} ± {summary.sd:{form}}{unit}"


def _interval(rates: Sequence[float], examples: int) -> str:
    """Over seeds the t interval; for a single network, or seeds that all agree, Wilson's interval over the examples, in per cent."""
    summary = summarise(rates)
    if summary.interval is not None:
        return f"{max(summary.interval.low, 0):.2f} to {summary.interval.high:.2f} %"
    found = share_interval(round(rates[0] / 100 * examples), examples)
    return f"{100 * found.low:.2f} to {100 * found.high:.2f} %"


def _agreement(arm: Sequence[Evaluation]) -> str:
    values = [100 * evaluation.fidelity.overall.at_1 for evaluation in arm if evaluation.fidelity]
    return _spread(values, ".2f", " %") if values else "–"


def _time(latency: Latency) -> str:
    """Median and quartiles."""
    median, first, third = (_digits(1e3 * seconds) for seconds in (latency.median, latency.first_quartile, latency.third_quartile))
    return f"{median} ms ({first}–{third})"


def _digits(number: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
