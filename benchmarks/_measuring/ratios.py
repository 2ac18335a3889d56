"""Ratios within a round, their median and its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks._measuring.timing import Seconds

RESAMPLES = 10_000
KINDS = ("processor", "wall")


@dataclass(frozen=True, slots=True)
class Ratio:
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 2 if self.median >= 2 else 3
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def median_of(values: Sequence[float]) -> Ratio:
    """The median with its percentile bootstrap interval (95 %, 10,000 resamples).

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    sample = np.asarray(values, dtype=np.float64)
    draws = np.median(np.random.default_rng(0).choice(sample, (RESAMPLES, len(sample))), axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return Ratio(*(round(float(value), 5) for value in (np.median(sample), low, high)))


def ratio(ours: Sequence[Seconds], theirs: Sequence[Seconds]) -> dict[str, Ratio]:
    """For processor and wall time the median of ours / theirs of the same round."""
    return {kind: median_of([one[index] / other[index] for one, other in zip(ours, theirs, strict=True)]) for index, kind in enumerate(KINDS)}


def as_json(ratios: dict[str, Ratio]) -> dict[str, Any]:
    """The same as plain data."""
    return {kind: asdict(found) for kind, found in ratios.items()}
