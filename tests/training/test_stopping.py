"""The two kinds of blocks, alone and within each other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from darkknowledge.errors import DataError, Interrupted
from darkknowledge.training.signals import stop_request, stoppable

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers_restored() -> Iterator[None]:
    """Whatever happened in a block, afterwards the handlers are those of before."""
    before = handlers()
    yield
    assert handlers() == before


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in NUMBERS]


def interrupted(work: Callable[[list[Any]], None]) -> tuple[Interrupted, list[Any]]:
    """How the work was told to stop, and what it noted until then."""
    noted: list[Any] = []
    with pytest.raises(Interrupted) as stopped:
        work(noted)
    return stopped.value, noted


@pytest.mark.parametrize("number", NUMBERS)
def test_work_with_nothing_to_save_is_left_at_once(number: int) -> None:
    def work(noted: list[Any]) -> None:
        with stoppable():
            try:
                signal.raise_signal(number)
            except Exception:
                noted.append("caught")
            noted.append("went on")

    stopped, noted = interrupted(work)
    assert (stopped.exit_code, str(stopped)) == (128 + number, f"stopped by signal {number:d}")
    assert noted == []


@pytest.mark.parametrize("number", NUMBERS)
def test_work_with_something_to_save_is_asked(number: int) -> None:
    def work(noted: list[Any]) -> None:
        with stop_request() as stop:
            noted.append(stop.signal)
            signal.raise_signal(number)
            noted.append(stop.signal)
            raise Interrupted("saved", signal=number)

    stopped, noted = interrupted(work)
    assert (str(stopped), noted) == ("saved", [None, number])


def test_after_the_first_signal_the_system_handles_the_next_until_the_outermost_block_ends() -> None:
    def work(noted: list[Any]) -> None:
        with stoppable():
            try:
                with stop_request():
                    signal.raise_signal(signal.SIGINT)
                    noted.append(handlers())
            finally:
                with stop_request():
                    noted.append(handlers())

    assert interrupted(work)[1] == [[signal.SIG_DFL] * 2] * 2


def test_who_was_only_asked_ends_with_the_block() -> None:
    def work(noted: list[Any]) -> None:
        with stoppable():
            with stop_request():
                signal.raise_signal(signal.SIGTERM)
                with stop_request():
                    noted.append("inner")
                noted.append("outer")
            noted.append("after")

    def alone(noted: list[Any]) -> None:
        with stop_request():
            signal.raise_signal(signal.SIGTERM)
            noted.append("to its end")

    assert interrupted(work)[1] == ["inner", "outer"]
    assert interrupted(alone)[1] == ["to its end"]


def test_a_library_that_catches_everything_delays_the_end_and_does_not_prevent_it() -> None:
    def work(noted: list[Any]) -> None:
        with stoppable():
            with suppress(BaseException):
                signal.raise_signal(signal.SIGTERM)
            with stop_request() as stop:
                noted.append(stop.signal)
            noted.append("after")

    def later(noted: list[Any]) -> None:
        with stop_request():
            signal.raise_signal(signal.SIGTERM)
            with stoppable():
                noted.append("begun")

    assert interrupted(work)[1] == [signal.SIGTERM]
    assert interrupted(later)[1] == []


def test_an_error_on_the_way_out_is_told() -> None:
    """A state that cannot be saved matters more than the signal."""

    def work() -> None:
        with stoppable(), stop_request():
            signal.raise_signal(signal.SIGTERM)
            raise DataError("the disk is full")

    with pytest.raises(DataError, match="the disk is full"):
        work()


def test_what_lies_between_sees_an_end_with_its_exit_code_and_the_innermost_words_are_told() -> None:
    def work(noted: list[Any]) -> None:
        with stoppable():
            try:
                with stoppable(lambda number: Interrupted(f"{number} after 7 rows", signal=number)), stoppable():
                    signal.raise_signal(signal.SIGTERM)
            except BaseException as error:
                noted.append((getattr(error, "exit_code", None), str(error)))
                raise

    stopped, noted = interrupted(work)
    assert noted == [(143, "stopped by signal 15")]
    assert (str(stopped), stopped.exit_code) == ("15 after 7 rows", 143)


def test_another_thread_installs_nothing() -> None:
    found = []

    def work() -> None:
        with stoppable(), stop_request() as stop:
            found.append((stop.signal, handlers()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, handlers())]
