"""A disk that fills up: a file system of one megabyte where it may be mounted, else a limit on the size of every file."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.children import Child
from benchmarks.faults.world import fresh

MEGABYTE = 1 << 20


class Disk:
    """A file system of its own; another file takes the space."""

    how = "tmpfs of 1 MiB that another file fills (ENOSPC)"

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, child: Child, spare: int) -> None:
        """Leave ``spare`` bytes, whatever was given back since the last call."""
        free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
        with contextlib.suppress(OSError), (self.path / "filler").open("ab", buffering=0) as file:
            file.write(bytes(max(0, free - spare)))

    def free(self) -> None:
        """Take the other file away."""
        (self.path / "filler").unlink(missing_ok=True)


class Limit(Disk):
    """No file of a child may grow beyond the bytes that are spared."""

    how = "RLIMIT_FSIZE: every file is cut off (EFBIG), because no file system could be mounted"

    def fill(self, child: Child, spare: int) -> None:
        """From now on."""
        if child.code is None:
            _, hard = resource.prlimit(child.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (spare, hard))

    def free(self) -> None:
        """Nothing: the limit is that of a process that has ended."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """The first of the two that this machine lets us have, at ``folder``."""
    fresh(folder).mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTE}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield (Disk if mounted else Limit)(folder)
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a process that still ends there must not hide what went wrong
