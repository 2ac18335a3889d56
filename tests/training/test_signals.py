"""Whole processes: real signals, exit codes, and what a user sees on the screen."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAIN = ["train", "model.hidden=[16]", "training.batch_size=16", "training.epochs=8", "training.threads=1"]


class Program:
    """``forking.py`` at work."""

    def __init__(self, folder: Path) -> None:
        self.errors = folder / "imports.txt"
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests"), str(ROOT / "tests" / "without")])
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "PYTHONWARNINGS"))}
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "tests" / "training" / "forking.py"],
                cwd=folder,
                env={**environment, "PYTHONPATH": path, "HOME": str(folder), "NETRC": str(folder / "netrc"), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.greeting = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, arguments: list[str], errors: Path) -> int:
        """The child's process id."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"arguments": arguments, "errors": str(errors)}) + "\n")
        self.process.stdin.flush()
        return int(self.line())

    def result(self) -> int:
        return int(self.line())

    def run(self, arguments: list[str], errors: Path) -> int:
        self.start(arguments, errors)
        return self.result()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    program = Program(tmp_path_factory.mktemp("program"))
    yield program
    assert program.process.stdin is not None
    assert program.process.stdout is not None
    program.process.kill()
    program.process.wait(timeout=30)
    program.process.stdin.close()
    program.process.stdout.close()


def wait_for(path: Path, *, lines: int = 0) -> None:
    until = time.monotonic() + 30
    while not path.exists() or path.read_text().count("\n") < lines:
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.005)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_which_goes_on_later(program: Program, tmp_path: Path, number: int, code: int) -> None:
    run, screen = tmp_path / "run", tmp_path / "screen.txt"
    process = program.start([*TRAIN, f"out={run}"], screen)
    wait_for(run / "metrics.jsonl", lines=3)
    os.kill(process, number)
    assert program.result() == code
    assert f"stopped by signal {number:d} after step" in screen.read_text()
    assert "Traceback" not in screen.read_text()
    assert json.loads((run / "run.json").read_text())["status"] == "preempted"
    assert not (run / "model").exists()
    before = (run / "metrics.jsonl").read_text()

    assert program.run([*TRAIN, f"out={run}", "resume=true"], screen) == 0
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    after = (run / "metrics.jsonl").read_text()
    assert after.startswith(before)
    steps = [line["step"] for line in map(json.loads, after.splitlines()) if line["kind"] == "epoch"]
    assert steps == list(range(73, 8 * 73 + 1, 73))
    assert not (run / "checkpoint").exists()


def test_a_second_signal_of_either_kind_ends_the_process_at_once(program: Program, tmp_path: Path) -> None:
    process = program.start(["stuck", str(tmp_path)], tmp_path / "screen.txt")
    wait_for(tmp_path / "stuck")
    os.kill(process, signal.SIGTERM)
    time.sleep(0.2)
    os.kill(process, 0)
    began = time.monotonic()
    os.kill(process, signal.SIGINT)
    assert program.result() == -signal.SIGINT
    assert time.monotonic() - began < 5
    names = sorted(path.name.rsplit("-", 1)[0] for path in (tmp_path / "checkpoint").iterdir())
    assert names == ["state-00000001-000000", "state-00000002-000000"]


def test_a_run_that_diverges_exits_6_and_nothing_looks_finished(program: Program, tmp_path: Path) -> None:
    run, screen = tmp_path / "run", tmp_path / "screen.txt"
    assert program.run([*TRAIN, "training.learning_rate=1e20", f"out={run}"], screen) == 6
    assert "no longer finite" in screen.read_text()
    assert "Traceback" not in screen.read_text()
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert not (run / "model").exists()


SHOWN = [
    r"digits: .* pictures .*",
    r"objective: .*",
    r"run: epoch \d+/2, loss .*",
    r"Weights & Biases: logged offline; upload with: wandb sync \S*/run/wandb/offline-run-\S+",
    r"validation accuracy .*",
    r"run: .*",
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_shows_its_own_lines_and_nothing_else(program: Program, tmp_path: Path, precision: str) -> None:
    """No remark of Fabric's, no warning, no chatter of a logger; nor when everything is imported."""
    run, screen = tmp_path / "run", tmp_path / "screen.txt"
    options = ["training.epochs=2", f"training.precision={precision}", "training.ema=0.9", f"logging.wandb={str(precision == 'bf16').lower()}"]
    assert program.run([*TRAIN, *options, "logging.tensorboard=true", f"out={run}"], screen) == 0
    lines = screen.read_text().splitlines()
    assert [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in SHOWN)] == []
    assert len(lines) == (7 if precision == "bf16" else 6)
    assert program.greeting == "ready"
    assert program.errors.read_text() == ""
