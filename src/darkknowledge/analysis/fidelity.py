"""How closely a student follows its teacher, which is another question than how often it is right."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.analysis._labelled import labelled
from darkknowledge.analysis.accuracy import top_k_accuracy
from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares in [0, 1] over ``examples`` examples and the mean divergence in nats; ``at_5`` is None with five classes or fewer."""

    examples: int
    at_1: float
    at_5: float | None
    kl: float


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Agreement on all examples, on those that the teacher gets right and on those it gets wrong; None where there is no such example."""

    overall: Agreement
    teacher_right: Agreement | None
    teacher_wrong: Agreement | None


def measure_fidelity(*, student: Tensor, teacher: Tensor, labels: Tensor) -> Fidelity:
    r"""Agreement of ``student`` logits (N, C) with ``teacher`` logits or log-probabilities (N, C), split by whether the teacher is right.

    - Agreement at 1: the share of examples where both have the same most probable class.
    - Agreement at 5: the share where the teacher's most probable class is among the student's five most probable ones.
    - KL: the mean of :math:`\sum_k p_k (\log p_k - \log q_k)`, teacher p, student q, both at temperature 1.

    An ensemble's answer is ``output.logits(1.0)``. Examples labelled `IGNORED` count in ``overall`` alone.

    Raises:
        UsageError: shapes that don't fit.
        DataError: labels that are no classes, logits that are not finite, no examples.

    Source: Stanton, Izmailov, Kirichenko, Alemi & Wilson (2021), "Does knowledge distillation really work?", top-1 agreement and predictive KL;
    agreement at 5 as the ``agree`` distance that goes with Beyer et al. (2022), "A good teacher is patient and consistent".
    """
    if student.shape != teacher.shape:
        raise UsageError(f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} differ in shape")
    known = labels != IGNORED
    if known.any():
        labelled(student, labels)  # refuses labels that are no classes
    anything = torch.zeros_like(labels)  # two networks can agree on an example whose label nobody knows
    (q, _), (p, _) = (labelled(logits, anything) for logits in (student, teacher))
    right = p.argmax(-1) == labels
    return Fidelity(overall=_agreement(q, p), teacher_right=_part(q, p, known & right), teacher_wrong=_part(q, p, known & ~right))


def _part(student: Tensor, teacher: Tensor, chosen: Tensor) -> Agreement | None:
    return _agreement(student[chosen], teacher[chosen]) if chosen.any() else None


def _agreement(student: Tensor, teacher: Tensor) -> Agreement:
    first = teacher.argmax(-1)
    log_p, log_q = teacher.log_softmax(-1), student.log_softmax(-1)
    return Agreement(
        examples=len(student),
        at_1=(student.argmax(-1) == first).double().mean().item(),
        at_5=top_k_accuracy(student, first, k=5) if student.shape[1] > 5 else None,
        kl=(log_p.exp() * (log_p - log_q)).sum(-1).mean().item(),
    )
