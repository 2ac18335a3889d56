"""The distribution Beta(α, α), drawn in steps of 2⁻¹⁶ and compared in integers, so that no library's last digit decides a draw."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

WHOLE = 1 << 16
"""Shares are counted in 2⁻¹⁶: a draw is an integer from 0 to this."""

LARGEST_ALPHA = 100.0
TERMS = 256
"""Of the series below; at the largest α the last one is below 10⁻³⁰ of the first."""


def shares(numbers: Tensor, alpha: float) -> Tensor:
    """The quantiles of Beta(α, α) at (``numbers`` + 1/2) / 2²⁴, rounded to multiples of 2⁻¹⁶ and counted in those.

    Args:
        numbers: (N,) int64 in [0, 2²⁴).
        alpha: α above 0 and at most `LARGEST_ALPHA`; 1 is the uniform distribution, a smaller one prefers shares near 0 and 1.

    Returns:
        (N,) int64 in [0, `WHOLE`], on the device of ``numbers``.

    >>> shares(torch.tensor([0, 1 << 22, 1 << 23]), 1.0)
    tensor([    0, 16384, 32768])
    """
    return torch.searchsorted(_thresholds(alpha, numbers.device), numbers, right=True)


@cache
def _thresholds(alpha: float, device: torch.device) -> Tensor:
    """Where the rounded quantile goes up by one: I_x(α, α) at the `WHOLE` odd multiples x of 2⁻¹⁷, in units of 2⁻²⁴, (2¹⁶,) int64.

    A number n reaches t if n + 1/2 ≥ t, which is n ≥ round(t): the rounding changes nothing, and takes away the digits in which libraries differ.
    """
    lower = (_distribution(alpha) * 2.0**24).round().long()
    return torch.cat([lower, (1 << 24) - lower.flip(0)]).to(device)


def _distribution(alpha: float) -> Tensor:
    r"""I_x(α, α) at the odd multiples x of 2⁻¹⁷ below 1/2, (2¹⁵,) float64.

    .. math:: I_x(\alpha, \alpha) \propto x^\alpha (1-x)^\alpha \sum_{n \ge 0} x^n \prod_{k=1}^{n} \frac{2\alpha + k - 1}{\alpha + k}

    in which no term is negative, so nothing cancels. By symmetry the value at x = 1/2 is 1/2, which gives the constant.

    Source: NIST Digital Library of Mathematical Functions, 8.17.8.
    """
    x = torch.cat([(torch.arange(WHOLE // 2, dtype=torch.float64) + 0.5) / WHOLE, torch.tensor([0.5], dtype=torch.float64)])
    total, term = torch.ones_like(x), torch.ones_like(x)
    for k in range(1, TERMS):
        term = term * x * ((2 * alpha + k - 1) / (alpha + k))
        total = total + term
    value = (4 * x * (1 - x)) ** alpha * total
    return value[:-1] / (2 * value[-1])
