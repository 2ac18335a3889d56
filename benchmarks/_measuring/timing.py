"""Work that takes turns, timed.

All variants run once a round, in another order each round, so that a busy moment of the machine hits all of them alike; what is compared is
variants of the same round. Processor time is the time that this process's threads computed; wall time also counts the time that they waited.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

Work = Callable[[], object]
REPEATS = 30
"""Rounds unless told otherwise."""


class Seconds(NamedTuple):
    """Processor and wall seconds of one call."""

    processor: float
    wall: float


def timed(work: Work, *, calls: int = 1, settle: Work | None = None) -> Seconds:
    """Seconds of one call, the mean of ``calls``; ``settle`` waits for an accelerator to finish, before the clock starts and before it stops.

    Work that returns `Seconds` has timed itself (`seconds_of_steps`), and is called once.
    """
    if settle is not None:
        settle()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        result = work()
        if isinstance(result, Seconds):
            return result
    if settle is not None:
        settle()
    return Seconds((time.process_time() - processor) / calls, (time.perf_counter() - wall) / calls)


def calls_for(work: Work, *, least: float, settle: Work | None = None) -> int:
    """How many calls take ``least`` seconds, after one call to warm up; clocks and loops cost too much beside a single short one."""
    if isinstance(work(), Seconds):
        return 1
    return max(1, math.ceil(least / max(timed(work, settle=settle).wall, 1e-7)))


def rounds(variants: Mapping[str, Work], *, repeats: int = REPEATS, calls: Mapping[str, int], settle: Work | None = None) -> dict[str, list[Seconds]]:
    """Seconds of a call of every variant, round by round, in a shuffled order; ``calls`` of one in a round, whose mean counts."""
    found: dict[str, list[Seconds]] = {name: [] for name in variants}
    shuffle = random.Random(0)
    for _ in range(repeats):
        for name in shuffle.sample(sorted(variants), len(variants)):
            found[name].append(timed(variants[name], calls=calls[name], settle=settle))
    return found
