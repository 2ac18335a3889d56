"""The rows of the experiments: what belongs to each, and what comes out of it over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.hinton2015 import grids
from benchmarks.hinton2015.few import SHARES
from benchmarks.hinton2015.recipe import ALPHA, SEEDS, TEMPERATURE
from benchmarks.hinton2015.report.records import Record, Records, paired
from darkknowledge.analysis import GapRecovered, McNemar, PairedTest, Summary, gap_recovered, mcnemar, paired_test, summarise

MINUTE = 60


@dataclass(frozen=True, slots=True)
class Arm:
    """``paper`` is the paper's number of test errors, where it gives one."""

    row: str
    about: str
    paper: int | None = None


ARMS: Mapping[str, Arm] = {
    "teacher": Arm("P1", "teacher 784-1200-1200-10: dropout, bounded weights, shifts of at most 2 pixels", 67),
    "ten": Arm("P3b", "ten such teachers together"),
    "alone": Arm("P2", "student 784-800-800-10 on labels, no regularisation", 146),
    "alone-jitter": Arm("P2b", "the same with shifts"),
    "alone-dropout": Arm("P2b", "the same with dropout and bounded weights"),
    "alone-smoothing": Arm("P2b", "the same with label smoothing"),
    "alone-all": Arm("P2b", "the same with all three"),
    "soft": Arm("P3", "the same network on soft targets at T = 20 and labels, pictures not shifted", 74),
    "soft-views": Arm("P3b", "on soft targets of 32 recorded shifts of each picture"),
    "soft-ten": Arm("P3b", "on soft targets of ten teachers"),
    "soft-ten-views": Arm("P3b", "on soft targets of ten teachers and 32 shifts"),
}
"""The networks of the headline, in the order of the tables."""


@dataclass(frozen=True, slots=True)
class Row:
    """The runs of one experiment, out of ``wanted`` seeds."""

    runs: Records
    wanted: int

    @property
    def n(self) -> int:
        """Runs that came to their end."""
        return len(self.runs.finished)

    @property
    def whole(self) -> bool:
        """Whether no run is missing."""
        return self.n + len(self.runs.diverged) >= self.wanted

    @property
    def count(self) -> str:
        """``5``, ``2 of 5`` or ``4 of 5, 1 diverged``."""
        lost = f", {len(self.runs.diverged)} diverged" if self.runs.diverged else ""
        return (f"{self.n} of {self.wanted}" if self.n < self.wanted else f"{self.n}") + lost

    @property
    def summary(self) -> Summary | None:
        """Of the errors."""
        return summarise(self.runs.errors) if self.n else None

    @property
    def median(self) -> float | None:
        """Of the errors."""
        return median(self.runs.errors) if self.n else None

    @property
    def minutes(self) -> float:
        """Core-minutes of the runs that came to their end."""
        return sum(record.core_seconds for record in self.runs.finished) / MINUTE


def row(records: Records, arm: str) -> Row:
    """One network of the headline."""
    if arm == "ten":
        return Row(records.where(arm), 1)
    distilled: dict[str, float] = {"temperature": TEMPERATURE, "alpha": ALPHA} if arm.startswith("soft") else {}
    return Row(records.where(arm, seeds=SEEDS, width=1200 if arm == "teacher" else 800, **distilled), len(SEEDS))


def at_temperature(records: Records, width: int, temperature: float) -> Row:
    """P4, P5: students of one width at one temperature."""
    return Row(records.where("temperature", seeds=SEEDS, width=width, temperature=temperature), len(SEEDS))


def alone_of_width(records: Records, width: int) -> Row:
    """P12: the student alone by its size."""
    return Row(records.where("alone", seeds=SEEDS, width=width), len(SEEDS))


def at_share(records: Records, arm: str, share: float) -> Row:
    """P8: a share of the cases, or of the labels."""
    return Row(records.where(arm, seeds=SEEDS, share=share), len(SEEDS))


def few_gap(records: Records) -> tuple[Row, Row, Row]:
    """P8: labels and soft targets of 3 % of the cases, and labels of all: the ends of the gap and what lies between."""
    low, whole = SHARES[1], SHARES[-1]
    return at_share(records, "few-hard", low), at_share(records, "few-soft", low), at_share(records, "few-hard", whole)


def cell(records: Records, temperature: float, alpha: float) -> Row:
    """P12: a cell of the grid."""
    return Row(records.where("grid", temperature=temperature, alpha=alpha), len(grids.SEEDS))


def by_views(records: Records, views: int) -> Row:
    """P12: a number of views."""
    return Row(records.where("views", views=views), len(grids.SEEDS))


def by_epochs(records: Records, views: int, epochs: int) -> Row:
    """P12: longer training."""
    return Row(records.where("epochs", views=views, epochs=epochs), len(grids.EPOCHS_SEEDS))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two experiments seed by seed: the differences first − second in errors, and McNemar's test of each pair of networks."""

    pairs: tuple[tuple[Record, Record], ...]
    test: PairedTest | None
    tests: tuple[McNemar, ...]

    @property
    def standard_error(self) -> float | None:
        """Of the mean difference; None for one pair and for differences that are all the same."""
        if self.test is None or self.test.interval is None:
            return None
        sd = summarise([first.errors - second.errors for first, second in self.pairs]).sd
        return None if sd is None else sd / len(self.pairs) ** 0.5


def compare(first: Row, second: Row) -> Comparison:
    """The seeds that both have; McNemar's tests on the test pictures alone.

    Raises:
        UsageError: they were measured on different splits.
    """
    pairs = tuple((ours, theirs) for ours, theirs in paired(first.runs, second.runs))
    tests = tuple(mcnemar(ours.correct(), theirs.correct()) for ours, theirs in pairs if ours.what.split == "test")
    test = paired_test([ours.errors for ours, _ in pairs], [theirs.errors for _, theirs in pairs]) if pairs else None
    return Comparison(pairs, test, tests)


def recovered(*, alone: Row, distilled: Row, teacher: Row) -> GapRecovered | None:
    """The share of the gap, over the seeds that all three have; None where they share none."""
    runs = paired(alone.runs, distilled.runs, teacher.runs)
    if not runs:
        return None
    columns = [[record.errors for record in column] for column in zip(*runs, strict=True)]
    return gap_recovered(student_alone=columns[0], distilled=columns[1], teacher=columns[2])
