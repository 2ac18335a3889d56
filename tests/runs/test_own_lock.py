"""Locks that a forked child has no part in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from darkknowledge.errors import BusyError
from darkknowledge.runs.folder import lock
from darkknowledge.transfer._lock import building


def holder_with_a_child(held: AbstractContextManager[None]) -> tuple[int, int]:
    """A process that holds the lock, and one that it has forked meanwhile, as a loader's worker is; both wait for a signal."""
    told, tell = os.pipe()
    holder = os.fork()
    if holder == 0:
        with suppress(BaseException), held:
            child = os.fork()
            if child:
                os.write(tell, str(child).encode())
            signal.pause()
        os._exit(1)
    os.close(tell)
    try:
        return holder, int(os.read(told, 20))
    finally:
        os.close(told)


@pytest.mark.parametrize(
    "held", [lock, lambda path: building(path, part=(0, 1)), lambda path: building(path, part=(0, 2))], ids=["run", "transfer set", "a part of one"]
)
def test_the_lock_of_a_process_that_was_killed_is_free_though_a_worker_of_it_lives(
    held: Callable[[Path], AbstractContextManager[None]], tmp_path: Path
) -> None:
    holder, worker = holder_with_a_child(held(tmp_path))
    try:
        with pytest.raises(BusyError), held(tmp_path):
            pass
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        with held(tmp_path):
            os.kill(worker, 0)  # it does live
    finally:
        os.kill(worker, signal.SIGKILL)
