"""Who gains and who loses: the change of each class's accuracy, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from markupsafe import Markup

from darkknowledge.analysis import Interval, bootstrap_interval
from darkknowledge.contract import IGNORED
from darkknowledge.report.content import Figures, Section, Table, missing
from darkknowledge.report.plot import Axis, Plot, linear, name_of
from darkknowledge.report.story import Network, Story
from darkknowledge.report.text import number, share, span, visible

TITLE = "Class by class"
LEAD = "Accuracy of the distilled student minus that of the student alone, for each class: right of zero distillation helped, left of it it hurt."
SHOWN = 30
"""Classes in the drawing; of more the ones with the largest changes are shown."""
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """The accuracies of a class in [0, 1], averaged over seeds, and the interval of their difference over the class's pictures."""

    name: str
    examples: int
    alone: float
    distilled: float
    interval: Interval

    @property
    def difference(self) -> float:
        """Distilled minus alone."""
        return self.distilled - self.alone


def classes(story: Story) -> Section:
    """The section."""
    if story.answers("alone") is None or story.answers("distilled") is None:
        absent = "distilled" if story.answers("distilled") is None else "alone"
        return missing("classes", TITLE, story.absent(absent))
    changes = _changes(story)
    caption = (
        "Change of accuracy, mean over seeds. Lines are 95 % bootstrap intervals over the test pictures of the class; "
        "with so many classes some miss zero by chance."
    )
    table = Table(
        "Accuracy of each class" + (f", the {SHOWN} largest changes" if len(story.class_names) > SHOWN else ""),
        ["class", "pictures", "alone", "distilled", "change, points", "95 % interval"],
        [_row(change) for change in changes],
        folded="the same in numbers",
    )
    return Section("classes", TITLE, LEAD, [Figures([_drawn(changes)], caption), table])


def _row(change: Change) -> list[str]:
    ends = span(100 * change.interval.low, 100 * change.interval.high)
    cells = [f"{change.examples:,}", share(change.alone), share(change.distilled), number(100 * change.difference, 2), ends]
    return [visible(change.name), *cells]


def _changes(story: Story) -> list[Change]:
    reference = story.answers("alone")
    assert reference is not None
    labels = reference.labels[reference.labels != IGNORED]
    alone, distilled = (_right(networks) for kind, _, networks in story.arms if kind != "teacher")
    difference = distilled - alone
    sums = torch.zeros(len(story.class_names), dtype=torch.float64).index_add_(0, labels, difference)
    counts = labels.bincount(minlength=len(story.class_names))
    means = sums / counts.clamp(min=1)
    seen = [int(label) for label in means.abs().argsort(descending=True, stable=True) if counts[label]][:SHOWN]
    found = []
    for label in sorted(seen, key=lambda one: (-float(means[one]), one)):
        here = labels == label
        interval = bootstrap_interval(difference[here], resamples=RESAMPLES)
        found.append(Change(story.class_names[label], int(counts[label]), float(alone[here].mean()), float(distilled[here].mean()), interval))
    return found


def _right(networks: Sequence[Network]) -> torch.Tensor:
    """Share of the networks that are right on each labelled picture."""
    return torch.stack([network.answers.right.double() for network in networks if network.answers]).mean(0)


def _drawn(changes: Sequence[Change]) -> Markup:
    rows = len(changes)
    ends = [100 * end for change in changes for end in (change.interval.low, change.interval.high)]
    words = "; ".join(f"{visible(change.name, 20)} {100 * change.difference:+.2f}" for change in changes)
    across = linear("change of accuracy, percentage points", [*ends, 0.0], ticks=6)
    plot = Plot("", f"Change of accuracy in points by class. {words}", across, Axis("", 0, rows, []), 560, 62 + 22 * rows, 110)
    plot.rule((0, 0), (0, rows), "diagonal")
    for row, change in enumerate(changes):
        height = rows - row - 0.5
        plot.rule((100 * change.interval.low, height), (100 * change.interval.high, height), "interval distilled")
        plot.point(100 * change.difference, height, "distilled", size=4.5)
        plot.text(plot.x.low, height, name_of(change.name, 14), anchor="end", shift=(-10, 4))
    return plot.svg()
