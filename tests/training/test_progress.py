from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from darkknowledge.training import progress
from darkknowledge.training.progress import ProgressBar, ProgressLines, describe, make_progress
from darkknowledge.training.watching import Plan, Record

VALUES = {"loss": 1.2345, "soft": 1.0, "hard": 0.2345, "learning_rate": 0.1}
SCORES = {"validation_accuracy": 0.9769, "validation_nll": 0.1}


def epochs(watcher: ProgressBar | ProgressLines, count: int, *, per_epoch: int = 5, begin: int = 0, name: str = "run") -> None:
    watcher.begin(Plan(name, steps=count * per_epoch, epochs=count, done=begin * per_epoch, epochs_done=begin))
    for epoch in range(begin + 1, count + 1):
        for step in range((epoch - 1) * per_epoch + 1, epoch * per_epoch + 1):
            watcher.step(step)
        watcher.record(Record("step", epoch * per_epoch, float(epoch), VALUES))
        watcher.record(Record("epoch", epoch * per_epoch, float(epoch), VALUES | SCORES))
    watcher.end()


def screen(width: int, *, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, legacy_windows=False, _environ={})


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 15, 19, 20, 30, 99, 100, 1000])
def test_without_a_terminal_there_are_few_lines_and_one_for_the_last_epoch(count: int) -> None:
    console = screen(80, terminal=False)
    epochs(make_progress(console), count)  # type: ignore[arg-type]
    lines = written(console).splitlines()
    assert min(count, 5) <= len(lines) <= 11
    assert lines[-1] == f"run: epoch {count}/{count}, loss 1.2345  soft 1.0000  hard 0.2345  validation 97.69%"
    assert all(line.endswith(" s left") for line in lines[:-1])
    assert "\x1b" not in written(console)


def test_the_time_left_is_that_of_the_steps_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 130.0, 160.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(now))
    console = screen(80, terminal=False)
    watcher = ProgressLines(console)
    watcher.begin(Plan("run", steps=40, epochs=4, done=10, epochs_done=1))
    watcher.record(Record("epoch", 20, 2.0, VALUES))
    watcher.record(Record("epoch", 30, 3.0, VALUES))
    assert [line.rpartition(", ")[2] for line in written(console).splitlines()] == ["60 s left", "30 s left"]


def final_lines(console: Console) -> list[str]:
    """What the last redraw leaves on the screen."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(console))
    return text.replace("\r", "\n").rstrip("\n").split("\n")[-2:]


@pytest.mark.parametrize("name", ["run", "20261120-190640-distill-3fa2"])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_two_lines_show_everything(width: int, name: str) -> None:
    console = screen(width, terminal=True)
    watcher = make_progress(console)
    assert isinstance(watcher, ProgressBar)
    epochs(watcher, 30, name=name)
    first, second = final_lines(console)
    assert len(first) <= width
    assert re.fullmatch(r"\S+…? epoch 30/30 ━{3,} 0:00:0\d 0:00:00 left\s*", first)
    assert first.startswith(name[:13])
    assert second.rstrip() == "loss 1.2345  soft 1.0000  hard 0.2345  validation 97.69%"


def test_the_bar_gives_the_epoch_under_way_and_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    console = screen(80, terminal=True)
    watcher = ProgressBar(console)
    monkeypatch.setattr(watcher._bar, "get_time", lambda: now)
    watcher.begin(Plan("run", steps=100, epochs=10, done=10, epochs_done=1))
    for step in range(11, 31):
        now += 1.0
        watcher.step(step)
        if step % 10 == 0:
            watcher.record(Record("epoch", step, step / 10, VALUES | SCORES))
    watcher.end()
    first, second = final_lines(console)
    assert "epoch 4/10" in first
    assert re.search(r"0:00:20 0:01:1\d left", first)
    assert "97.69%" in second


def test_many_terms_stay_on_one_line() -> None:
    console = screen(80, terminal=True)
    watcher = ProgressBar(console)
    watcher.begin(Plan("[name]", steps=10, epochs=1))
    watcher.record(Record("epoch", 10, 1.0, {f"term_{number}": 1.0 for number in range(12)}))
    watcher.end()
    first, second = final_lines(console)
    assert first.startswith("[name] epoch 1/1")
    assert len(second) == 80
    assert second.endswith("…")


def test_a_single_term_is_not_shown_twice() -> None:
    assert describe({"loss": 0.5, "hard": 0.5, "learning_rate": 0.1}) == "hard 0.5000"
    assert describe({"loss": 0.5, "hard": 0.3, "soft": 0.2}) == "loss 0.5000  hard 0.3000  soft 0.2000"


def test_the_cursor_comes_back() -> None:
    console = screen(80, terminal=True)
    epochs(ProgressBar(console), 2)
    assert written(console).count("\x1b[?25l") == written(console).count("\x1b[?25h") == 1


def test_the_bar_is_redrawn_for_the_eye_not_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(progress, "monotonic", lambda: now)
    console = screen(80, terminal=True)
    watcher = ProgressBar(console)
    drawn = []
    monkeypatch.setattr(watcher._live, "refresh", lambda: drawn.append(now))
    watcher.begin(Plan("run", steps=1000, epochs=1))
    drawn.clear()
    for step in range(4000):
        now += 0.001
        watcher.step(step)
    assert 4 <= len(drawn) <= 20
