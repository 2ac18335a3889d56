"""A signal in every stage and at every point of it: the exit code, what the folder says, and that the same command goes on."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.errors import DataError
from darkknowledge.training.checkpoint import saved_states
from pipeline.small import LOGGING

TRAIN = ["train", "model.hidden=[8]", "training.epochs=2", "training.batch_size=64", "training.threads=1", "logging.progress=false"]
NUMBERS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]

At = Callable[..., None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """``at(place, number, call)``: the signal comes while the function of that place is called for the call-th time."""

    def install(place: str, number: int = signal.SIGTERM, call: int = 1, *, after: bool = False, swallowed: bool = False) -> None:
        module, _, name = place.rpartition(".")
        usual, left = getattr(__import__(module, fromlist=[name]), name), [call]

        def function(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            found = usual(*arguments, **named) if after else None
            if left[0] == 0:
                try:
                    signal.raise_signal(number)
                except Exception as error:
                    raise DataError("this file is damaged") from error
                except BaseException:
                    if not swallowed:
                        raise
            return found if after else usual(*arguments, **named)

        monkeypatch.setattr(place, function)

    return install


def status(path: Path) -> str:
    return str(json.loads((path / "run.json").read_text())["status"])


def temporaries(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.tmp-*"))


PREPARING = ["darkknowledge.pipeline.train.load_data", "darkknowledge.pipeline.train.build_network", "darkknowledge.pipeline._training._check"]


@pytest.mark.parametrize("place", PREPARING)
@pytest.mark.parametrize(("number", "code"), NUMBERS)
def test_before_a_new_run_has_begun_nothing_is_left(
    place: str, number: int, code: int, at: At, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at(place, number)
    assert main([*TRAIN, f"out={tmp_path / 'run'}"]) == code
    assert capsys.readouterr().err.endswith(f"error: stopped by signal {number:d}\n")
    assert list(tmp_path.iterdir()) == []


STARTING = [*PREPARING, "darkknowledge.training.loop.reside", "darkknowledge.training.loop.worth_batching"]


@pytest.mark.parametrize("place", STARTING)
def test_while_a_run_is_taken_up_again_its_state_stays(place: str, at: At, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("darkknowledge.training.metric_files.MetricFiles.step", lambda self, done: signal.raise_signal(signal.SIGINT))
        assert main([*TRAIN, f"out={run}"]) == 130
    before = {path: path.read_bytes() for path in saved_states(run / "checkpoint")}
    assert len(before) == 1
    with pytest.MonkeyPatch.context():
        at(place)
        assert main([*TRAIN, f"out={run}", "resume=true"]) == 143
    assert status(run) == "preempted"
    assert {path: path.read_bytes() for path in saved_states(run / "checkpoint")}.items() >= before.items()
    assert main([*TRAIN, f"out={run}", "resume=true"]) == 0


def test_a_library_that_catches_the_end_delays_it_until_the_first_step(at: At, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at("darkknowledge.pipeline.train.load_data", swallowed=True)
    assert main([*TRAIN, f"out={tmp_path / 'run'}"]) == 143
    assert status(tmp_path / "run") == "preempted"
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize("place", ["darkknowledge.model.save", "darkknowledge.pipeline._training._keep"])
@pytest.mark.parametrize("after", [False, True])
def test_what_is_trained_is_kept_before_the_end(place: str, after: bool, at: At, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at(place, after=after)
    run = tmp_path / "run"
    assert main([*TRAIN, f"out={run}"]) == 143
    assert "error: stopped by signal 15" in capsys.readouterr().err
    assert status(run) == "finished"
    assert {"model", "best"} <= {path.name for path in run.iterdir()}
    assert not (run / "checkpoint").exists()
    assert main(["evaluate", f"run={run}", "cost=false", "split=validation", "threads=1"]) == 0


WRITING = "darkknowledge.pipeline._measuring.write_bytes"


@pytest.mark.parametrize("place", ["darkknowledge.pipeline._measuring.measure_accuracy", WRITING, "os.fsync"])
@pytest.mark.parametrize(("number", "code"), NUMBERS)
def test_an_evaluation_ends_at_once_and_leaves_nothing_half_written(
    place: str, number: int, code: int, at: At, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = darkknowledge.train({"name": "hinton_mlp", "hidden": [8]}, training={"steps": 2, "threads": 1}, logging=LOGGING, out=tmp_path / "run").path
    before = sorted(run.rglob("*"))
    capsys.readouterr()
    at(place, number)
    assert main(["evaluate", f"run={run}", "cost=false", "threads=1"]) == code
    assert capsys.readouterr().err == f"error: stopped by signal {number:d}\n"
    assert sorted(run.rglob("*")) == before


@pytest.mark.usefixtures("no_costs")
@pytest.mark.parametrize("call", [1, 3])
def test_a_comparison_that_is_stopped_while_it_measures_goes_on(call: int, at: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["run", "seeds=1", "student.hidden=[8]", "teacher.model.hidden=[8]", "teacher.training.steps=3", "teacher.check=false"]
    words += ["training.steps=3", "training.threads=1", "teacher.training.threads=1", "logging.progress=false", f"out={tmp_path / 'whole'}"]
    at("darkknowledge.pipeline.run.evaluate_subject", call=call)
    assert main(words) == 143
    assert status(tmp_path / "whole") == "preempted"
    assert [status(tmp_path / "whole" / name) for name in ("teacher-0", "alone-0", "distilled-0")] == ["finished"] * 3
    assert main([*words, "resume=true"]) == 0
    assert status(tmp_path / "whole") == "finished"


@pytest.mark.parametrize("place", ["darkknowledge.pipeline.report.make", "darkknowledge.pipeline.report.write_text"])
@pytest.mark.parametrize(("number", "code"), NUMBERS)
def test_a_page_ends_at_once_and_can_be_made_later(place: str, number: int, code: int, at: At, runs: Path, tmp_path: Path) -> None:
    words = ["report", f"runs={runs / 'teacher-0'}", f"out={tmp_path / 'page.html'}"]
    at(place, number)
    assert main(words) == code
    assert list(tmp_path.iterdir()) == []
    assert main(words) == 0
    assert (tmp_path / "page.html").stat().st_size > 10_000


@pytest.mark.usefixtures("no_costs")
def test_a_comparison_that_is_stopped_while_its_page_is_made_is_whole(at: At, runs: Path, tmp_path: Path) -> None:
    words = ["run", "seeds=1", "student.hidden=[8]", f"teacher.source=[{runs / 'teacher-0'}]", "training.steps=3", "training.threads=1"]
    at("darkknowledge.pipeline.report.make")
    assert main([*words, "logging.progress=false", f"out={tmp_path / 'whole'}"]) == 143
    assert status(tmp_path / "whole") == "finished"
    assert not (tmp_path / "whole" / "report.html").exists()
    assert main(["report", f"runs={tmp_path / 'whole'}"]) == 0
    assert (tmp_path / "whole" / "report.html").is_file()


RECORDING = [
    ("darkknowledge.transfer._writer.checksums", 3),
    ("darkknowledge.transfer._build.write_shard", 2),
    ("darkknowledge.transfer._build.commit", 1),
    ("os.fsync", 5),
]


@pytest.mark.parametrize(("place", "call"), RECORDING)
@pytest.mark.parametrize(("number", "code"), NUMBERS)
def test_a_recording_ends_at_once_and_goes_on(
    place: str, call: int, number: int, code: int, at: At, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["record", f"teacher={runs / 'teacher-0'}", f"out={tmp_path / 'set'}", "threads=1", "progress=false", "shard_rows=400"]
    at(place, number, call)
    assert main(words) == code
    assert f"error: stopped by signal {number:d} after " in (said := capsys.readouterr().err)
    assert " of 1,167 rows; the files that are finished are kept\n" in said
    assert temporaries(tmp_path) == []
    kept = len(list(tmp_path.rglob("*.arrow")))
    assert main(words) == 0
    assert (f"{kept} of 3 files are there" in capsys.readouterr().err) == (kept > 0)


def test_a_student_whose_teacher_was_being_recorded_was_not_begun_and_the_answers_are_kept(at: At, runs: Path, tmp_path: Path) -> None:
    words = ["distill", f"teacher={runs / 'teacher-1'}", f"out={tmp_path / 'run'}", "student.hidden=[8]", "training.steps=2", "data.augment=jitter"]
    words += ["training.threads=1", "logging.progress=false", "training.epochs=3"]
    at("darkknowledge.transfer._build.commit")
    assert main(words) == 143
    assert list(tmp_path.iterdir()) == []
    assert list((runs / "teacher-1" / "transfer").glob("*/shards/*.arrow"))
    assert main(words) == 0
