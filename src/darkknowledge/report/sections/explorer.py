"""The temperature explorer: what teacher, members and students say of one picture, at any temperature.

The page holds the raw logits; its script makes probabilities of them. What is here drawn without a script is the same for the first picture, at the
temperature of training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Average, Output
from darkknowledge.report.choosing import Opinions, instructive
from darkknowledge.report.content import Section, Special, missing
from darkknowledge.report.picture import data_uri
from darkknowledge.report.plot import BOTTOM, LEFT, RIGHT, TOP, Axis, Plot
from darkknowledge.report.story import Answers, Story
from darkknowledge.report.text import number, visible

TITLE = "The temperature explorer"
LEAD = (
    "Divide the logits by a temperature before the softmax, and what a network knows of the wrong classes comes to light. "
    "A student at work answers at temperature 1; it learned from the teacher’s answers at the temperature of training."
)
COLDEST, HOTTEST = 0.5, 50.0
SHOWN = 15
"""Classes in the table; of more those that get the most probability, and the others in one row."""
NUMBERS = 150_000
"""Logits in the page at most."""
DIGITS = 5
"""After the point of a logit: probabilities are then right to 1e-5 at any of these temperatures."""


@dataclass(frozen=True, slots=True)
class Series:
    """Whose answer a column shows: the mean of the networks ``parts`` with these ``weights``, by ``probability`` or by ``logit``."""

    kind: str
    name: str
    parts: tuple[int, ...]
    weights: tuple[float, ...]
    average: Average = "probability"


@dataclass(frozen=True, slots=True)
class Row:
    """A class of the first picture: its name, whether it is the true one, and the probability that each series gives it."""

    name: str
    true: bool
    probabilities: tuple[float, ...]


def explorer(story: Story) -> Section:
    """The section."""
    opinions = opinions_of(story)
    if opinions is None:
        return missing("explorer", TITLE, "no network was measured on the test split")
    networks, series = _cast(story)
    answers = next(story.answers(kind) for kind in ("teacher", "distilled", "alone") if story.answers(kind))
    assert answers is not None
    chosen = instructive(opinions, allowed=with_picture(story, answers))
    room = max(1, NUMBERS // (len(networks) * len(story.class_names)))
    samples = [_sample(story, answers, networks, one.position, one.reason) for one in _spread(chosen, room)]
    values = {
        "temperature": story.temperature,
        "classes": [visible(name, 40) for name in story.class_names],
        "shown": SHOWN,
        "series": [vars_of(one) for one in series],
        "samples": samples,
    }
    return Section("explorer", TITLE, LEAD, [Special("explorer", _still(values, series, story.temperature))])


def opinions_of(story: Story) -> Opinions | None:
    """What the first networks of each kind said."""
    found = {kind: story.answers(kind) for kind in ("teacher", "distilled", "alone")}
    labels = next((answers.labels for answers in found.values() if answers), None)
    return None if labels is None else Opinions(labels, **{kind: answers.logits for kind, answers in found.items() if answers})


def with_picture(story: Story, answers: Answers) -> Tensor | None:
    """Which examples have a picture (N,), where any has one."""
    return torch.isin(answers.ids, torch.tensor(list(story.pictures))) if story.pictures else None


def _spread(chosen: Sequence[Any], room: int) -> list[Any]:
    """All of them, or so many as there is room for, spread over the reasons."""
    if len(chosen) <= room:
        return list(chosen)
    return [chosen[len(chosen) * index // room] for index in range(room)]


def _cast(story: Story) -> tuple[list[Tensor], list[Series]]:
    """The networks whose logits the page holds, and who speaks with which of them; the teacher first, its members last."""
    networks: list[Tensor] = []
    series, members = [], []
    for kind, name, _ in story.arms:
        answers = story.answers(kind)
        assert answers is not None
        parts = [answers.logits] if answers.members is None else list(answers.members)
        numbers = tuple(range(len(networks), len(networks) + len(parts)))
        weights = (1.0,) if answers.weights is None else tuple(answers.weights.tolist())
        networks += parts
        told = name if len(parts) == 1 else f"{name} (mean of {len(parts)})"
        series.append(Series(kind, told, numbers, weights, story.average))
        if len(parts) > 1:
            members += [Series("member", f"member {index + 1}", (number,), (1.0,)) for index, number in enumerate(numbers)]
    order = {"teacher": 0, "distilled": 1, "alone": 2}
    return networks, [*sorted(series, key=lambda one: order[one.kind]), *members]


def vars_of(series: Series) -> dict[str, Any]:
    """As the script reads it."""
    return {"kind": series.kind, "name": series.name, "parts": series.parts, "weights": series.weights, "average": series.average}


def _sample(story: Story, answers: Answers, networks: Sequence[Tensor], position: int, reason: str) -> dict[str, Any]:
    label, id_ = int(answers.labels[position]), int(answers.ids[position])
    picture = story.pictures.get(id_)
    known = visible(story.class_names[label], 40) if label != IGNORED else "unknown"
    return {
        "id": id_,
        "truth": label if label != IGNORED else None,
        "name": known,
        "reason": reason,
        "picture": None if picture is None else data_uri(picture),
        "logits": [[round(value, DIGITS) for value in network[position].tolist()] for network in networks],
    }


def probabilities(logits: Tensor, series: Series, temperature: float) -> Tensor:
    """What a series says (C,) of the networks' logits (M, C) of one picture."""
    output = Output(logits[list(series.parts), None], torch.tensor(series.weights), series.average)
    return (output.logits(temperature)[0].double() / temperature).softmax(-1)


