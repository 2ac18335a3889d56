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

from darkknowledge.contract import Sparse

NEAR = 0.5
"""Where abs(y) is below it the polynomial holds."""

BEND = (0.500000012, 0.166666671, 0.041665791, 0.00833318204, 0.00139821969, 0.000199621861)
"""(e^y − 1 − y) / y² for abs(y) < `NEAR` as a polynomial in y, fitted at 200 Chebyshev points: off by at most 3e-8 of the value."""

SMALL = 0.05
"""Up to this s the divergence is log(1 + s); beyond it the plain difference of logarithms has lost nothing yet."""


class Found(NamedTuple):
    """What a closed form finds: the soft term's sum and the hard term's, where there is one, and the gradient (B, C) but for what single
    classes add to it.
    """

    soft: Tensor | None
    hard: Tensor | None
    gradient: Tensor


def hard_form(student: Tensor, hard: Tensor, labelled: Tensor) -> Found:
    """Labels alone; the arguments as in `dense_form`."""
    z, highest = shifted(student, working_dtype(student.dtype))
    e = z.exp()
    total = e.sum(-1, keepdim=True)
    return Found(None, (hard * (total.log() - (labelled - highest))).sum(), e * (hard / total))


def dense_form(
    student: Tensor,
    values: Tensor,
    scale: Tensor | None,
    temperature: Tensor,
    soft: Tensor,
    hard: Tensor | None,
    labelled: Tensor | None,
    *,
    entropy: bool,
) -> Found:
    r"""For a teacher with a number for each class: :math:`\sum_b s_b T^2 \mathrm{KL}_b`, the hard term
    :math:`\sum_b h_b (\log \sum_i e^{z_{bi}} - l_b)`, and the gradient of both together for constant l.

    Args:
        student: z (B, C).
        values: v (B, C) or what times ``scale`` (B, 1) is v, as `darkknowledge.contract.Dense` holds them.
        scale: see ``values``.
        temperature: T, a scalar.
        soft: weight s of each example in the soft term, (B, 1) or a scalar.
        hard: weight h of each example in the hard term, likewise; None where there is no hard term.
        labelled: the logit l of each example's label (B, 1), with mixed or smoothed labels their mean.
        entropy: whether the soft value is the cross-entropy, KL plus the entropy of p.
    """
    z, highest = shifted(student, working_dtype(student.dtype))
    rate = temperature.reciprocal()
    w = _bounded(z * rate)
    u = _bounded(shifted(values, z.dtype)[0] * (rate if scale is None else scale.to(z.dtype) * rate))
    p, q = u.exp(), w.exp()
    of_p, of_q = p.sum(-1, keepdim=True), q.sum(-1, keepdim=True)
    per_p, per_q = of_p.reciprocal(), of_q.reciprocal()
    apart = u - w
    mean = (p * apart).sum(-1, keepdim=True) * per_p
    y = mean - apart
    squared = y * y
    bend, near = squared * _polynomial(y), squared < NEAR**2
    bent = (p * torch.where(near, bend, -1 - y)).sum(-1, keepdim=True) * per_p  # s, less the share of q that is far
    far = q.masked_fill(near, 0.0).sum(-1, keepdim=True) * per_q
    grown, left = bent + far, 1 - far
    small = (grown < SMALL * left) & (far < 0.75)
    weight = soft * temperature
    one, exponential, plain = weight * per_p / (1 + bent), weight * per_p, weight * per_q
    exact = p * ((one * left) * (y + bend) - one * grown)
    gradient = torch.where(squared < torch.where(small, NEAR**2, -1.0), exact, plain * q - exponential * p)
    divergence = torch.where(small, (grown / left).log1p(), mean + (of_q * per_p).log())
    if entropy:
        divergence = divergence + of_p.log() - (p * u).sum(-1, keepdim=True) * per_p
    return _with_hard((soft * divergence).sum() * temperature.square(), gradient, z, highest, hard, labelled)


class Passed(NamedTuple):
    """What one pass over a student's logits finds for a sparse teacher, in columns (B, 1): Σ e^w and Σ w with w = (z − m) / T, the row's highest
    logit m, and Σ e^(z − m) where there is a hard term; and the gradient (B, C) as if no class were known.
    """

    of_q: Tensor
    exponents: Tensor
    highest: Tensor
    total: Tensor | None
    gradient: Tensor


def pass_over(student: Tensor, rest: Tensor, temperature: Tensor, soft: Tensor, hard: Tensor | None) -> Passed:
    """The one pass for a teacher who gives every class the probability ``rest`` (B, 1); the others as in `dense_form`."""
    z, highest = shifted(student, working_dtype(student.dtype))
    w = _bounded(z * temperature.reciprocal())
    q = w.exp()
    of_q = q.sum(-1, keepdim=True)
    weight = soft * temperature
    gradient = (weight / of_q) * q - weight * rest
    if hard is None:
        return Passed(of_q, w.sum(-1, keepdim=True), highest, None, gradient)
    e = z.exp()
    total = e.sum(-1, keepdim=True)
    return Passed(of_q, w.sum(-1, keepdim=True), highest, total, gradient + (hard / total) * e)


def sparse_form(
    found: Passed,
    kept: Tensor,
    known: Sparse,
    temperature: Tensor,
    soft: Tensor,
    hard: Tensor | None,
    labelled: Tensor | None,
    *,
    entropy: bool,
) -> Found:
    """For a teacher of whom k classes are known, after one pass; no (B, C) of his is made. The gradient is set right at the known classes, in place.

    Args:
        found: what `pass_over` found with the probability of an unknown class.
        kept: the student's logits of the known classes (B, k).
        known: the teacher's.
        temperature: as in `dense_form`, and so are the others.
        soft: see there.
        hard: see there.
        labelled: see there.
        entropy: see there.
    """
    p, rest, others = known.log_p.exp(), known.log_rest.exp(), found.gradient.shape[1] - known.ids.shape[1]
    kept = _bounded((kept.to(p.dtype) - found.highest) / temperature)
    log_of_q = found.of_q.log()
    value = (p * (known.log_p - kept + log_of_q)).sum(-1, keepdim=True)
    value = value + rest * (others * (known.log_rest + log_of_q) - (found.exponents - kept.sum(-1, keepdim=True)))
    # One less the sum of p, which rounding leaves: q sums to one, and so the value does not feel it to first order.
    value = value + (1 - p.sum(-1, keepdim=True) - others * rest)
    if entropy:
        value = value - (p * known.log_p).sum(-1, keepdim=True) - others * rest * known.log_rest
    found.gradient.scatter_add_(1, known.ids, soft * temperature * (rest - p))
    value = (soft * value).sum() * temperature.square()
    if hard is None or labelled is None or found.total is None:
        return Found(value, None, found.gradient)
    return Found(value, (hard * (found.total.log() - (labelled - found.highest))).sum(), found.gradient)


def _with_hard(soft: Tensor, gradient: Tensor, z: Tensor, highest: Tensor, hard: Tensor | None, labelled: Tensor | None) -> Found:
    if hard is None or labelled is None:
        return Found(soft, None, gradient)
    e = z.exp()
    total = e.sum(-1, keepdim=True)
    return Found(soft, (hard * (total.log() - (labelled - highest))).sum(), gradient + (hard / total) * e)


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the forms compute in for a student of this dtype, whatever the teacher's is: float32, or the dtype itself where it is wider."""
    return torch.promote_types(dtype, torch.float32)


def shifted(values: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Values in that dtype with the row's highest taken off, and that highest."""
    wide = values.to(dtype)
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
