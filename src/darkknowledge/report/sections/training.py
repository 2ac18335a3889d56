"""How the training went: the terms of the objective, and the validation split after each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from darkknowledge.report.content import Block, Figures, Section, missing
from darkknowledge.report.plot import Plot, linear, logarithmic
from darkknowledge.report.story import Network, Story, setting
from darkknowledge.report.text import finite, visible

TITLE = "Training"
LEAD = (
    "The soft term is shown as the divergence KL(teacher ‖ student) at the temperature of training, without its weight and its T², so that zero "
    "means “copied”; the hard term as the cross-entropy of the labels, without its weight."
)
NOT_TERMS = {"kind", "step", "epoch", "loss", "learning_rate", "validation_accuracy", "validation_nll"}
WORDS = {"soft": "soft term: KL, nats", "hard": "hard term: cross-entropy, nats"}

FEW_EPOCHS = 5

Points = list[tuple[float, float]]


def training(story: Story) -> Section:
    """The section."""
    arms = [("teacher", story.teachers[:1]), ("alone", story.alone), ("distilled", story.distilled)]
    curves = [(kind, network) for kind, networks in arms for network in networks if _epochs(network)]
    if not curves:
        return missing("training", TITLE, "no run on this page kept its metrics")
    first = dict(reversed(curves))
    drawings = [drawn for term in _terms(list(first.values())) if (drawn := _term(term, first)) is not None]
    for key, label, factor in (("validation_accuracy", "error on validation, %", -100.0), ("validation_nll", "NLL on validation, nats", 1.0)):
        if (drawn := _validation(key, label, factor, curves)) is not None:
            drawings.append(drawn)
    legend = [(kind, {"teacher": "teacher", "alone": "student alone", "distilled": "student distilled"}[kind]) for kind in first]
    caption = "Terms of the first seed; validation of every seed, after each epoch. The teacher is its first network."
    blocks: list[Block] = [Figures(drawings, caption, legend)]
    return Section("training", TITLE, LEAD, blocks)


def unweighted(term: str, network: Network) -> float:
    """What a term was multiplied by: its weight, and T² where it is soft. 1 where the objective says nothing of it."""
    said = {name: setting(network.settings, f"objective.{name}") for name in ("name", "temperature", "alpha", "hard_weight", "soft_weight")}
    alpha, temperature = _positive(said["alpha"]), _positive(said["temperature"])
    if said["name"] == "hinton" and term not in ("hard",):
        return temperature**2 if temperature else 1.0
    if said["name"] != "distillation":
        return 1.0
    if term == "soft":
        weight = alpha if alpha is not None else _positive(said["soft_weight"])
        return weight * temperature**2 if weight and temperature else 1.0
    weight = 1 - alpha if alpha is not None else _positive(said["hard_weight"])
    return weight or 1.0


def _positive(value: Any) -> float | None:
    found = finite(value)
    return found if found is not None and found > 0 else None


def _epochs(network: Network) -> list[Mapping[str, Any]]:
    """The records of the epochs; of a short run those between them too."""
    records = [record for record in network.metrics if finite(record.get("epoch")) is not None]
    epochs = [record for record in records if record.get("kind") == "epoch"]
    return epochs if len(epochs) >= FEW_EPOCHS else records


def _terms(networks: Sequence[Network]) -> list[str]:
    names = dict.fromkeys(name for network in networks for record in _epochs(network)[:1] for name in record if name not in NOT_TERMS)
    return sorted(names, key=lambda name: (name != "soft", name))[:4]


def _points(network: Network, key: str, factor: float = 1.0) -> Points:
    """Values of an entry by epoch; where the factor is negative, those of one minus it."""
    pairs = [(finite(record["epoch"]), finite(record.get(key))) for record in _epochs(network)]
    known = [(epoch, value) for epoch, value in pairs if epoch is not None and value is not None]
    return [(epoch, factor * value if factor > 0 else -factor * (1 - value)) for epoch, value in known]


def _term(term: str, first: Mapping[str, Network]) -> Markup | None:
    lines = {kind: _points(network, term, 1 / unweighted(term, network)) for kind, network in first.items()}
    return _drawn(WORDS.get(term, f"term {visible(term, 30)}"), [(kind, points, "") for kind, points in lines.items()])


def _validation(key: str, label: str, factor: float, curves: Sequence[tuple[str, Network]]) -> Markup | None:
    seen: set[str] = set()
    lines = []
    for kind, network in curves:
        lines.append((kind, _points(network, key, factor), " faint" if kind in seen else ""))
        seen.add(kind)
    return _drawn(label, lines)


def _drawn(label: str, lines: Sequence[tuple[str, Points, str]]) -> Markup | None:
    values = [value for _, points, _ in lines for _, value in points]
    if not values:
        return None
    positive = [value for value in values if value > 0]
    wide = len(positive) == len(values) and max(positive) / min(positive) > 30
    down = logarithmic(label, values) if wide else linear(label, values, zero=True)
    ends = "; ".join(f"{kind} ends at {points[-1][1]:.4g}" for kind, points, _ in lines if points)
    plot = Plot("", f"{label} by epoch. {ends}", linear("epoch", [epoch for _, points, _ in lines for epoch, _ in points], zero=True), down, 450, 250)
    for kind, points, faint in sorted(lines, key=lambda line: line[2] == ""):
        plot.line(points, f"{kind}{faint}")
        if len(points) == 1:
            plot.point(*points[0], kind, size=3)
    return plot.svg()
