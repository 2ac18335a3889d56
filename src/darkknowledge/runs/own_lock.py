"""Locks of one process alone: a forked child, as a DataLoader's worker is, would still hold them when its parent has been killed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: set[int] = set()


@contextmanager
def not_inherited(descriptor: int) -> Iterator[None]:
    """Keep the lock on an open file from every child that is forked meanwhile; ``flock`` would hold until the last of them ends."""
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)


def held_by_anybody(path: Path) -> bool:
    """Whether a process holds the lock on a file, as far as that can be known."""
    try:
        # Without waiting, as one that is a pipe would have us do for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _let_go() -> None:
    """In the child: each of the parent's locks becomes a file of nothing, which whoever owns the descriptor may still close."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in _held:
        os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
