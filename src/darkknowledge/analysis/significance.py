"""Whether a difference between runs is more than luck.

Over a handful of seeds the Student t interval is used: with five seeds the percentile bootstrap covers far less than it claims, and an exact
sign-flip test can never fall below p = 2/32. Over examples, of which there are many, the bootstrap and McNemar's exact test assume nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from darkknowledge.errors import UsageError

NORMAL = 1.959964
"""The 97.5 % quantile of the normal distribution."""

RESAMPLES = 10_000
"""Resamples of a bootstrap: the ends of a 95 % interval are then quantiles known to about 0.2 percentage points."""

ROUNDING = 1e-14
"""A standard deviation of less than this times the values is what subtraction leaves of equal ones in float64."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval at ``level``."""

    low: float
    high: float
    level: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and sample standard deviation (n − 1 in the denominator) of ``n`` values, with the t interval of the mean.

    ``sd`` is None for a single value, and ``interval`` for values that are all the same: they say nothing about the spread of the next.
    """

    n: int
    mean: float
    sd: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class PairedTest:
    """The mean of first − second over ``n`` pairs, its t interval, and the two-sided p-value of "the mean is 0".

    Both are None (n/a) for a single pair and for differences that are all the same. There t is a division by 0: with a few seeds, and errors that
    are whole numbers, it is an accident of rounding and no proof, so it may not become p = 0 and an interval of no width.
    """

    n: int
    difference: float
    interval: Interval | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class McNemar:
    """How many examples only the first, and only the second, of two networks gets right, and the two-sided p-value of "equally many"."""

    only_first: int
    only_second: int
    p_value: float


def share_interval(count: int, examples: int) -> Interval:
    """The 95 % interval of a share of which ``count`` of ``examples`` is an estimate, such as the error of a network on a test set.

    It lies in [0, 1], and holds its level for few examples and for shares near 0 too.

    Raises:
        UsageError: no examples, or more counted than there are.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference", the score interval.

    >>> found = share_interval(5, 100)
    >>> round(found.low, 4), round(found.high, 4)
    (0.0215, 0.1118)
    """
    if not 0 <= count <= examples or not examples:
        raise UsageError(f"a share of {count} of {examples} examples", fix="count some of the examples")
    share, square = count / examples, NORMAL**2 / examples
    centre = (share + square / 2) / (1 + square)
    half = math.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0), 0.95)


def summarise(values: Sequence[float], *, level: float = 0.95) -> Summary:
    """Mean, standard deviation and t interval of one number per seed.

    Raises:
        UsageError: no values, or a level outside (0, 1).

    >>> summarise([1.0, 2.0, 3.0]).sd
    1.0
    """
    n = _count(values, level=level)
    mean = fmean(values)
    if n == 1:
        return Summary(1, mean, None, None)
    sd = stdev(values)
    if sd <= ROUNDING * max(map(abs, values)):
        return Summary(n, mean, sd, None)
    half = t_quantile(level, freedom=n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, Interval(mean - half, mean + half, level))


def paired_test(first: Sequence[float], second: Sequence[float], *, level: float = 0.95) -> PairedTest:
    """Student's paired t test of one number per seed; ``first[i]`` and ``second[i]`` share a seed.

    >>> paired_test([6.0, 4.0, 5.0], [3.0, 3.0, 3.0]).difference
    2.0
    >>> paired_test([5.0, 6.0], [4.0, 5.0])  # twice the same difference
    PairedTest(n=2, difference=1.0, interval=None, p_value=None)

    Raises:
        UsageError: sequences of different length, no values, or a level outside (0, 1).

    Source: Student (1908); the two-sided probability for integer degrees of freedom from Abramowitz & Stegun, 26.7.3 and 26.7.4.
    """
    if len(first) != len(second):
        raise UsageError(f"{len(first)} values are paired with {len(second)}", fix="give one value of each kind per seed, in the same order of seeds")
    summary = summarise([a - b for a, b in zip(first, second, strict=True)], level=level)
    if summary.sd is None or summary.sd <= ROUNDING * max(map(abs, (*first, *second))):
        return PairedTest(summary.n, summary.mean, None, None)
    statistic = abs(summary.mean) / (summary.sd / math.sqrt(summary.n))
    return PairedTest(summary.n, summary.mean, summary.interval, max(0.0, 1 - _t_within(statistic, freedom=summary.n - 1)))


def bootstrap_interval(values: Tensor, *, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of the mean of ``values`` (N,), one per example (or per seed, if there are many).

    Raises:
        UsageError: no values, not one dimension, or a level outside (0, 1).

    Source: Efron & Tibshirani (1993), An introduction to the bootstrap, section 13.3.
    """
    if values.ndim != 1:
        raise UsageError(f"bootstrap of values {tuple(values.shape)}", fix="pass one value per example (N,)")
    n = _count(values, level=level)
    numbers = values.detach().double().cpu()
    means = torch.cat([numbers[rows].mean(-1) for rows in resampled(n, resamples=resamples, seed=seed)])
    return percentile_interval(means, level=level)


