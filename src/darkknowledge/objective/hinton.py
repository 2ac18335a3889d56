"""The soft term of Hinton, Vinyals & Dean (2015): T² times the divergence of the softened student from the softened teacher."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from darkknowledge.objective._checks import check_pair, check_probabilities, check_temperature
from darkknowledge.objective._divergence import divergence, exact_difference
from darkknowledge.objective._temperature import log_soften, widen
from darkknowledge.objective._term import Term, needed


def hinton(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""Divergence of the softened student from the softened teacher, per example, in nats times T².

    .. math:: T^2 \, \mathrm{KL}(p \,\|\, q) = T^2 \sum_i p_i (\log p_i - \log q_i), \qquad
              p = \operatorname{softmax}(v / T), \quad q = \operatorname{softmax}(z / T)

    with student logits z and teacher logits v. The derivative of the divergence falls as 1/T²; the factor T² keeps the weight of the term the same
    when the temperature changes. With it the derivative is T (q − p). One form serves every temperature: the value and the derivative keep about
    six digits in float32 at T = 10⁴, and both are finite for logit gaps of 10⁴ at T = 0.01.

    Args:
        student: logits z (B, C); the only argument that receives a gradient.
        teacher: logits v (B, C).
        temperature: T, finite and above 0, the same for both.

    Returns:
        (B,) in float32 or wider, not negative, 0 where z − v is the same for all classes.

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
    check_pair(student, teacher)
    student, teacher = widen(student, teacher), widen(teacher.detach(), student)
    log_q, log_p = log_soften(student, temperature=temperature), log_soften(teacher, temperature=temperature)
    return temperature**2 * divergence(log_q, log_p, exact_difference(student, teacher) / temperature)


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
    check_pair(student, teacher, "teacher log-probabilities")
    check_probabilities(teacher.detach().exp())
    return _from_log(student, teacher.detach(), temperature)


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
    check_pair(student, teacher, "teacher probabilities")
    check_probabilities(teacher)
    return _from_log(student, widen(teacher.detach()).log(), temperature)


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


def finite_log(log_probabilities: Tensor) -> Tensor:
    """Log-probabilities in float32 or wider, with −inf raised to a number whose exponential is 0 as well, so that no 0 × ∞ arises."""
    return widen(log_probabilities.detach()).clamp_min(-1e30)


def _from_log(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    student, log_p = widen(student, teacher), widen(finite_log(teacher), student)
    scaled = (student - student.detach().amax(-1, keepdim=True)) / temperature
    return temperature**2 * divergence(torch.log_softmax(scaled, -1), torch.log_softmax(log_p, -1), exact_difference(scaled, log_p))
