"""Which examples are worth looking at: the ones on which the networks are torn, wrong or of different opinions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED

FEW_CLASSES = 12
"""Up to so many classes each gets an example of its own to explore."""
DISAGREEMENTS = 10
RESCUED = 6
MISTAKEN = 4
GALLERY = 48
"""Pictures of disagreements that are kept with an evaluation; a page may show fewer."""


@dataclass(frozen=True)
class Opinions:
    """Labels (N,) and the logits (N, C) of whoever answered; at least one did. The teacher's are those at temperature 1."""

    labels: Tensor
    teacher: Tensor | None = None
    distilled: Tensor | None = None
    alone: Tensor | None = None

    @cached_property
    def first(self) -> Tensor:
        """The logits of the best informed: the teacher's, or else a student's."""
        found = next(logits for logits in (self.teacher, self.distilled, self.alone) if logits is not None)
        return found.double()

    @cached_property
    def divergence(self) -> Tensor | None:
        """KL(teacher ‖ distilled student) of each example (N,) in nats, or from the student alone where none was distilled."""
        student = self.distilled if self.distilled is not None else self.alone
        if self.teacher is None or student is None:
            return None
        log_p, log_q = self.teacher.double().log_softmax(-1), student.double().log_softmax(-1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)


@dataclass(frozen=True, slots=True)
class Example:
    """An example by its position, and why it was chosen."""

    position: int
    reason: str


def instructive(opinions: Opinions, *, allowed: Tensor | None = None) -> list[Example]:
    """About thirty examples to explore, the most ambiguous one first; ``allowed`` (N,) bool leaves the others out."""
    chosen: dict[int, str] = {}
    for scores, most, reason in _reasons(opinions):
        usable = scores if allowed is None else torch.where(allowed, scores, -torch.inf)
        fresh = [position for position in _largest(usable, most + len(chosen)) if position not in chosen]
        chosen |= dict.fromkeys(fresh[:most], reason)
    return [Example(position, reason) for position, reason in chosen.items()]


def disagreements(opinions: Opinions, *, most: int, allowed: Tensor | None = None) -> list[int]:
    """Positions of the examples whose most probable class is another to the student than to the teacher, the largest divergence first."""
    if opinions.divergence is None:
        return []
    scores = torch.where(_differ(opinions), opinions.divergence, -torch.inf)
    return _largest(scores if allowed is None else torch.where(allowed, scores, -torch.inf), most)


def worth_a_picture(opinions: Opinions) -> list[int]:
    """Positions of all that a page may show."""
    return sorted({example.position for example in instructive(opinions)} | set(disagreements(opinions, most=GALLERY)))


def _reasons(opinions: Opinions) -> Iterator[tuple[Tensor, int, str]]:
    """For each reason the score (N,) of every example, −∞ where it does not apply, and how many to take."""
    first, labels = opinions.first, opinions.labels
    right = first.argmax(-1) == labels
    # The probability of the second class, rather than the entropy, which is greatest for pictures of nothing.
    torn = torch.where(right, first.softmax(-1).topk(2).values[:, 1], -torch.inf)
    if first.shape[1] <= FEW_CLASSES:
        best = _largest(torn, 1)
        order = sorted(range(first.shape[1]), key=lambda label: bool(best) and label != int(labels[best[0]]))
        for label in order:
            yield torch.where(labels == label, torn, -torch.inf), 1, "ambiguous, yet answered rightly"
    else:
        yield torn, FEW_CLASSES, "ambiguous, yet answered rightly"
    if opinions.divergence is not None:
        yield torch.where(_differ(opinions), opinions.divergence, -torch.inf), DISAGREEMENTS, "teacher and student disagree"
    if opinions.distilled is not None and opinions.alone is not None:
        won = (opinions.distilled.argmax(-1) == labels) & (opinions.alone.argmax(-1) != labels)
        yield torch.where(won, _entropy(opinions.alone.double()), -torch.inf), RESCUED, "right when distilled, wrong alone"
    yield torch.where(~right & (labels != IGNORED), first.softmax(-1).amax(-1), -torch.inf), MISTAKEN, "answered wrongly with confidence"


def _differ(opinions: Opinions) -> Tensor:
    student = opinions.distilled if opinions.distilled is not None else opinions.alone
    assert opinions.teacher is not None
    assert student is not None
    return opinions.teacher.argmax(-1) != student.argmax(-1)


def _entropy(logits: Tensor) -> Tensor:
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def _largest(scores: Tensor, most: int) -> list[int]:
    """Positions of the largest finite scores, the earlier of equal ones first."""
    order = scores.argsort(descending=True, stable=True)[:most]
    return [int(position) for position in order if scores[position] > -torch.inf]
