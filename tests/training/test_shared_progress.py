from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from darkknowledge.training.shared_progress import make_shared_progress
from darkknowledge.training.watching import Plan, Record, Watcher


def screen(width: int = 100, height: int = 24, *, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=terminal, legacy_windows=False, _environ={})


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n").rstrip("\n").split("\n")


def values(number: int, epoch: int) -> dict[str, float]:
    return {"loss": 1.0 + number, "hard": 1.0 + number, "learning_rate": 0.1, "validation_accuracy": (90 + number + epoch / 10) / 100}


def train(watchers: list[Watcher], epochs: int, *, names: list[str] | None = None, diverges: tuple[int, int] = (-1, -1), done: int = 0) -> None:
    """As a group of runs tells them: every step and record from each in turn; one may drop out in an epoch."""
    going = dict(enumerate(watchers))
    for index, watcher in going.items():
        watcher.begin(Plan(names[index] if names else str(index), steps=epochs * 4, epochs=epochs, done=done * 4, epochs_done=done))
    for epoch in range(done + 1, epochs + 1):
        for step in range(epoch * 4 - 3, epoch * 4 + 1):
            for watcher in going.values():
                watcher.step(step)
        for index in list(going):
            if (index, epoch) == diverges:
                going.pop(index).end()
            else:
                going[index].record(Record("epoch", epoch * 4, float(epoch), values(index, epoch)))
    for watcher in going.values():
        watcher.end()


@pytest.mark.parametrize(("epochs", "expected"), [(1, 1), (9, 9), (10, 10), (11, 6), (30, 10), (100, 10)])
def test_without_a_terminal_there_is_a_line_for_all_from_the_worst_to_the_best(epochs: int, expected: int) -> None:
    console = screen(terminal=False)
    train(list(make_shared_progress(console, 3)), epochs)
    found = lines(console)
    assert len(found) == expected
    best = 92 + epochs / 10
    assert found[-1] == f"students 0, 1, 2: epoch {epochs}/{epochs}, validation {best - 2:.2f}% to {best:.2f}%"
    assert all(line.endswith(" s left") for line in found[:-1])


def test_without_validation_the_losses_are_shown() -> None:
    console = screen(terminal=False)
    watchers = make_shared_progress(console, 2)
    for watcher in watchers:
        watcher.begin(Plan("a-long-name-that-does-not-fit", steps=4, epochs=1))
    for index, watcher in enumerate(watchers):
        watcher.record(Record("epoch", 4, 1.0, {"loss": 1.5 + index}))
    assert lines(console) == ["2 students: epoch 1/1, loss 1.5000 to 2.5000"]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_one_that_drops_out_is_no_longer_waited_for(index: int) -> None:
    console = screen(terminal=False)
    train(list(make_shared_progress(console, 3)), 3, diverges=(index, 2))
    names = ", ".join(str(each) for each in range(3) if each != index)
    assert [line.partition(":")[0] for line in lines(console)] == ["students 0, 1, 2", f"students {names}", f"students {names}"]


@pytest.mark.parametrize("terminal", [False, True])
def test_groups_one_after_the_other_are_shown_each_by_itself(terminal: bool) -> None:
    """As after a kill between two saves, when some go on from another step."""
    console = screen(terminal=terminal)
    watchers = list(make_shared_progress(console, 3))
    train(watchers[:2], 2)
    train(watchers[2:], 2, names=["late"], done=1)
    found = [line.strip() for line in lines(console)]
    if terminal:
        assert any(line.startswith("students 0, 1 epoch 2/2") for line in found)
        assert found[-2].startswith("late epoch 2/2")
        assert found[-1] == "late  hard 1.0000  validation 90.20%"
    else:
        assert [line.partition(",")[0] for line in found] == ["students 0", "students 0", "late: epoch 2/2"]


def test_on_a_terminal_each_has_a_line_under_the_bar() -> None:
    console = screen(terminal=True)
    train(list(make_shared_progress(console, 3)), 5, names=["a", "[b]", "small"])
    *_, bar, first, second, third = (line.rstrip() for line in lines(console))
    assert re.fullmatch(r"students a, \[b\], small epoch 5/5 ━+ 0:00:0\d 0:00:00 left", bar)
    assert first == "a      hard 1.0000  validation 90.50%"
    assert second == "[b]    hard 2.0000  validation 91.50%"
    assert third == "small  hard 3.0000  validation 92.50%"


def test_more_than_the_screen_holds_are_counted() -> None:
    console = screen(height=10, terminal=True)
    train(list(make_shared_progress(console, 30)), 1)
    found = [line.rstrip() for line in lines(console)]
    assert found[-1] == "… and 24 more"
    assert found[-8].startswith("30 students epoch 1/1")


def test_the_cursor_comes_back() -> None:
    console = screen(terminal=True)
    train(list(make_shared_progress(console, 2)), 2)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("\x1b[?25l") == console.file.getvalue().count("\x1b[?25h") == 1
