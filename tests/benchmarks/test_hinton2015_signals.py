"""The runner of the MNIST experiments as a process of its own, with real signals: whoever is stopped saves, and nobody stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.small import STEPS, STUDENT, write_mnist

ROOT = Path(__file__).parents[2]


class Runner:
    """The runner as a process of its own, with a terminal's process group of its own."""

    def __init__(self, folder: Path, described: dict[str, Any]) -> None:
        self.folder = folder
        self.errors = folder / "errors.txt"
        path = os.pathsep.join(map(str, (ROOT, ROOT / "src", ROOT / "tests" / "without")))
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "tests" / "moments.py", folder, json.dumps(described)],
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,
            )

    def begun(self, *names: str) -> list[int]:
        """The process ids of jobs under way."""
        return [int(wait_for(self.folder / "work" / name / "begun", size=1).read_text()) for name in names]

    def end(self, *, within: float = 10) -> int:
        """The exit code."""
        self.output = self.process.communicate(timeout=within)[0]
        return self.process.returncode


def wait_for(path: Path, *, size: int = 0) -> Path:
    until = time.monotonic() + 200
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)
    return path


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(processes: list[int], *, within: float) -> bool:
    until = time.monotonic() + within
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, processes))


TWO = {"one": "train", "other/two": "train"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Runner]]:
    started: list[Runner] = []

    def begin(described: dict[str, Any]) -> Runner:
        started.append(Runner(tmp_path, described))
        return started[-1]

    yield begin
    for runner in started:
        if runner.process.poll() is None:
            runner.process.kill()
        if runner.process.stdout is not None:
            runner.process.stdout.close()
        runner.process.wait()


@pytest.mark.parametrize(("number", "code", "to_all"), [(signal.SIGTERM, 143, False), (signal.SIGINT, 130, True)])
def test_a_signal_lets_all_save_and_the_same_command_goes_on(
    number: int, code: int, to_all: bool, start: Callable[..., Runner], tmp_path: Path
) -> None:
    """Ctrl-C goes to all processes of a terminal; each must hear it once."""
    runner = start(TWO)
    workers = runner.begun(*TWO)
    (os.killpg if to_all else os.kill)(runner.process.pid, number)
    assert runner.end() == code
    assert not any(map(alive, workers))
    assert [(tmp_path / "work" / name / "saved").read_text() for name in TWO] == ["15", "15"]
    said = runner.errors.read_text()
    assert "Traceback" not in said
    assert "stopping, saving one and other/two" in said
    assert "error: stopped; what was under way is saved" in said
    if not to_all:
        again = start(TWO)
        assert again.end(within=60) == 0
        assert again.output.strip() == "{}"


def test_without_the_runner_its_processes_save_and_end_and_the_next_one_goes_on_at_once(start: Callable[..., Runner], tmp_path: Path) -> None:
    runner = start(TWO)
    workers = runner.begun(*TWO)
    runner.process.kill()
    runner.process.wait()
    again = start(TWO)
    assert again.end(within=60) == 0, again.errors.read_text()
    assert gone(workers, within=10)
    assert [(tmp_path / "work" / name / "saved").read_text() for name in TWO] == ["15", "15"]


def test_a_process_that_is_killed_is_replaced_and_the_other_is_not_disturbed(start: Callable[..., Runner], tmp_path: Path) -> None:
    runner = start(TWO)
    first, second = runner.begun(*TWO)
    begun = tmp_path / "work" / "one" / "begun"
    begun.unlink()
    os.kill(first, signal.SIGKILL)
    (replaced,) = runner.begun("one")
    assert replaced not in (first, second)
    assert alive(second)
    runner.process.terminate()
    assert runner.end() == 143
    assert not any(map(alive, (replaced, second)))
    assert "one: its process ended with exit code -9; once more" in runner.errors.read_text()


def test_a_second_signal_ends_everything_at_once(start: Callable[..., Runner], tmp_path: Path) -> None:
    runner = start({"one": "save for long", "two": "save for long"})
    workers = runner.begun("one", "two")
    runner.process.send_signal(signal.SIGINT)
    for name in ("one", "two"):
        wait_for(tmp_path / "work" / name / "saving")
    runner.process.send_signal(signal.SIGINT)
    assert runner.end() == -signal.SIGINT
    assert gone(workers, within=5)


@pytest.mark.slow
def test_real_training_saves_its_state_when_the_runner_is_stopped(tmp_path: Path, start: Callable[..., Runner]) -> None:
    write_mnist(tmp_path / "data")
    training = {**STEPS, "epochs": 10**6, "log_every": 1, "compile": "off"}  # which pays in so long a run, but takes longer than all of this
    arguments = {"model": STUDENT, "data": {"validation": 0, "augment": "none"}, "training": training}
    runner = start({"real": [{"name": "one", "arguments": arguments}]})
    folder = tmp_path / "work" / "one"
    wait_for(folder / "metrics.jsonl", size=1)
    runner.process.send_signal(signal.SIGINT)
    assert runner.end(within=30) == 130
    assert json.loads((folder / "run.json").read_text())["status"] == "preempted"
    assert list((folder / "checkpoint").glob("state-*.pt"))
    log = (tmp_path / "work" / "log" / "one.txt").read_text()
    assert "objective: " in log
    assert "stopped by signal 15 after step" in log
