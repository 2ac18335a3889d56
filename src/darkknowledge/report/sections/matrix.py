"""The dark-knowledge matrix: which classes the soft targets of a class resemble, to the teacher and to the student."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from darkknowledge.contract import Output
from darkknowledge.report.content import Figures, Section, Table, missing
from darkknowledge.report.figure import dark_knowledge
from darkknowledge.report.heatmap import differences, heatmap, shades
from darkknowledge.report.story import Answers, Story
from darkknowledge.report.text import number, plain, share, visible

TITLE = "The dark-knowledge matrix"
MOST = 50
"""Classes in the drawings; of more the most confused ones."""
PAIRS = 400
"""Rows in the table of pairs."""


def matrix(story: Story) -> Section:
    """The section."""
    named = (("teacher", "teacher"), ("distilled", "student distilled"), ("alone", "student alone"))
    found = [(name, mean_soft_targets(answers, story)) for kind, name in named if (answers := story.answers(kind))][:2]
    if not found:
        return missing("matrix", TITLE, "no network was measured on the test split")
    first = found[0][1]
    if len(story.class_names) < 3:
        return missing("matrix", TITLE, "with two classes there is no choice of wrong ones")
    chosen = _most_confused(first, MOST)
    order = [chosen[place] for place in clustered(first[chosen][:, chosen])]
    names = [story.class_names[one] for one in order]
    panels = [(name, whole[order][:, order]) for name, whole in found]
    ends = shades([values for _, values in panels])
    drawings = [heatmap(name, values, names, ends) for name, values in panels]
    if len(panels) == 2:
        (teacher, theirs), (student, ours) = panels
        drawings.append(heatmap(f"{student} − {teacher}", ours - theirs, names, differences(ours - theirs)))
    caption = (
        "Mean probability in per cent of each wrong class (across) for the pictures of each true class (down), at temperature "
        f"{plain(story.temperature)}. "
        "The diagonal, the right answer, is left out; classes that resemble each other stand together. Shades begin at the numbers under them."
    )
    if len(story.class_names) > MOST:
        caption += f" Shown are the {MOST} most confused of {len(story.class_names):,} classes; the table below finds the others."
    return Section("matrix", TITLE, _lead(found, story), [Figures(drawings, caption), _pairs(found, story)])


def mean_soft_targets(answers: Answers, story: Story) -> Tensor:
    """Row c: the mean soft target (C,) of the labelled examples of class c, its own probability taken out; zeros where there is none."""
    logits = answers.logits
    if answers.members is not None and answers.weights is not None:
        logits = Output(answers.members, answers.weights, story.average).logits(story.temperature)
    means = dark_knowledge.mean_soft_targets(logits, answers.labels, temperature=story.temperature)
    return means.nan_to_num(0.0).fill_diagonal_(0)


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