def mcnemar(first: Tensor, second: Tensor) -> McNemar:
    r"""McNemar's exact test of two networks on the same examples; ``first`` and ``second`` (N,) bool say where each is right.

    Of the n examples on which just one is right, the number falling to either is Binomial(n, 1/2) if both are equally good:
    :math:`p = \min(1, 2 \sum_{i \le \min(b, c)} \binom{n}{i} 2^{-n})`, summed in exact integers.

    Raises:
        UsageError: other shapes or dtypes.

    Source: McNemar (1947); Dietterich (1998) for the comparison of classifiers.

    >>> mcnemar(torch.tensor([True, True, True, False]), torch.tensor([False, False, True, True]))
    McNemar(only_first=2, only_second=1, p_value=1.0)
    """
    if first.shape != second.shape or first.ndim != 1 or {first.dtype, second.dtype} != {torch.bool}:
        shapes = f"{first.dtype} {tuple(first.shape)} and {second.dtype} {tuple(second.shape)}"
        raise UsageError(f"McNemar's test of {shapes}", fix="pass two bool tensors (N,) over the same examples, as `correct` gives them")
    ours, theirs = int((first & ~second).sum()), int((second & ~first).sum())
    term, tail = 1, 1
    for drawn in range(min(ours, theirs)):
        term = term * (ours + theirs - drawn) // (drawn + 1)
        tail += term
    return McNemar(ours, theirs, min(1.0, 2 * tail / 2 ** (ours + theirs)))


def resampled(n: int, *, resamples: int, seed: int) -> Iterator[Tensor]:
    """Indices (r, n) of bootstrap samples in pieces that fit into memory, ``resamples`` rows together."""
    generator = torch.Generator().manual_seed(seed)
    rows = max(1, min(resamples, 2_000_000 // n))
    for start in range(0, resamples, rows):
        yield torch.randint(n, (min(rows, resamples - start), n), generator=generator)


def percentile_interval(values: Tensor, *, level: float) -> Interval:
    """The central ``level`` of ``values`` (R,)."""
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=values.dtype)
    low, high = values.quantile(ends).tolist()
    return Interval(low, high, level)


def _count(values: Sequence[float] | Tensor, *, level: float) -> int:
    if not len(values):
        raise UsageError("no values to summarise")
    if not 0 < level < 1:
        raise UsageError(f"confidence level {level}", fix="choose a level between 0 and 1, such as 0.95")
    return len(values)


def _t_within(t: float, *, freedom: int) -> float:
    """Probability that Student's variable with ``freedom`` degrees of freedom lies in [−t, t] (Abramowitz & Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * k / (k + 1)
    series = math.sin(angle) * total
    return 2 / math.pi * (angle + series) if odd else series


def t_quantile(level: float, *, freedom: int) -> float:
    """The t with `_t_within` equal to ``level``, by bisection."""
    low, high = 0.0, 1.0
    while _t_within(high, freedom=freedom) < level:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, freedom=freedom) < level else (low, middle)
    return high