def _still(values: Mapping[str, Any], series: Sequence[Series], temperature: float) -> dict[str, Any]:
    """What is seen without a script: the first picture at the temperature of training."""
    sample = values["samples"][0]
    logits = torch.tensor(sample["logits"], dtype=torch.float64)
    found = torch.stack([probabilities(logits, one, temperature) for one in series])
    shown = _shown(found)
    rows = [Row(values["classes"][one], one == sample["truth"], tuple(found[:, one].tolist())) for one in shown]
    if len(shown) < found.shape[1]:
        rows.append(Row(f"the {found.shape[1] - len(shown):,} others", False, tuple((1 - found[:, shown].sum(1)).tolist())))
    entropy = [float(-(row * row.clamp(min=1e-300).log()).sum()) for row in found]
    return {
        "data": values,
        "rows": rows,
        "series": series,
        "sample": sample,
        "temperature": temperature,
        "entropy": [number(one) for one in entropy],
        "effective": [number(math.exp(one), 3) for one in entropy],
        "next": [_next(row, values["classes"]) for row in found],
        "curves": _curves(logits, series, temperature, len(values["classes"])),
    }


def _shown(found: Tensor) -> list[int]:
    """The classes of the table: all in their order, or those with the most probability, most first."""
    if found.shape[1] <= SHOWN:
        return list(range(found.shape[1]))
    return [int(one) for one in found.sum(0).argsort(descending=True, stable=True)[:SHOWN]]


def _next(row: Tensor, names: Sequence[str]) -> list[str]:
    """The classes after the most probable one."""
    return [names[int(one)] for one in row.argsort(descending=True, stable=True)[1:4]]


def _curves(logits: Tensor, series: Sequence[Series], temperature: float, classes: int) -> Any:
    """Effective classes against temperature, with a place for the temperature that is chosen; the script redraws the lines."""
    across = Axis("temperature", COLDEST, HOTTEST, [(one, f"{one:g}") for one in (0.5, 1, 2, 5, 10, 20, 50)], log=True)
    most = max(classes, 2)
    marks = [one for one in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000) if one <= most]
    if len(marks) > 6:
        marks = [one for one in marks if one in (1, 10, 100, 1000)]
    plot = Plot(
        "",
        "Effective classes of each answer against temperature",
        across,
        Axis("effective classes", 1, most, [(one, f"{one}") for one in marks], log=True),
        340,
        260,
    )
    plot.rule((temperature, 1), (temperature, most), "now")
    steps = [COLDEST * (HOTTEST / COLDEST) ** (index / 40) for index in range(41)]
    for one in reversed([one for one in series if one.kind != "member"]):
        points = []
        for step in steps:
            row = probabilities(logits, one, step)
            points.append((step, float((-(row * row.clamp(min=1e-300).log()).sum()).exp())))
        plot.line(points, f"{one.kind} curve")
    legend = [(one.kind, one.name.partition(" (")[0]) for one in series if one.kind != "member"]
    return {"legend": legend, "svg": plot.svg(), "left": LEFT, "right": plot.width - RIGHT, "top": TOP, "bottom": plot.height - BOTTOM}
