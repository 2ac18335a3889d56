"""Where and when a process works: without a home, in another language, in a folder that is gone, on a clock that jumps."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.model import fingerprint, load
from darkknowledge.runs.folder import RunFolder, list_runs
from darkknowledge.training.checkpoint import saved_states
from darkknowledge.training.metric_files import MetricFiles

ROOT = Path(__file__).parents[2]
TRAIN = ["train", "model.hidden=[8]", "training.steps=4", "training.threads=1", "training.precision=fp32", "training.checkpoint_every=0"]
QUIET = "logging.progress=false"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the network that the command above makes."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main([*TRAIN, QUIET, f"out={run}"]) == 0
    return fingerprint(load(run / "model"))


def test_a_bare_environment_without_asserts_changes_nothing(whole: str, tmp_path: Path) -> None:
    """No home, no terminal, the language C, another order of hashing, ``python -O``, and a folder of spaces, letters of other languages and =."""
    environment = {"PYTHONPATH": str(ROOT / "src"), "LANG": "C", "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-O", "-m", "darkknowledge.cli.main", *TRAIN, "out='a b/ü=1 – 東'"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().endswith("run: a b/ü=1 – 東\n")
    assert fingerprint(load(tmp_path / "a b" / "ü=1 – 東" / "model")) == whole


def test_what_the_output_cannot_spell_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", output)
        assert main([*TRAIN, QUIET, "out='東'"]) == 0
        assert main(["run", "--dry-run"]) == 0
    output.seek(0)
    said = output.read()
    assert "run: \\u6771\n" in said
    assert "\\xd7" in said


@pytest.mark.parametrize("line", [[*TRAIN, QUIET], ["list"], ["train", "model=own:Small"]], ids=["train", "list", "own"])
def test_a_current_folder_that_is_gone_is_said(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(line) == 5
    assert capsys.readouterr().err == "error: the current folder does not exist any more\n  fix: change into one that is there: cd …\n"


def test_a_clock_that_jumps_changes_no_run(whole: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped, every file gets a time of its own, and it goes on in an earlier year: the newest state is that of the last step."""
    run, usual = tmp_path / "run", time.strftime
    with monkeypatch.context() as patch:
        patch.setattr(MetricFiles, "step", lambda self, done: signal.raise_signal(signal.SIGTERM) if done == 3 else None)
        assert main([*TRAIN, QUIET, f"out={run}"]) == 143
    for year, path in enumerate(reversed(saved_states(run / "checkpoint"))):
        os.utime(path, (year * 4e8, year * 4e8))
    monkeypatch.setattr(time, "strftime", lambda form, *moment: usual(form, *(moment or (time.gmtime(0),))))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    done: list[int] = []
    with monkeypatch.context() as patch:
        begin = MetricFiles.begin
        patch.setattr(MetricFiles, "begin", lambda self, plan: begin(self, plan) or done.append(plan.done))
        assert main([*TRAIN, QUIET, f"out={run}", "resume=true"]) == 0
    assert (done, fingerprint(load(run / "model"))) == ([3], whole)
    monkeypatch.chdir(tmp_path)
    made = {darkknowledge.train({"name": "hinton_mlp", "hidden": [4]}, training={"steps": 1, "threads": 1}).path for _ in range(2)}
    assert len(made) == 2
    assert all(path.name.startswith("19700101-000000-train-") for path in made)


def test_runs_are_listed_in_the_order_in_which_they_were_begun_on_whatever_side_of_the_world(tmp_path: Path) -> None:
    started = ["2026-11-21T23:30:00+1400", "2026-11-21T09:31:00+0000", "2026-11-21T01:00:00-1000"]
    for name, moment in zip("cba", started, strict=True):
        RunFolder.create(tmp_path / name, kind="train", config={}).note(started=moment)
    assert [run.path.name for run in list_runs(tmp_path)] == ["c", "b", "a"]
