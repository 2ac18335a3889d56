"""Writers that are killed before one of their calls of the system, as by SIGKILL, in this process and without its cost."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("fsync", "link", "mkdir", "rename", "replace", "unlink")
"""What changes a folder or a file for good."""


class Killed(BaseException):
    """Nobody catches it."""


@contextmanager
def killed_before(number: int | None, *, torn: float = 1.0) -> Iterator[list[str]]:
    """Whoever writes is killed before his n-th one of the `CALLS`, counted from 0, and makes none any more: his tidying up does not happen either.

    Of the file that he was about to flush the share ``torn`` has come to the disk. The calls that were allowed are noted. Nothing is flushed really,
    as nobody pulls the plug.
    """
    passed: list[str] = []
    dead = False

    def guarded(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal dead
            if len(passed) == number:
                if name == "fsync" and not dead:
                    _tear(*arguments, torn)
                dead = True
                raise Killed
            passed.append(name)
            return None if name == "fsync" else call(*arguments, **named)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, guarded(name, getattr(os, name)))
        yield passed


def _tear(descriptor: int, share: float) -> None:
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        os.ftruncate(descriptor, int(share * found.st_size))
