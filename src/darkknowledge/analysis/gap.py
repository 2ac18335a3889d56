"""How much of the way from the student alone to its teacher distillation went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import covariance, fmean

from darkknowledge.analysis.significance import ROUNDING, Interval, paired_test, t_quantile
from darkknowledge.errors import UsageError


@dataclass(frozen=True, slots=True)
class GapRecovered:
    """The mean gap in errors with its t interval, and the share of it that was recovered with Fieller's interval.

    ``share`` and ``interval`` are None (n/a) unless the whole interval of the gap lies above 0: a gap that may be nothing cannot be recovered.
    ``interval`` alone is None where every seed has the same share.
    """

    gap: float
    gap_interval: Interval | None
    share: float | None
    interval: Interval | None

    @property
    def why_not(self) -> str:
        """Why there is no share, in words."""
        if self.gap_interval is None:
            return "one seed, or seeds that come to the same, do not tell how large the gap is"
        return "the gap between student and teacher may be nothing"


def gap_recovered(*, student_alone: Sequence[float], distilled: Sequence[float], teacher: Sequence[float], level: float = 0.95) -> GapRecovered:
    r"""Share (alone − distilled) / (alone − teacher) of mean test errors, one value per seed and paired by position.

    ``teacher`` holds one value per seed too, or a single one when all students had the same teacher.

    Raises:
        UsageError: lengths that don't fit, no values, or a level outside (0, 1).

    >>> round(gap_recovered(student_alone=[146, 150, 142], distilled=[74, 75, 73], teacher=[67]).share, 3)
    0.911

    Source: the measure behind "more than 80 % of the improvement" in Hinton, Vinyals & Dean (2015), section 4.1; interval: Fieller (1954).
    """
    n = len(student_alone)
    if len(teacher) not in (1, n):
        raise UsageError(f"{n} students have {len(teacher)} teachers", fix="give one value for the teacher, or one per seed")
    teachers = list(teacher) * (n if len(teacher) == 1 else 1)
    gap = paired_test(student_alone, teachers, level=level)
    gain = paired_test(student_alone, distilled, level=level)
    if gap.interval is None or gap.interval.low <= 0:
        return GapRecovered(gap.difference, gap.interval, None, None)
    gains = [alone - own for alone, own in zip(student_alone, distilled, strict=True)]
    gaps = [alone - own for alone, own in zip(student_alone, teachers, strict=True)]
    return GapRecovered(gap.difference, gap.interval, gain.difference / gap.difference, _fieller(gains, gaps, level=level))


def _fieller(gains: Sequence[float], gaps: Sequence[float], *, level: float) -> Interval | None:
    """All shares s for which the paired t test does not reject "the mean of gain − s × gap is 0": one interval where 0 is rejected for the gap."""
    n, gain, gap = len(gains), fmean(gains), fmean(gaps)
    scale = t_quantile(level, freedom=n - 1) ** 2 / n
    # The ends solve a s² − 2 b s + c = 0.
    a, b, c = gap**2 - scale * covariance(gaps, gaps), gap * gain - scale * covariance(gains, gaps), gain**2 - scale * covariance(gains, gains)
    half = math.sqrt(max(b * b - a * c, 0.0)) / a
    if half <= math.sqrt(ROUNDING) * max(1.0, abs(b / a)):  # the square root of what subtraction leaves of equal products
        return None
    return Interval(b / a - half, b / a + half, level)
