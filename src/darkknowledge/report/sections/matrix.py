"""The dark-knowledge matrix: which classes the soft targets of a class resemble, to the teacher and to the student."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from markupsafe import Markup
from torch import Tensor

from darkknowledge.contract import IGNORED, Average, Output
from darkknowledge.report.content import Figures, Section, Table, missing
from darkknowledge.report.plot import drawing, name_of
from darkknowledge.report.story import Answers, Story
from darkknowledge.report.text import number, plain, share, visible

TITLE = "The dark-knowledge matrix"
MOST = 50
"""Classes in the drawings; of more the most confused ones."""
PAIRS = 400
"""Rows in the table of pairs."""
WIDTH = 310
"""Pixels of a drawing of few classes: three of them stand side by side."""
LEVELS = 7
"""Shades of a drawing."""


def matrix(story: Story) -> Section:
    """The section."""
    named = [
        (kind, name, story.answers(kind)) for kind, name in (("teacher", "teacher"), ("distilled", "student distilled"), ("alone", "student alone"))
    ]
    found = [(name, mean_soft_targets(answers, story)) for _, name, answers in named if answers is not None][:2]
    if not found:
        return missing("matrix", TITLE, "no network was measured on the test split")
    first = found[0][1]
    if len(story.class_names) < 3:
        return missing("matrix", TITLE, "with two classes there is no choice of wrong ones")
    chosen = _most_confused(first, MOST)
    order = [chosen[place] for place in clustered(first[chosen][:, chosen])]
    names = [story.class_names[one] for one in order]
    panels = [(name, whole[order][:, order]) for name, whole in found]
    ends = _shades([panel for _, panel in panels])
    drawings = [_panel(name, panel, names, ends) for name, panel in panels]
    if len(panels) == 2:
        drawings.append(_panel(f"{panels[1][0]} − {panels[0][0]}", panels[1][1] - panels[0][1], names, _differences(panels[1][1] - panels[0][1])))
    caption = (
        f"Mean probability in per cent of each wrong class (across) for the pictures of each true class (down), at temperature "
        f"{plain(story.temperature)}. "
        "The diagonal, the right answer, is left out; classes that resemble each other stand together. Shades begin at the numbers under them."
    )
    if len(story.class_names) > MOST:
        caption += f" Shown are the {MOST} most confused of {len(story.class_names):,} classes; the table below finds the others."
    return Section("matrix", TITLE, _lead(found, story), [Figures(drawings, caption), _pairs(found, story)])


def mean_soft_targets(answers: Answers, story: Story) -> Tensor:
    """Row c: the mean soft target (C,) of the labelled examples of class c, its own probability taken out; zeros where there is none."""
    labelled = answers.labels != IGNORED
    labels, classes = answers.labels[labelled], answers.logits.shape[1]
    logits = answers.logits[labelled]
    if answers.members is not None and answers.weights is not None:
        average: Average = "logit" if story.average == "logit" else "probability"
        logits = Output(answers.members[:, labelled], answers.weights, average).logits(story.temperature)
    soft = (logits / story.temperature).softmax(-1).double()
    sums = torch.zeros(classes, classes, dtype=torch.float64).index_add_(0, labels, soft)
    means = sums / labels.bincount(minlength=classes).clamp(min=1)[:, None]
    return means.fill_diagonal_(0)


def clustered(similarity: Tensor) -> list[int]:
    """An order of the classes in which those that are often confused stand together: the leaves of average linkage of ``similarity`` (C, C)."""
    close = (similarity + similarity.T).clone()
    groups: dict[int, list[int]] = {one: [one] for one in range(len(close))}
    close.fill_diagonal_(-torch.inf)
    while len(groups) > 1:
        place = int(close.argmax())
        a, b = sorted(divmod(place, len(close)))
        sizes = len(groups[a]), len(groups[b])
        merged = (sizes[0] * close[a] + sizes[1] * close[b]) / sum(sizes)
        merged[[a, b]] = -torch.inf
        close[a], close[:, a] = merged, merged
        close[b], close[:, b] = -torch.inf, -torch.inf
        groups[a] += groups.pop(b)
    return next(iter(groups.values()))


def _most_confused(means: Tensor, most: int) -> list[int]:
    if len(means) <= most:
        return list(range(len(means)))
    pull = means.sum(1) + means.sum(0)
    return sorted(int(one) for one in pull.argsort(descending=True, stable=True)[:most])


def _lead(found: Sequence[tuple[str, Tensor]], story: Story) -> str:
    name, means = found[0]
    pair = int(means.argmax())
    row, column = divmod(pair, len(means))
    names = [visible(story.class_names[one], 30) for one in (row, column)]
    return (
        f"What the {name} knows beyond the right answer: to it {names[0]} looks most like {names[1]}, with "
        f"{100 * float(means[row, column]):.2f} % of the soft target at temperature {plain(story.temperature)}. The labels say nothing of this."
    )


def _shades(panels: Sequence[Tensor]) -> list[float]:
    """The lower ends of the shades: equal ratios from nearly the smallest value to the largest, at most two powers of ten."""
    values = torch.cat([panel[~torch.eye(len(panel), dtype=torch.bool)] for panel in panels])
    top = max(float(values.max()), 1e-9)
    low = max(float(values.quantile(0.05)), top / 100)
    return [float(f"{low * (top / low) ** (level / LEVELS):.2g}") for level in range(LEVELS)]


def _differences(panel: Tensor) -> list[float]:
    """The lower ends of the shades of both signs."""
    top = max(float(panel.abs().max()), 1e-9)
    positive = [float(f"{top * part:.1g}") for part in (0.1, 0.3, 0.6)]
    return [*(-end for end in reversed(positive)), *positive]


def _panel(name: str, panel: Tensor, names: Sequence[str], ends: Sequence[float]) -> Markup:
    """A drawing of which each shade is one path: fifty classes have 2,500 cells."""
    count, key = len(names), 42
    labels = [name_of(one, 11 if count <= 20 else 18) for one in names]
    margin = 14 + 6 * max(map(len, labels))
    cell = round(max(6.0, min(27.0, (WIDTH - margin) / count)) if count <= 20 else 11.0, 2)
    width, height = round(margin + cell * count + 6), round(22 + cell * count + margin + key)
    parts = [_cells(panel, level, ends, margin, cell) for level in range(-3 if ends[0] < 0 else 0, 4 if ends[0] < 0 else LEVELS)]
    base = 22 + cell * count
    form = '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>'
    parts += [Markup(form).format(margin - 5, round(22 + cell * (row + 0.5) + 3.5, 1), one) for row, one in enumerate(labels)]
    turned = '<text class="tick" transform="translate({} {}) rotate(-90)" text-anchor="end">{}</text>'
    parts += [Markup(turned).format(round(margin + cell * (column + 0.5) + 3.5, 1), base + 5, one) for column, one in enumerate(labels)]
    frame = Markup('<rect class="frame" x="{}" y="22" width="{}" height="{}"/>').format(margin, round(cell * count, 1), round(cell * count, 1))
    place = int(panel.abs().argmax())
    words = f"Largest: {visible(names[place // count], 20)} as {visible(names[place % count], 20)}, {100 * float(panel.flatten()[place]):+.2f} points"
    return drawing(name, words, width, height, [*parts, frame, _key(ends, margin, height - 26, cell * count)])


def _level(value: float, ends: Sequence[float]) -> int:
    """The shade of a value; 0 and below are the ground of a drawing without signs."""
    if ends[0] < 0:
        sizes = [end for end in ends if end > 0]
        return int(math.copysign(sum(abs(value) >= end for end in sizes), value)) if value else 0
    return sum(value >= end for end in ends) - 1


def _cells(panel: Tensor, level: int, ends: Sequence[float], margin: float, cell: float) -> Markup:
    places = [
        (row, column)
        for row, values in enumerate(panel.tolist())
        for column, value in enumerate(values)
        if row != column and _level(value, ends) == level
    ]
    if not places or (ends[0] < 0 and level == 0):
        return Markup("")
    size = round(cell, 1)
    path = "".join(f"M{round(margin + column * cell, 1):g} {round(22 + row * cell, 1):g}h{size}v{size}h-{size}z" for row, column in places)
    return Markup('<path class="{}" d="{}"/>').format(_shade(level, ends), path)


def _shade(level: int, ends: Sequence[float]) -> str:
    return f"shade{level}" if ends[0] >= 0 else f"{'more' if level > 0 else 'less'}{abs(level)}"


def _key(ends: Sequence[float], left: float, top: float, width: float) -> Markup:
    """What the shades mean, in per cent."""
    levels = range(len(ends)) if ends[0] >= 0 else (-3, -2, -1, 1, 2, 3)
    step = min(max(width, 200) / len(ends), 38)
    form = '<rect class="{}" x="{}" y="{}" width="{}" height="9"/><text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>'
    marks = []
    for index, (level, end) in enumerate(zip(levels, ends, strict=True)):
        x = round(left + index * step, 1)
        # Of differences the largest on either side: there is no room for six.
        words = plain(100 * end) if ends[0] >= 0 or abs(level) == len(ends) // 2 else ""
        marks.append(Markup(form).format(_shade(level, ends), x, top, round(step - 1, 1), round(x + step / 2, 1), top + 21, words))
    return Markup("").join(marks)


def _pairs(found: Sequence[tuple[str, Tensor]], story: Story) -> Table:
    """The pairs of classes that share the most, in numbers."""
    first = found[0][1]
    order = first.flatten().argsort(descending=True, stable=True)[:PAIRS]
    rows = []
    for place in order.tolist():
        row, column = divmod(place, len(first))
        if row == column:
            continue
        values = [float(means[row, column]) for _, means in found]
        difference = [number(100 * (values[1] - values[0]), 3)] if len(values) == 2 else []
        rows.append(
            [visible(story.class_names[row], 40), visible(story.class_names[column], 40), *(share(value, 3) for value in values), *difference]
        )
    head = ["true class", "resembles", *(name for name, _ in found), *(["difference, points"] if len(found) == 2 else [])]
    caption = (
        f"Pairs of classes by the teacher’s mean soft target at temperature {plain(story.temperature)}"
        if found[0][0] == "teacher"
        else "Pairs of classes"
    )
    return Table(caption, head, rows, folded=f"the {len(rows)} strongest pairs in numbers", search="find a class")
