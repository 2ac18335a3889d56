"""How much memory work needs on top of what is there.

Tensors: every allocation of torch's allocator, as its profiler reports it, also those of compiled code, which a dispatch mode would not see. What a
library takes from the system by itself (scratch memory of oneDNN) is not in it.
A process: its anonymous pages, sampled, which is private memory; pages of mapped files can be dropped at any time. (Needs Linux.)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks._measuring.timing import Work

SAMPLED_EVERY = 0.01
"""Seconds."""


def peak_of_tensors(work: Work, *, device: str = "cpu") -> int:
    """The most bytes of tensors that ``work`` held at once, on top of those that were there before; it runs once before to warm up."""
    work()
    if device != "cpu":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = profiler.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(accumulate((size for _, size in changes), initial=0))


def private() -> int:
    """Bytes of anonymous memory of this process, now."""
    (found,) = re.findall(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    return 1024 * int(found)


@dataclass(slots=True)
class Grown:
    """Bytes that private memory grew by: the most of them, and those still there at the end."""

    peak: int = 0
    end: int = 0


@contextmanager
def watched() -> Iterator[Grown]:
    """What happens inside, its private memory sampled a hundred times a second."""
    before, grown, done = private(), Grown(), threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLED_EVERY):
            grown.peak = max(grown.peak, private() - before)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield grown
    finally:
        done.set()
        thread.join()
        grown.end = private() - before
        grown.peak = max(grown.peak, grown.end)
