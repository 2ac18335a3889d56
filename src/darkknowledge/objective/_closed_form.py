r"""Value and gradient of the soft and the hard term together, in closed form: three passes over (B, C) where the textbook makes 35.

With student logits z, teacher logits v and temperature T the textbook's KL is a small difference of large numbers where p = softmax(v/T) and
q = softmax(z/T) are near, which is at every high temperature. Here it is made of what does not cancel. With d = (v − z)/T and y = E_p[d] − d,

.. math:: \mathrm{KL}(p \,\|\, q) = \log(1 + s), \qquad s = \sum_i p_i (e^{y_i} - 1 - y_i), \qquad q_i = p_i \frac{e^{y_i}}{1 + s},

because E_p[y] = 0. Where abs(y) is below 1/2 the bracket is y² times a polynomial, and q − p is p (e^y/(1 + s) − 1), exact to the last digits. Where
it is not, q is at hand as an exponential of its own, p e^y = q (1 + s), and plain differences lose nothing. So float32 keeps its digits up to
T = 10⁴ without a switch at any temperature.

Everything here is tensor arithmetic without branches on data, so it runs as it stands or compiled. Nothing is differentiated: the gradient is a
result. The temperature is a tensor, and weights are a column (B, 1) for each term, with 1/N inside, so that a schedule changes no code.

Source: Hinton, Vinyals & Dean (2015), equation 2, for the derivative T (q − p) of T² KL; the rest is algebra.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NEAR = 0.5
"""Where abs(y) is below it the polynomial holds."""

BEND = (0.500000012, 0.166666671, 0.041665791, 0.00833318204, 0.00139821969, 0.000199621861)
"""(e^y − 1 − y) / y² for abs(y) < `NEAR` as a polynomial in y, fitted at 200 Chebyshev points: off by at most 3e-8 of the value."""

SMALL = 0.05
"""Up to this s the divergence is log(1 + s); beyond it the plain difference of logarithms has lost nothing yet."""


class Rows(NamedTuple):
    """What a closed form finds: the soft term's value without T² (B, 1), the gradient (B, C) but for what single classes add to it, and for the hard
    term log Σ exp(z − m) and the row's highest logit m, (B, 1) both.
    """

    soft: Tensor
    gradient: Tensor
    log_partition: Tensor | None = None
    highest: Tensor | None = None


def dense_form(
    student: Tensor, values: Tensor, scale: Tensor | None, temperature: Tensor, soft: Tensor, hard: Tensor | None, *, entropy: bool
) -> Rows:
    r"""Rows for a teacher with a number for each class; the gradient is that of :math:`\sum_b s_b T^2 \mathrm{KL}_b + h_b \log \sum_i e^{z_{bi}}`.

    Args:
        student: z (B, C).
        values: v (B, C) or what times ``scale`` (B, 1) is v, as `darkknowledge.contract.Dense` holds them.
        scale: see ``values``.
        temperature: T, a scalar.
        soft: weight s of each example in the soft term (B, 1).
        hard: weight h of each example in the hard term (B, 1); None where there is no hard term.
        entropy: whether the soft value is the cross-entropy, KL plus the entropy of p.
    """
    z, highest = _shifted(student)
    rate = temperature.reciprocal()
    w = _bounded(z * rate)
    u = _bounded(_shifted(values)[0] * (rate if scale is None else scale * rate))
    p, q = u.exp(), w.exp()
    of_p, of_q = p.sum(-1, keepdim=True), q.sum(-1, keepdim=True)
    per_p, per_q = of_p.reciprocal(), of_q.reciprocal()
    apart = u - w
    mean = (p * apart).sum(-1, keepdim=True) * per_p
    y = mean - apart
    squared = y * y
    bend, near = squared * _polynomial(y), squared < NEAR**2
    bent = (p * torch.where(near, bend, -1 - y)).sum(-1, keepdim=True) * per_p  # s, less the share of q that is far
    far = torch.where(near, 0.0, q).sum(-1, keepdim=True) * per_q
    small = (bent + far < SMALL * (1 - far)) & (far < 0.75)
    divergence = torch.where(small, ((bent + far) / (1 - far)).log1p(), mean + of_q.log() - of_p.log())
    weight = soft * temperature
    of_exponential, of_one = weight * per_p * (1 - far) / (1 + bent), weight * per_p * (bent + far) / (1 + bent)
    exact = p * (of_exponential * (y + bend) - of_one)
    gradient = torch.where(squared < torch.where(small, NEAR**2, -1.0), exact, (weight * per_q) * q - (weight * per_p) * p)
    if entropy:
        divergence = divergence + of_p.log() - (p * u).sum(-1, keepdim=True) * per_p
    return _with_hard(divergence, gradient, z, highest, hard)


def sparse_form(
    student: Tensor, kept: Tensor, log_p: Tensor, log_rest: Tensor, temperature: Tensor, soft: Tensor, hard: Tensor | None, *, entropy: bool
) -> Rows:
    """Rows for a teacher of whom k classes are known; no (B, C) of his is made. At the kept classes the gradient is still that of the others.

    Args:
        student: z (B, C).
        kept: z at the kept classes (B, k).
        log_p: log p of the kept classes (B, k), `darkknowledge.contract.Sparse`.
        log_rest: log p of each other class (B, 1).
        temperature: as in `dense_form`, and so are the others.
        soft: see there.
        hard: see there.
        entropy: see there.
    """
    z, highest = _shifted(student)
    rate = temperature.reciprocal()
    w = _bounded(z * rate)
    q = w.exp()
    of_q, all_w = q.sum(-1, keepdim=True), w.sum(-1, keepdim=True)
    log_of_q = of_q.log()
    kept = _bounded((kept.to(z.dtype) - highest) * rate)
    p, rest, others = log_p.exp(), log_rest.exp(), student.shape[-1] - log_p.shape[-1]
    known = (p * (log_p - kept + log_of_q)).sum(-1, keepdim=True)
    unknown = rest * (others * (log_rest + log_of_q) - (all_w - kept.sum(-1, keepdim=True)))
    # One less the sum of p, which rounding leaves: q sums to one, and so the value does not feel it to first order.
    soft_value = known + unknown + (1 - p.sum(-1, keepdim=True) - others * rest)
    if entropy:
        soft_value = soft_value - (p * log_p).sum(-1, keepdim=True) - others * rest * log_rest
    weight = soft * temperature
    return _with_hard(soft_value, (weight / of_q) * q - weight * rest, z, highest, hard)


def working_dtype(student: Tensor) -> torch.dtype:
    """What the forms compute in: float32, or the student's dtype where it is wider."""
    return torch.promote_types(student.dtype, torch.float32)


def _with_hard(soft: Tensor, gradient: Tensor, z: Tensor, highest: Tensor, hard: Tensor | None) -> Rows:
    if hard is None:
        return Rows(soft, gradient)
    e = z.exp()
    total = e.sum(-1, keepdim=True)
    return Rows(soft, gradient + (hard / total) * e, total.log(), highest)


def _shifted(values: Tensor) -> tuple[Tensor, Tensor]:
    """The row's highest taken off, and that highest."""
    wide = values.to(working_dtype(values) if values.is_floating_point() else torch.float32)
    highest = wide.amax(-1, keepdim=True)
    return wide - highest, highest


def _bounded(exponents: Tensor) -> Tensor:
    """Infinite gaps at a tiny temperature, as large finite ones: the exponential is 0 all the same, and 0 times it is no NaN."""
    return exponents.clamp_min(-1e30)


def _polynomial(y: Tensor) -> Tensor:
    value = y * BEND[-1] + BEND[-2]
    for coefficient in BEND[-3::-1]:
        value = value * y + coefficient
    return value
