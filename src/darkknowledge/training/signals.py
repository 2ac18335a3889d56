"""SIGINT and SIGTERM: work with a state to save is asked to stop, all other work is left at once. A second signal ends the process.

Blocks of the two kinds nest, and the innermost decides. Whichever it was, the outermost ends with `Interrupted`, after every folder and file on the
way was left in order.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from darkknowledge.errors import Interrupted

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._asks = True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        for watched in _WATCHED:
            signal.signal(watched, signal.SIG_DFL)
        if not self._asks:
            raise _Leave(number)


class _Leave(BaseException):
    """On its way out of a block; none of the libraries in between takes it for an error of its own."""

    def __init__(self, number: int) -> None:
        self.number, self.told = number, Interrupted(f"stopped by signal {number}", signal=number)
        self.exit_code = self.told.exit_code
        super().__init__(str(self.told))


_current: StopRequest | None = None
"""That of the outermost block: signals are the whole process's."""


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """In this block a signal only asks, and whoever has something to save looks at it between two batches.

    Nothing is installed outside the main thread, where Python forbids it.

    Raises:
        Interrupted: a signal came, and the block ended without an answer to it.
    """
    with _block(asks=True) as request:
        yield request


@contextmanager
def stoppable(tell: Callable[[int], Interrupted] | None = None) -> Iterator[None]:
    """In this block a signal ends the work wherever it is; ``tell`` may say more of that, for the signal's number.

    Raises:
        Interrupted: a signal came.
    """
    with _block(asks=False):
        try:
            yield
        except _Leave as left:
            left.told = tell(left.number) if tell is not None else left.told
            raise


@contextmanager
def _block(*, asks: bool) -> Iterator[StopRequest]:
    global _current
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return
    outer, request = _current, _current or StopRequest()
    outside, _current = request._asks, request
    handlers = {number: signal.signal(number, request._receive) for number in _WATCHED if outer is None}
    try:
        try:
            request._asks = asks
            if request.signal is not None and not asks:
                raise _Leave(request.signal)
            yield request
        finally:
            request._asks = outside
    except _Leave as left:
        if outer is None:
            raise left.told from left
        raise
    finally:
        _current = outer
        for number, handler in handlers.items():
            signal.signal(number, handler)
    # It only asked, or a library caught what was raised.
    if request.signal is not None and outer is None:
        raise _Leave(request.signal).told
    if request.signal is not None and not outside:
        raise _Leave(request.signal)
