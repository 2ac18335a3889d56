"""The soft term as a cross-entropy. It differs from `hinton` by the teacher's entropy, a constant, so the gradient is the same."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from darkknowledge.objective._checks import check_temperature
from darkknowledge.objective._divergence import exactly, widen
from darkknowledge.objective._soft_target import from_log_probabilities, from_logits, from_probabilities
from darkknowledge.objective._term import Term, needed


def soft_cross_entropy(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""Cross-entropy of the softened student with the teacher's soft targets, per example, in nats times T².

    .. math:: T^2 \, H(p, q) = -T^2 \sum_i p_i \log q_i = T^2 \, \mathrm{KL}(p \,\|\, q) + T^2 \, H(p), \qquad
              p = \operatorname{softmax}(v / T), \quad q = \operatorname{softmax}(z / T)

    The gradient is that of `hinton`, T (q − p). The least value is T² H(p), not 0: for that reason `hinton` is easier to read in a log.

    Args:
        student: logits z (B, C); the only argument that receives a gradient.
        teacher: logits v (B, C).
        temperature: T, finite and above 0, the same for both.

    Returns:
        (B,) in float32 or wider.

    Raises:
        UsageError: shapes or dtypes that do not fit, or a temperature that makes no sense.

    >>> import torch
    >>> soft_cross_entropy(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]]), temperature=1.0)
    tensor([0.4675])

    Source: Hinton, Vinyals & Dean (2015), section 2, the first objective.
    """
    temperature = check_temperature(temperature)
    return _cross_entropy(student, from_logits(teacher, temperature, student=student), temperature)


def soft_cross_entropy_from_log_probabilities(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`soft_cross_entropy` for log-probabilities already softened at ``temperature``, as in `hinton_from_log_probabilities`."""
    temperature = check_temperature(temperature)
    return _cross_entropy(student, from_log_probabilities(teacher, student=student), temperature)


def soft_cross_entropy_from_probabilities(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`soft_cross_entropy` for probabilities already softened at ``temperature``, as in `hinton_from_probabilities`."""
    temperature = check_temperature(temperature)
    return _cross_entropy(student, from_probabilities(teacher, student=student), temperature)


class SoftCrossEntropy(Term):
    """`soft_cross_entropy` as a module: the mean over a batch, from student and teacher logits.

    >>> import torch
    >>> SoftCrossEntropy(temperature=1.0)(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]]))
    tensor(0.4675)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = check_temperature(temperature)

    def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """(B,), from logits (B, C) of both; the labels are not looked at."""
        return soft_cross_entropy(student, needed(teacher, "teacher logits"), temperature=self.temperature)

    def formula(self) -> str:
        return f"{self.temperature:g}² H(softmax(v/{self.temperature:g}), softmax(z/{self.temperature:g}))"


def _cross_entropy(student: Tensor, log_p: Tensor, temperature: float) -> Tensor:
    log_q = torch.log_softmax(exactly(student) / temperature, dim=-1)
    return widen(-(temperature**2) * (log_p.exp() * log_q).sum(-1), student)
