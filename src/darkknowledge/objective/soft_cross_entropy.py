"""The soft term as a cross-entropy. It differs from `hinton` by the teacher's entropy, a constant, so the gradient is the same."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from darkknowledge.objective._checks import check_temperature
from darkknowledge.objective._temperature import entropy, widen
from darkknowledge.objective._term import Term, needed
from darkknowledge.objective.hinton import finite_log, hinton, hinton_from_log_probabilities, hinton_from_probabilities


def soft_cross_entropy(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""Cross-entropy of the softened student with the teacher's soft targets, per example, in nats times T².

    .. math:: T^2 \, H(p, q) = -T^2 \sum_i p_i \log q_i = T^2 \, \mathrm{KL}(p \,\|\, q) + T^2 \, H(p), \qquad
              p = \operatorname{softmax}(v / T), \quad q = \operatorname{softmax}(z / T)

    It is computed as the right-hand side, whose gradient keeps its digits at a high temperature. Its least value is T² H(p), not 0; `hinton`
    is easier to read in a log for that reason.

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
    return hinton(student, teacher, temperature=temperature) + temperature**2 * entropy(teacher.detach(), temperature=temperature)


def soft_cross_entropy_from_log_probabilities(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`soft_cross_entropy` for log-probabilities already softened at ``temperature``, as in `hinton_from_log_probabilities`."""
    divergence = hinton_from_log_probabilities(student, teacher, temperature=temperature)
    return divergence + temperature**2 * entropy(finite_log(teacher), temperature=1.0)


def soft_cross_entropy_from_probabilities(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`soft_cross_entropy` for probabilities already softened at ``temperature``, as in `hinton_from_probabilities`."""
    divergence = hinton_from_probabilities(student, teacher, temperature=temperature)
    return divergence + temperature**2 * entropy(finite_log(widen(teacher.detach()).log()), temperature=1.0)


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
