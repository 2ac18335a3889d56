"""Who may build a set: one process alone, or several that each hold a part of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkknowledge.errors import BusyError
from darkknowledge.runs.files import storage_error
from darkknowledge.runs.own_lock import not_inherited
from darkknowledge.transfer._layout import LOCK, SHARDS, printable

ATTEMPTS, PAUSE = 10, 0.05
"""A process that leaves holds the lock alone for a moment, so a newcomer asks again for half a second."""


@contextmanager
def building(folder: Path, *, part: tuple[int, int]) -> Iterator[None]:
    """Hold the right to build part ``(i, n)`` of the set in ``folder``; ``(0, 1)`` is all of it.

    ``.lock`` is held alone for all and together with others for a part, which has a lock of its own too. The system frees them when a process ends
    in whatever way. What killed writers left behind is removed by whoever begins alone, and with the locks by the last one to leave.

    Raises:
        BusyError: another process holds it; the message names one.
        ResourceError: the folder can't be written.
    """
    index, parts = part
    with _held(folder / LOCK, shared=parts > 1) as descriptor:
        try:
            if parts == 1:
                _clear(folder, keep=LOCK)
                yield
            else:
                own = folder / f"{LOCK}-{index}-of-{parts}"
                with _held(own, shared=False):
                    yield
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _clear(folder)


def leftovers(folder: Path) -> list[Path]:
    """Files of writers and builders that ended without removing them, or that are still at work."""
    places = (folder, folder / SHARDS)
    return sorted([path for place in places for path in place.glob(".*.tmp-*")] + list(folder.glob(f"{LOCK}*")))


def _clear(folder: Path, *, keep: str = "") -> None:
    # The lock itself goes last: whoever makes a new one finds a clean folder.
    for path in sorted(leftovers(folder), key=lambda path: path.name == LOCK):
        if path.name != keep:
            path.unlink(missing_ok=True)


@contextmanager
def _held(path: Path, *, shared: bool) -> Iterator[int]:
    descriptor = _locked(path, shared=shared)
    try:
        holder = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        with contextlib.suppress(OSError):  # a full disk: the lock holds without saying whose it is, and what comes next explains
            # Over the text of the one before, so that nobody who looks meanwhile finds none.
            os.ftruncate(descriptor, os.pwrite(descriptor, holder.encode(), 0))
        with not_inherited(descriptor):
            yield descriptor
    finally:
        os.close(descriptor)


def _locked(path: Path, *, shared: bool) -> int:
    for attempt in range(ATTEMPTS):
        try:
            # A link would lead the lock's text into somebody's file.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise storage_error(error, path) from error
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            # Between opening and locking, its last holder may have removed the file: a lock that nobody else would find.
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor
        holder = os.pread(descriptor, 1024, 0).decode(errors="replace").strip() or "an unknown process"
        os.close(descriptor)
        if attempt < ATTEMPTS - 1:
            time.sleep(PAUSE)
    what = f"{path.parent} is being recorded by {printable(holder)}"
    raise BusyError(what, where=str(path), fix="wait for it, choose another folder with out=…, or record different parts with shard=i/n")
