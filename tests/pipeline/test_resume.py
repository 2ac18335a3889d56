"""A run that was stopped goes on as if it had not been, or says why it cannot."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.errors import IntegrityError, Interrupted, UsageError
from darkknowledge.model import fingerprint
from pipeline.small import LOGGING, STEPS, STUDENT, TEACHER, write_mnist

PER_EPOCH = 19


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def status(path: Path) -> Any:
    return json.loads((path / "run.json").read_text())["status"]


@pytest.fixture(scope="module")
def undisturbed(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> darkknowledge.Trained:
    return distill(runs, tmp_path_factory.mktemp("undisturbed") / "student")


def distill(runs: Path, out: Path, **options: Any) -> darkknowledge.Trained:
    training = STEPS | {"ema": 0.9, "accumulate": 2, "log_every": 7} | options.pop("training", {})
    return darkknowledge.distill(
        runs / "teacher-0", STUDENT, {"name": "digits", "augment": "jitter"}, training=training, logging=LOGGING, out=out, **options
    )


@pytest.mark.parametrize(
    ("step", "number"), [(1, signal.SIGTERM), (PER_EPOCH, signal.SIGINT), (PER_EPOCH + 5, signal.SIGINT), (2 * PER_EPOCH, signal.SIGTERM)]
)
def test_a_run_that_was_stopped_anywhere_ends_as_the_undisturbed_one(
    step: int, number: int, stop: Any, runs: Path, undisturbed: darkknowledge.Trained, tmp_path: Path
) -> None:
    stop("student", step, number)
    with pytest.raises(Interrupted, match=f"stopped by signal {number} after step {step} of 38; its state is saved") as caught:
        distill(runs, tmp_path / "student")
    assert caught.value.exit_code == 128 + number
    assert status(tmp_path / "student") == "preempted"
    assert not (tmp_path / "student" / "model").exists()
    again = distill(runs, tmp_path / "student", resume=True)
    assert status(again.path) == "finished"
    assert fingerprint(again.network) == fingerprint(undisturbed.network)
    assert records(again.path) == records(undisturbed.path)
    assert (again.last, again.best) == (undisturbed.last, undisturbed.best)
    assert not (again.path / "checkpoint").exists()


def test_the_command_line_says_how_it_was_stopped_and_goes_on(stop: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["train", "model.hidden=[8]", "training.steps=30", "training.threads=1", "logging.progress=false", f"out={tmp_path / 'run'}"]
    stop("run", 3)
    assert main(line) == 143
    assert "error: stopped by signal 15 after step 3 of 30; its state is saved" in capsys.readouterr().err
    assert main([*line, "resume=true"]) == 0
    assert status(tmp_path / "run") == "finished"


def test_a_finished_run_is_not_trained_again(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = distill(runs, tmp_path / "student")
    before = {path: path.stat().st_mtime_ns for path in first.path.rglob("*")}
    capsys.readouterr()
    again = distill(runs, tmp_path / "student", resume=True)
    assert f"{first.path} is already finished" in capsys.readouterr().err.replace("\n", " ")
    assert {path: path.stat().st_mtime_ns for path in first.path.rglob("*")} == before
    assert fingerprint(again.network) == fingerprint(first.network)
    assert (again.last, again.best) == (first.last, first.best)


def test_resuming_what_was_never_begun_begins_it(tmp_path: Path) -> None:
    trained = darkknowledge.train(STUDENT, training={"steps": 1}, logging=LOGGING, out=tmp_path / "run", resume=True)
    assert status(trained.path) == "finished"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"training": {"learning_rate": 0.1}}, "training.learning_rate=0.05, and now it is 0.1"),
        ({"training": {"seed": 5}}, "training.seed=0, and now it is 5"),
        ({"temperature": 9}, r"objective.temperature=4.0, and now it is 9.0"),
    ],
)
def test_a_run_goes_on_only_as_it_was_begun(change: dict[str, Any], key: str, stop: Any, runs: Path, tmp_path: Path) -> None:
    stop("student", 3)
    with pytest.raises(Interrupted):
        distill(runs, tmp_path / "student")
    with pytest.raises(UsageError, match=key):
        distill(runs, tmp_path / "student", resume=True, **change)
    assert status(tmp_path / "student") == "preempted"


def test_who_hears_of_a_run_may_change(stop: Any, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"training": STEPS, "out": tmp_path / "run"}
    stop("run", 3)
    with pytest.raises(Interrupted):
        darkknowledge.train(STUDENT, logging=LOGGING, **arguments)
    assert darkknowledge.train(STUDENT, logging={"progress": True, "tensorboard": False}, resume=True, **arguments).last is not None


def test_a_run_does_not_go_on_with_other_data_or_another_teacher(stop: Any, mnist: Path, tmp_path: Path) -> None:
    data = {"name": "mnist", "root": mnist, "augment": "none"}
    for seed in (0, 1):
        darkknowledge.train(TEACHER, data, training=STEPS | {"seed": seed}, logging=LOGGING, out=tmp_path / f"teacher-{seed}")
    teacher = tmp_path / "teacher"
    shutil.copytree(tmp_path / "teacher-0", teacher)

    def go(resume: bool) -> darkknowledge.Trained:
        return darkknowledge.distill(teacher, STUDENT, data, check=False, training=STEPS, logging=LOGGING, out=tmp_path / "student", resume=resume)

    stop("student", 3)
    with pytest.raises(Interrupted):
        go(resume=False)
    write_mnist(mnist, shift=1)
    with pytest.raises(IntegrityError, match="the data is no longer what"):
        go(resume=True)
    write_mnist(mnist)
    shutil.rmtree(teacher)
    shutil.copytree(tmp_path / "teacher-1", teacher)
    with pytest.raises(IntegrityError, match="the teacher is no longer what"):
        go(resume=True)
    shutil.rmtree(teacher)
    shutil.copytree(tmp_path / "teacher-0", teacher)
    assert go(resume=True).last is not None


@pytest.mark.usefixtures("no_costs")
@pytest.mark.parametrize("name", ["teacher-0", "distilled-0", "alone-1"])
def test_a_comparison_goes_on_where_it_was_stopped(name: str, stop: Any, tmp_path: Path) -> None:
    def compare(out: Path, *, resume: bool = False) -> darkknowledge.Comparison:
        return darkknowledge.run(
            student=STUDENT, teacher={"model": TEACHER, "training": STEPS, "check": False}, training=STEPS | {"epochs": 1}, seeds=2,
            logging=LOGGING, out=out, resume=resume,
        )  # fmt: skip

    undisturbed = compare(tmp_path / "undisturbed")
    stop(name, 10)
    with pytest.raises(Interrupted):
        compare(tmp_path / "whole")
    assert status(tmp_path / "whole") == status(tmp_path / "whole" / name) == "preempted"
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").glob("*/model/*") if path.parts[-3] != name}
    again = compare(tmp_path / "whole", resume=True)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert again.errors("alone") == undisturbed.errors("alone")
    assert again.errors("distilled") == undisturbed.errors("distilled")
    assert status(tmp_path / "whole") == "finished"


def test_a_checkpoint_that_was_altered_is_refused(stop: Any, tmp_path: Path) -> None:
    stop("run", 3)
    with pytest.raises(Interrupted):
        darkknowledge.train(STUDENT, training=STEPS, logging=LOGGING, out=tmp_path / "run")
    (state,) = (tmp_path / "run" / "checkpoint").glob("*.pt")
    state.write_bytes(state.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="is not the file that was written"):
        darkknowledge.train(STUDENT, training=STEPS, logging=LOGGING, out=tmp_path / "run", resume=True)
