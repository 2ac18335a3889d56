"""How many threads torch works with: no more than the cores that this process may keep busy.

torch takes the cores that it sees. In a container with a quota of processor time that is too many: the threads of an operation wait for each other,
and those that the quota stops make all of them wait. Two threads on the two halves of one core are no faster than one (``benchmarks/threads``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CHOSEN_BY_USER = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables with which a user chooses the number for every program; torch obeys them."""


def use_threads(wanted: int | None) -> None:
    """Let torch work with ``wanted`` threads; None lowers their number to `usable_threads`, unless the user has chosen one in the environment."""
    import torch

    if wanted is not None:
        torch.set_num_threads(wanted)
    elif not any(os.environ.get(name) for name in CHOSEN_BY_USER):
        # Only ever lower, so that a number that the calling program has set is obeyed too.
        torch.set_num_threads(min(torch.get_num_threads(), usable_threads(_cores(), _quota())))


@contextmanager
def threads_restored() -> Iterator[None]:
    """Afterwards the calling program has as many threads as before."""
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def usable_threads(cores: Mapping[int, str], quota: float | None) -> int:
    """The number of threads that run at the same time without sharing a core.

    Args:
        cores: for each processor that the process may use the name of its core, which hyperthreads share.
        quota: processor seconds per second that the process may take; None is no limit.

    >>> usable_threads({0: "a", 1: "b", 2: "a", 3: "b"}, quota=None)
    2
    >>> usable_threads({0: "a", 1: "b", 2: "c"}, quota=1.5)
    1
    """
    whole = len(set(cores.values())) if quota is None else min(len(set(cores.values())), int(quota))
    return max(whole, 1)


def _cores() -> dict[int, str]:
    """The processors of this process, each with the list of those on its core; where that is not told, each is a core."""
    numbers = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {number: _read(Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")) or str(number) for number in numbers}


def _quota(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """The smallest quota of the control groups that this process is in (of version 2 or 1), in processors."""
    found = []
    for line in _read(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        group = (root if not controllers else root / "cpu") / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            quota, period = _limits(folder)
            if quota.isdecimal() and period.isdecimal() and int(period):
                found.append(int(quota) / int(period))
    return min(found, default=None)


def _limits(folder: Path) -> tuple[str, str]:
    """Quota and period of one control group as the kernel writes them; ``max`` or −1 is no limit, and so is a file that is not there."""
    words = _read(folder / "cpu.max").split()
    if len(words) == 2:
        return words[0], words[1]
    return _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
