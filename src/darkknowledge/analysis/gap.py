"""How much of the way from the student alone to its teacher distillation went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.analysis.significance import RESAMPLES, Interval, paired_test, percentile_interval, resampled
from darkknowledge.errors import UsageError


@dataclass(frozen=True, slots=True)
class GapRecovered:
    """The mean gap in errors, its t interval, and the share of it recovered with a bootstrap interval.

    ``share`` and ``interval`` are None (n/a) unless the whole interval of the gap lies above 0: a gap that may be nothing cannot be recovered.
    """

    gap: float
    gap_interval: Interval | None
    share: float | None
    interval: Interval | None


def gap_recovered(
    *,
    student_alone: Sequence[float],
    distilled: Sequence[float],
    teacher: Sequence[float],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> GapRecovered:
    r"""Share (alone − distilled) / (alone − teacher) of mean test errors, one value per seed and paired by position.

    ``teacher`` holds one value per seed too, or a single one when all students had the same teacher. Whole seeds are drawn with replacement for the
    interval; the few draws (at most about ``(1 − level) / 2`` of them) in which the gap vanishes or turns over have no share and are left out.

    Raises:
        UsageError: lengths that don't fit, no values, or a level outside (0, 1).

    >>> round(gap_recovered(student_alone=[146, 150, 142], distilled=[74, 75, 73], teacher=[67]).share, 3)
    0.911

    Source: the measure behind "more than 80 % of the improvement" in Hinton, Vinyals & Dean (2015), section 4.1.
    """
    n = len(student_alone)
    if len(teacher) not in (1, n):
        raise UsageError(f"{n} students have {len(teacher)} teachers", fix="give one value for the teacher, or one per seed")
    teachers = list(teacher) * (n if len(teacher) == 1 else 1)
    gap = paired_test(student_alone, teachers, level=level)
    gain = paired_test(student_alone, distilled, level=level)
    if gap.interval is None or gap.interval.low <= 0:
        return GapRecovered(gap.difference, gap.interval, None, None)
    shares = _shares(*(torch.tensor(column, dtype=torch.float64) for column in (student_alone, distilled, teachers)), resamples=resamples, seed=seed)
    return GapRecovered(gap.difference, gap.interval, gain.difference / gap.difference, percentile_interval(shares, level=level))


def _shares(alone: Tensor, distilled: Tensor, teacher: Tensor, *, resamples: int, seed: int) -> Tensor:
    draws = torch.cat(list(resampled(len(alone), resamples=resamples, seed=seed)))
    gains, gaps = (alone - distilled)[draws].mean(-1), (alone - teacher)[draws].mean(-1)
    return gains[gaps > 0] / gaps[gaps > 0]
