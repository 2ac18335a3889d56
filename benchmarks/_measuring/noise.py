"""Whether the machine was quiet enough to believe what was timed on it.

In every round one fixed piece of work runs beside the variants: a sort of 2¹⁸ numbers, one thread, 2 MB. What it takes tells about the machine alone.

- It *waited* if the median of wall / processor time is above 1.05: other programs held the core for a twentieth of the time. Then wall times say
  little, and ratios of processor time still hold.
- It was *unsteady* if the interquartile range of its processor time is above a tenth of the median: the core itself ran faster and slower (caches,
  memory and clock are shared). Then the interval of every ratio has to be looked at, and those of seconds mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks._measuring.timing import Seconds

REFERENCE = "reference"
"""The name of the fixed work among the variants."""
WAITED, UNSTEADY = 1.05, 0.10


@dataclass(frozen=True, slots=True)
class Noise:
    """What the fixed work took: the median of wall / processor time, and the interquartile range of processor time over its median."""

    waited: float
    spread: float

    @classmethod
    def of(cls, reference: Sequence[Seconds]) -> Noise:
        """The noise in the rounds of `sort`."""
        processor, wall = np.array(reference).T
        low, middle, high = np.quantile(processor, (0.25, 0.5, 0.75))
        return cls(round(float(np.median(wall / processor)), 3), round(float((high - low) / middle), 3))

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was wrong; nothing on a quiet machine."""
        waited = f"it waited: wall time was {self.waited:.2f} of processor time (bound {WAITED}), so judge by processor time"
        unsteady = f"it was unsteady: a fixed piece of work varied by {self.spread:.0%} (bound {UNSTEADY:.0%}), so look at the intervals"
        return (waited,) * (self.waited > WAITED) + (unsteady,) * (self.spread > UNSTEADY)

    def __str__(self) -> str:
        return f"the machine was too noisy: {'; '.join(self.reasons)}" if self.reasons else "the machine was quiet"


@cache
def _numbers() -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal(2**18)


def sort() -> None:
    """The fixed work."""
    np.sort(_numbers())
