"""SIGINT and SIGTERM ask; the loop answers after its step. A second signal ends the process at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for watched in _WATCHED:
            signal.signal(watched, signal.SIG_DFL)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM while the block runs (nothing is installed outside the main thread, where Python forbids it)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request._receive) for number in _WATCHED}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
