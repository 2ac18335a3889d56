"""What came out: the errors of teacher and students with their intervals, the share of the gap, and what each network costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from darkknowledge.analysis import (
    Cost,
    GapRecovered,
    Interval,
    Latency,
    gap_recovered,
    paired_test,
    share_interval,
    summarise,
)
from darkknowledge.report.content import Block, Figures, Note, Section, Table
from darkknowledge.report.plot import RIGHT, Axis, Plot, linear
from darkknowledge.report.story import Network, Story
from darkknowledge.report.text import NOTHING, number, plain, span, spread

RUNTIMES = {"pytorch": "PyTorch", "onnxruntime": "ONNX Runtime"}

Arm = tuple[str, str, tuple[Network, ...]]


def outcome(story: Story) -> Section:
    """The first section."""
    if not story.arms:
        reasons = [f"{kind}: {story.absent(kind)}" for kind in ("teacher", "alone", "distilled")]
        return Section("outcome", "What came out", blocks=[Note(f"n/a. {'; '.join(reasons)}.")])
    blocks: list[Block] = [Figures([_errors(story)], _how_measured(story)), Table("Every network on the test split", *_table(story))]
    absent = [f"{kind}: n/a, {story.absent(kind)}." for kind in ("teacher", "alone", "distilled") if story.answers(kind) is None]
    return Section("outcome", "What came out", _headline(story), [*blocks, *map(Note, absent)])


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


def gap_of(story: Story) -> GapRecovered | None:
    """The share of the gap, where teacher, student alone and student distilled were measured with the same seeds."""
    arms = {kind: networks for kind, _, networks in story.arms}
    if len(arms) < 3 or not paired(story):
        return None
    errors = {kind: [float(network.answers.errors) for network in networks if network.answers] for kind, networks in arms.items()}
    return gap_recovered(student_alone=errors["alone"], distilled=errors["distilled"], teacher=errors["teacher"])


def paired(story: Story) -> bool:
    """Whether the students alone and those distilled have the same seeds, in the same order."""
    seeds = {kind: [network.seed for network in networks] for kind, _, networks in story.arms}
    return seeds.get("alone") == seeds.get("distilled")


def _headline(story: Story) -> str:
    arms = {kind: error_rates(networks) for kind, _, networks in story.arms}
    if not {"alone", "distilled"} <= set(arms):
        return ""
    means = {kind: sum(rates) / len(rates) for kind, rates in arms.items()}
    verb = "fell" if means["distilled"] < means["alone"] else "rose" if means["distilled"] > means["alone"] else "stayed"
    teacher = f"; the teacher’s is {means['teacher']:.2f} %" if "teacher" in means else ""
    sentence = f"The student’s error {verb} from {means['alone']:.2f} % alone to {means['distilled']:.2f} % distilled{teacher}."
    return " ".join([sentence, *_gain(arms["alone"], arms["distilled"], story)])


def _gain(alone: Sequence[float], distilled: Sequence[float], story: Story) -> list[str]:
    if not paired(story):
        return ["Their seeds are not the same, so the difference is not tested."]
    test = paired_test(alone, distilled)
    seeds = f"{test.n} seed{'s'[: test.n != 1]}"
    if test.interval is None:
        sure = f"That is {number(test.difference, 2)} points over {seeds}, too few to tell it from luck."
    else:
        sure = (
            f"Distillation saved {number(test.difference, 2)} points (95 % interval {span(test.interval.low, test.interval.high)}, "
            f"paired t over {seeds}, p = {test.p_value:.2g})" + (", which may be luck." if test.interval.low <= 0 <= test.interval.high else ".")
        )
    gap = gap_of(story)
    if gap is None:
        return [sure]
    if gap.share is None:
        return [sure, "The share of the gap that was recovered is n/a: the gap between student and teacher may be nothing."]
    ends = f" (95 % interval {span(100 * gap.interval.low, 100 * gap.interval.high, 0)} %)" if gap.interval else ""
    return [sure, f"That is {number(100 * gap.share, 0)} % of the gap to the teacher{ends}."]


def _how_measured(story: Story) -> str:
    n = max(len(networks) for _, _, networks in story.arms)
    examples = next(networks[0].answers.labelled for _, _, networks in story.arms if networks[0].answers)
    seeds = f"Small marks are seeds, the large mark is their mean ({n} seed{'s'[: n != 1]}). " if n > 1 else ""
    return (
        f"Error on the {examples:,} test pictures. {seeds}Lines are 95 % intervals: over seeds (Student’s t) where there are several, "
        "over the pictures (Wilson) for a single network."
    )


def _errors(story: Story) -> Markup:
    intervals = [error_interval(networks) for _, _, networks in story.arms]
    values = [value for _, _, networks in story.arms for value in error_rates(networks)]
    ends = [end for interval in intervals if interval for end in (interval.low, interval.high)]
    rows = len(story.arms)
    words = "; ".join(f"{name}: {', '.join(f'{rate:.2f} %' for rate in error_rates(networks))}" for _, name, networks in story.arms)
    across = linear("error on test, %", [*values, *ends], zero=True, ticks=6)
    plot = Plot("", f"Error on test. {words}", across, Axis("", 0, rows, []), 560, 62 + 46 * rows, 130)
    for row, ((kind, name, networks), interval) in enumerate(zip(story.arms, intervals, strict=True)):
        draw_interval(plot, rows - row - 0.5, kind, name, error_rates(networks), interval)
    return plot.svg()


def draw_interval(plot: Plot, height: float, kind: str, name: str, rates: Sequence[float], interval: Interval | None) -> None:
    """A row of a forest: the interval, the seeds, the mean, and both in words."""
    mean = sum(rates) / len(rates)
    if interval is not None:
        plot.rule((interval.low, height), (interval.high, height), f"interval {kind}")
    for rate in rates if len(rates) > 1 else ():
        plot.point(rate, height, f"{kind} seed", size=3)
    plot.point(mean, height, kind, size=6)
    plot.text(plot.x.low, height, name, anchor="end", shift=(-10, 4))
    beside = plot.at(mean, height)[0] > plot.width - RIGHT - 60
    plot.text(mean, height, f"{mean:.2f} %", anchor="end" if beside else "start", shift=(0, -11), kind="value")


Row = tuple[str, Callable[[Arm], str]]


def _table(story: Story) -> tuple[list[str], list[list[str]]]:
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
    return ["", *(name for _, name, _ in arms)], [[label, *(cell(arm) for arm in arms)] for label, cell in rows]


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
