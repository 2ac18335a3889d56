"""What came out: the errors of teacher and students with their intervals, the share of the gap, and what each network costs."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from darkknowledge.analysis import GapRecovered, Interval, PairedTest, gap_recovered, mcnemar, paired_test
from darkknowledge.report.content import Block, Figures, Note, Section
from darkknowledge.report.plot import RIGHT, Axis, Plot, linear
from darkknowledge.report.sections._networks import error_interval, error_rates, networks_table
from darkknowledge.report.story import Story
from darkknowledge.report.text import number, span


def outcome(story: Story) -> Section:
    """The first section."""
    if not story.arms:
        reasons = [f"{kind}: {story.absent(kind)}" for kind in ("teacher", "alone", "distilled")]
        return Section("outcome", "What came out", blocks=[Note(f"n/a. {'; '.join(reasons)}.")])
    blocks: list[Block] = [Figures([_errors(story)], _how_measured(story)), networks_table(story)]
    absent = [f"{kind}: n/a, {story.absent(kind)}." for kind in ("teacher", "alone", "distilled") if story.answers(kind) is None]
    return Section("outcome", "What came out", _headline(story), [*blocks, *map(Note, absent)])


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
    sure = _sure(test, story)
    gap = gap_of(story)
    if gap is None:
        return [sure]
    if gap.share is None:
        return [sure, f"The share of the gap that was recovered is n/a: {gap.why_not}."]
    ends = f" (95 % interval {span(100 * gap.interval.low, 100 * gap.interval.high, 0)} %)" if gap.interval else ""
    return [sure, f"That is {number(100 * gap.share, 0)} % of the gap to the teacher{ends}."]


def _sure(test: PairedTest, story: Story) -> str:
    """How much was saved, and how sure that is."""
    points = number(test.difference, 2)
    if test.n == 1:
        return f"That is {points} points with one seed{_on_these_pictures(story)}. How another seed would do is not known."
    if test.interval is None:
        return f"That is {points} points with each of {test.n} seeds, which says nothing of the spread."
    low, high = test.interval.low, test.interval.high
    luck = ", which may be luck." if low <= 0 <= high else "."
    return f"Distillation saved {points} points (95 % interval {span(low, high)}, paired t over {test.n} seeds, p = {test.p_value:.2g}){luck}"


def _on_these_pictures(story: Story) -> str:
    """What a single pair of students says: the pictures that one has right and the other wrong."""
    alone, distilled = story.answers("alone"), story.answers("distilled")
    if alone is None or distilled is None:
        return ""
    test = mcnemar(distilled.right, alone.right)
    return f" ({test.only_first:,} pictures won and {test.only_second:,} lost: McNemar’s exact test, p = {test.p_value:.2g})"


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
