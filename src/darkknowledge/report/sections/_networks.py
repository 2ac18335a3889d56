"""What is measured of the networks of a story: errors with their intervals, calibration, agreement, costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from darkknowledge.analysis import Cost, Interval, Latency, share_interval, summarise
from darkknowledge.report.content import Table
from darkknowledge.report.story import Network, Story
from darkknowledge.report.text import NOTHING, plain, span, spread

RUNTIMES = {"pytorch": "PyTorch", "onnxruntime": "ONNX Runtime"}

Arm = tuple[str, str, tuple[Network, ...]]
Row = tuple[str, Callable[[Arm], str]]


def error_rates(networks: Sequence[Network]) -> list[float]:
    """Errors on test in per cent, one for each measured network."""
    return [100 * network.answers.errors / max(network.answers.labelled, 1) for network in networks if network.answers]


def error_interval(networks: Sequence[Network]) -> Interval | None:
    """Over seeds the t interval of the mean; of one network, or of seeds that all agree, Wilson's over the examples. In per cent."""
    rates = error_rates(networks)
    found = summarise(rates).interval
    if found is not None:
        return Interval(max(found.low, 0.0), min(found.high, 100.0), found.level)
    answers = next(network.answers for network in networks if network.answers)
    one = share_interval(answers.errors, answers.labelled)
    return Interval(100 * one.low, 100 * one.high, one.level)


def networks_table(story: Story) -> Table:
    """A row for each measure, a column for teacher, student alone and student distilled."""
    arms = story.arms
    rows: list[Row] = [
        ("error", lambda arm: spread(*_mean_sd(error_rates(arm[2])), unit=" %")),
        ("95 % interval", lambda arm: _ends(error_interval(arm[2]))),
        ("errors", lambda arm: _errors_of([one.answers.errors for one in arm[2] if one.answers])),
        ("negative log-likelihood, nats", lambda arm: spread(*_mean_sd([_calibration(one)[0] for one in arm[2]]), digits=4)),
        ("calibration error (ECE)", lambda arm: spread(*_mean_sd([100 * _calibration(one)[1] for one in arm[2]]), unit=" %")),
        ("agrees with the teacher", lambda arm: _agreement(story, arm)),
        ("parameters", lambda arm: _of_cost(arm, lambda cost: f"{cost.parameters:,}")),
        ("multiply-adds for a picture", lambda arm: _of_cost(arm, lambda cost: f"{cost.macs:,}")),
        ("file of weights", lambda arm: _of_cost(arm, lambda cost: file_size(cost.file_bytes))),
        *((f"latency, batch of {size}, {RUNTIMES.get(runtime, runtime)}", _latency_row(size, runtime)) for size, runtime in _timed(arms)),
        ("networks measured", lambda arm: f"{len(arm[2])}"),
    ]
    head = ["", *(name for _, name, _ in arms)]
    return Table("Every network on the test split", head, [[label, *(cell(arm) for arm in arms)] for label, cell in rows])


def _errors_of(errors: Sequence[int]) -> str:
    return f"{errors[0]:,}" if len(errors) == 1 else spread(*_mean_sd(errors), digits=1)


def _mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    found = summarise(values)
    return found.mean, found.sd


def _ends(interval: Interval | None) -> str:
    return NOTHING if interval is None else span(interval.low, interval.high, unit=" %")


def _calibration(network: Network) -> tuple[float, float]:
    assert network.answers is not None
    found = network.answers.calibration
    return found.nll, found.ece


def _agreement(story: Story, arm: Arm) -> str:
    teacher = story.answers("teacher")
    if teacher is None or arm[0] == "teacher":
        return NOTHING if teacher is None else "–"
    answers = [network.answers for network in arm[2] if network.answers]
    values = [100 * (one.first == teacher.first).double().mean().item() for one in answers]
    return spread(*_mean_sd(values), unit=" %")


def cost_of(arm: Arm) -> Cost | None:
    """What a network of the arm costs, as one of them was measured."""
    return next((network.cost for network in arm[2] if network.cost), None)


def _of_cost(arm: Arm, words: Callable[[Cost], str]) -> str:
    cost = cost_of(arm)
    return NOTHING if cost is None else words(cost)


def file_size(size: int | None) -> str:
    """Bytes as people read them."""
    if size is None:
        return NOTHING
    return f"{size / 1e6:,.2f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def _timed(arms: Sequence[Arm]) -> list[tuple[int, str]]:
    """Batch sizes and runtimes of which any network's time is known."""
    return sorted({(one.batch_size, one.runtime) for arm in arms if (cost := cost_of(arm)) for one in cost.latency})


def _latency_row(size: int, runtime: str) -> Callable[[Arm], str]:
    def cell(cost: Cost) -> str:
        return next((told(one) for one in cost.latency if (one.batch_size, one.runtime) == (size, runtime)), NOTHING)

    return lambda arm: _of_cost(arm, cell)


def told(latency: Latency) -> str:
    """Median and quartiles in milliseconds."""
    median, first, third = (plain(1e3 * seconds) for seconds in (latency.median, latency.first_quartile, latency.third_quartile))
    return f"{median} ms ({first} to {third})"
