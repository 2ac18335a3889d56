r"""KL(p ‖ q) that keeps its digits at every temperature.

At a high temperature p and q nearly agree, and the textbook sum of p (log p − log q) is a small difference of large numbers: in float32 it is off
by 10 % at T = 10⁴. Since p and q both sum to 1 the same divergence is

.. math:: \sum_i q_i - p_i - p_i r_i = \sum_i p_i (e^{r_i} - 1 - r_i), \qquad r_i = \log q_i - \log p_i,

a sum in which no term is negative, so nothing cancels between classes. Two things remain: r must be exact where it is small, which the difference
of two log-softmaxes is not, and so must e^r − 1 − r. `_log_ratio` and `excess` see to them. Where r is not small the left-hand form is
used, which cannot overflow. Both forms are the same number; the choice between them, one for each class, only decides about rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

SMALL = 0.125
TERMS = [1 / math.factorial(power) for power in range(10, 1, -1)]
"""Taylor coefficients of (e^r − 1 − r)/r², highest power first. At \\|r\\| < `SMALL` the first one left out is below the rounding of float64."""


class _Excess(torch.autograd.Function):
    """Its derivative is expm1(r); autograd would find e^r − 1 and lose the digits again. Any order of derivative works."""

    generate_vmap_rule = True

    @staticmethod
    def forward(ratio: Tensor) -> Tensor:
        series = torch.full_like(ratio, TERMS[0])
        for coefficient in TERMS[1:]:
            series = series * ratio + coefficient
        return torch.where(ratio.abs() < SMALL, series * ratio * ratio, torch.expm1(ratio) - ratio)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (ratio,) = ctx.saved_tensors
        return gradients[0] * torch.expm1(ratio)


def excess(ratio: Tensor) -> Tensor:
    """e^r − 1 − r, element by element, with the relative accuracy of its argument; about r²/2 for a small r."""
    result: Tensor = _Excess.apply(ratio)
    return result


def divergence(log_q: Tensor, log_p: Tensor, gap: Tensor) -> Tensor:
    """KL(p ‖ q) of each row, in nats.

    Args:
        log_q: (B, C), the student's log-probabilities; gradients of any order flow into it.
        log_p: (B, C), the teacher's, without a graph.
        gap: (B, C), log q − log p but for a constant in each row, with all its digits (`exact_difference`), without a graph.

    Returns:
        (B,), not negative.
    """
    p = log_p.exp()
    ratio, near = _log_ratio(log_q.detach(), log_p, gap)
    ratio = ratio + (log_q - log_q.detach())  # the graph of log q under the exact value
    close = p * excess(torch.where(near, ratio, 0.0))
    apart = log_q.exp() - p - p * ratio
    return torch.where(near, close, apart).sum(-1)


def probability_gap(log_q: Tensor, log_p: Tensor, gap: Tensor) -> Tensor:
    """The difference q − p (B, C) with all its digits, without a graph; arguments as `divergence`."""
    log_q = log_q.detach()
    ratio, near = _log_ratio(log_q, log_p, gap)
    return _shortfall(ratio, near, log_q.exp(), log_p.exp())


def exact_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """Student − teacher (B, C), less its value at the teacher's first class, without a graph.

    An offset between the two carries no information but would cost digits. The rounding error of the subtraction is itself a floating-point
    number, found by Knuth's six operations, so the offset can be taken off as if there had been no rounding.
    """
    student, teacher = student.detach(), teacher.detach()
    difference = student - teacher
    away = student - difference
    error = (student - (difference + away)) + (away - teacher)
    first = teacher.argmax(-1, keepdim=True)
    return (difference - difference.gather(-1, first)) + (error - error.gather(-1, first))


def _log_ratio(log_q: Tensor, log_p: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """The ratio r = log q − log p (B, C), and where it is small: there it is the gap plus the constant for which q sums to 1, to the last digit."""
    p, q = log_p.exp(), log_q.exp()
    rough = log_q - log_p
    near = rough.abs() < 1
    weight = torch.where(near, p, 0.0)
    constant = (weight * torch.where(near, rough - gap, 0.0)).sum(-1, keepdim=True) / _at_least_tiny(weight.sum(-1, keepdim=True))
    ratio = torch.where(near, _tame(gap + constant), rough)
    # The constant has the rounding of the rough ratios; one step of Newton's method on sum(q) = sum(p) has none to speak of.
    surplus = _shortfall(ratio, near, q, p).sum(-1, keepdim=True)
    step = surplus / _at_least_tiny(torch.where(near, q, 0.0).sum(-1, keepdim=True))
    return torch.where(near, ratio - _tame(step), rough), near


def _shortfall(ratio: Tensor, near: Tensor, q: Tensor, p: Tensor) -> Tensor:
    """The difference q − p, from the ratio where that is small."""
    return torch.where(near, p * torch.expm1(torch.where(near, ratio, 0.0)), q - p)


def _at_least_tiny(tensor: Tensor) -> Tensor:
    """No division by 0 where no class is near."""
    return tensor.clamp_min(torch.finfo(tensor.dtype).tiny)


def _tame(ratio: Tensor) -> Tensor:
    """Beyond ±2 only where all classes that are near have a probability of about 0: any finite number does there."""
    return ratio.clamp(-2, 2)
