"""The soft term of Hinton, Vinyals & Dean (2015): T² times the divergence of the softened student from the softened teacher."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from darkknowledge.objective._checks import check_temperature
from darkknowledge.objective._divergence import divergence, exactly, widen
from darkknowledge.objective._soft_target import from_log_probabilities, from_logits, from_probabilities
from darkknowledge.objective._term import Term, needed


def hinton(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""Divergence of the softened student from the softened teacher, per example, in nats times T².

    .. math:: T^2 \, \mathrm{KL}(p \,\|\, q) = T^2 \sum_i p_i (\log p_i - \log q_i), \qquad
              p = \operatorname{softmax}(v / T), \quad q = \operatorname{softmax}(z / T)

    with student logits z and teacher logits v. The derivative of the divergence falls as 1/T²; the factor T² keeps the weight of the term the same
    when the temperature changes. With it the derivative is T (q − p). One form serves every temperature: the value and the derivative keep about
    six digits for float32 logits at T = 10⁴, and both are finite for logit gaps of 10⁴ at T = 0.01.

    Args:
        student: logits z (B, C); the only argument that receives a gradient.
        teacher: logits v (B, C).
        temperature: T, finite and above 0, the same for both.

    Returns:
        (B,) in float32 or wider, not negative, 0 where z − v is the same for all classes (both but for rounding).

    Raises:
        UsageError: shapes or dtypes that do not fit, or a temperature that makes no sense.

    >>> import torch
    >>> student, teacher = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]])
    >>> hinton(student, teacher, temperature=1.0)
    tensor([0.2392])
    >>> hinton(student, teacher, temperature=1000.0)  # near its limit, half the variance of z − v: 0.7778
    tensor([0.7782])

    Source: Hinton, Vinyals & Dean (2015), section 2; the derivative is equation 2 times T².
    """
    temperature = check_temperature(temperature)
    return _hinton(student, from_logits(teacher, temperature, student=student), temperature)


def hinton_from_log_probabilities(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`hinton` for a teacher given as natural logarithms of its probabilities, already softened at ``temperature``.

    The student's logits are divided by the temperature, the teacher's answer is not. Probabilities taken at another temperature need
    their logits back first: log p times that temperature are logits. Where logits are at hand pass those: at a high temperature rounded
    probabilities have lost digits that logits still have.

    Args:
        student: logits (B, C); the only argument that receives a gradient.
        teacher: log p (B, C); −inf stands for a probability of 0. Small departures of a row's sum from 1 are normalised away.
        temperature: T, finite and above 0.

    Returns:
        (B,) in float32 or wider, not negative.

    Raises:
        UsageError: as `hinton`; also, on the CPU, a row that is no distribution.
    """
    temperature = check_temperature(temperature)
    return _hinton(student, from_log_probabilities(teacher, student=student), temperature)


def hinton_from_probabilities(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """`hinton` for a teacher given as probabilities p (B, C), already softened at ``temperature``; 0 is allowed.

    Everything else is as in `hinton_from_log_probabilities`.

    >>> import torch
    >>> student, teacher = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]])
    >>> hinton_from_probabilities(student, torch.softmax(teacher / 3, dim=1), temperature=3.0)
    tensor([0.7246])
    >>> hinton(student, teacher, temperature=3.0)
    tensor([0.7246])
    """
    temperature = check_temperature(temperature)
    return _hinton(student, from_probabilities(teacher, student=student), temperature)


class Hinton(Term):
    """`hinton` as a module: the mean over a batch, from student and teacher logits.

    >>> import torch
    >>> Hinton(temperature=4.0)(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]]))
    tensor(0.7715)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

    def __init__(self, temperature: float = 2.0) -> None:
        super().__init__()
        self.temperature = check_temperature(temperature)

    def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """(B,), from logits (B, C) of both; the labels are not looked at."""
        return hinton(student, needed(teacher, "teacher logits"), temperature=self.temperature)

    def formula(self) -> str:
        return f"{self.temperature:g}² KL(softmax(v/{self.temperature:g}) ‖ softmax(z/{self.temperature:g}))"


def _hinton(student: Tensor, log_p: Tensor, temperature: float) -> Tensor:
    log_q = torch.log_softmax(exactly(student) / temperature, dim=-1)
    return widen(temperature**2 * divergence(log_q, log_p), student)
