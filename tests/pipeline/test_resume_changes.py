"""What may be another way when a run is gone on with, and what it becomes then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import darkknowledge
from darkknowledge.errors import Interrupted, UsageError
from darkknowledge.model import fingerprint
from darkknowledge.pipeline._changes import FREE, NAMED
from darkknowledge.pipeline.settings import DistillSettings, TrainSettings, validate
from darkknowledge.runs.folder import RunFolder
from pipeline.small import LOGGING, STEPS, STUDENT

CONSTANT = STEPS | {"schedule": "constant", "warmup": 0.5}
JITTER = {"name": "digits", "augment": "jitter"}


def train(out: Path, *, data: Any = "digits", training: Any = STEPS, logging: Any = LOGGING, **options: Any) -> darkknowledge.Trained:
    return darkknowledge.train(options.pop("model", STUDENT), data, training=training, logging=logging, out=out, **options)


@pytest.fixture
def interrupted(stop: Any, tmp_path: Path) -> Callable[..., Path]:
    """A run that was stopped after its third step of 38."""

    def interrupt(**options: Any) -> Path:
        stop("run", 3)
        with pytest.raises(Interrupted):
            train(tmp_path / "run", **options)
        return tmp_path / "run"

    return interrupt


def test_all_differences_are_shown_with_what_they_could_be_allowed_with(interrupted: Any) -> None:
    run = interrupted()
    with pytest.raises(UsageError) as caught:
        train(run, training=STEPS | {"learning_rate": 0.1, "seed": 5, "clip_norm": 1.0}, resume=True)
    assert caught.value.what == (
        "the run to resume has training.clip_norm=None, and now it is 1.0\n    training.learning_rate=0.05, and now it is 0.1\n"
        "    training.seed=0, and now it is 5"
    )
    assert caught.value.fix == "leave out training.clip_norm, training.learning_rate, training.seed, or start a new run with another out=…"
    with pytest.raises(UsageError) as caught:
        train(run, training=STEPS | {"learning_rate": 0.1, "clip_norm": 1.0}, resume=True, resume_changes=["training.clip_norm"])
    assert "clip_norm" not in caught.value.what
    assert "go on otherwise with resume_changes=[training.clip_norm,training.learning_rate], or" in caught.value.fix
    assert "changes" not in RunFolder(run).record


def test_what_changes_no_result_passes_and_is_noted(interrupted: Any, tmp_path: Path) -> None:
    run, undisturbed = interrupted(), train(tmp_path / "undisturbed")
    data = {"name": "digits", "root": tmp_path, "download": True}
    again = train(run, data=data, logging=LOGGING | {"project": "x"}, training=STEPS | {"log_every": 3, "checkpoint_every": 5.0}, resume=True)
    assert fingerprint(again.network) == fingerprint(undisturbed.network)
    assert again.last == undisturbed.last
    config = RunFolder(run).config
    assert (config["data"]["root"], config["data"]["download"], config["training"]["log_every"]) == (str(tmp_path), True, 3)


@pytest.mark.parametrize("views", [None, 1, 9])
def test_more_epochs_pass_where_the_longer_run_would_have_begun_in_the_same_way(views: int | None, interrupted: Any, tmp_path: Path) -> None:
    recipe = CONSTANT | {"views": views, "ema": 0.9}
    whole = train(tmp_path / "whole", data=JITTER, training=recipe | {"epochs": 3})
    longer = train(interrupted(data=JITTER, training=recipe), data=JITTER, training=recipe | {"epochs": 3}, resume=True)
    assert fingerprint(longer.network) == fingerprint(whole.network)
    assert (longer.path / "metrics.csv").read_text() == (whole.path / "metrics.csv").read_text()
    assert RunFolder(longer.path).config["training"]["epochs"] == 3
    assert [change["settings"] for change in RunFolder(longer.path).record["changes"]] == [{"training.epochs": [2, 3]}]


@pytest.mark.parametrize(
    "recipe",
    [
        STEPS,  # the cosine reaches its end with the last epoch
        CONSTANT | {"warmup": 1.5},  # at most half of all epochs
        CONSTANT | {"views": 2},  # two epochs show the views 0 and 1, three share two views
        CONSTANT | {"validate_every": 2},  # the last epoch is looked at too
        CONSTANT | {"steps": 30},
    ],
)
def test_more_epochs_that_make_it_another_run_must_be_meant(recipe: dict[str, Any], interrupted: Any) -> None:
    run, more = interrupted(training=recipe), recipe | {"epochs": 3}
    with pytest.raises(UsageError, match=r"training.epochs=2, and now it is 3[\s\S]*resume_changes=\[training.epochs\]"):
        train(run, training=more, resume=True)


def test_what_is_meant_holds_from_the_saved_state_on_and_is_noted(interrupted: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, now = interrupted(), STEPS | {"epochs": 3, "learning_rate": 0.02}
    named: Any = {"resume_changes": ["training.epochs", "training.learning_rate"]}
    again = train(run, training=now, resume=True, **named)
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"going on with {run}, but training.epochs was 2 and is 3, training.learning_rate was 0.05 and is 0.02" in said
    record, config = RunFolder(run).record, RunFolder(run).config
    assert (config["training"]["epochs"], config["training"]["learning_rate"], record["steps"]) == (3, 0.02, 57)
    assert [change["settings"] for change in record["changes"]] == [{"training.epochs": [2, 3], "training.learning_rate": [0.05, 0.02]}]
    others = [train(tmp_path / name, training=recipe) for name, recipe in (("before", STEPS), ("now", now))]
    assert len({fingerprint(each.network) for each in (again, *others)}) == 3
    # What it has become is what it is: the same command goes on with it, the first one does not, and what is finished changes no more.
    assert fingerprint(train(run, training=now, resume=True, **named).network) == fingerprint(again.network)
    with pytest.raises(UsageError, match=r"training.epochs=3, and now it is 2"):
        train(run, training=STEPS, resume=True)
    with pytest.raises(UsageError, match=r"training.epochs=3, and now it is 4") as caught:
        train(run, training=now | {"epochs": 4}, resume=True, **named)
    assert "resume_changes" not in caught.value.fix


def test_fewer_epochs_and_what_the_state_does_not_fit_never_pass(interrupted: Any) -> None:
    run = interrupted()
    for change in ({"epochs": 1}, {"batch_size": 32}, {"optimizer": "adamw"}, {"ema": 0.9}, {"momentum": 0.5}, {"views": 3}):
        with pytest.raises(UsageError, match="the run to resume has") as caught:
            train(run, training=STEPS | change, resume=True, resume_changes=["training.epochs"])
        assert "resume_changes" not in caught.value.fix
    for other in ({"model": STUDENT | {"hidden": [9]}}, {"data": JITTER}, {"objective": {"name": "hard_label", "label_smoothing": 0.1}}):
        with pytest.raises(UsageError, match=r"the run to resume has (model|data|objective)\."):
            train(run, resume=True, **other)


def test_what_was_refused_before_the_first_step_is_not_noted(interrupted: Any) -> None:
    run = interrupted()
    with pytest.raises(UsageError, match="no option 'workers'"):
        train(run, data={"name": "digits", "workers": 2}, resume=True)
    assert "changes" not in RunFolder(run).record


def test_a_key_that_cannot_change_is_no_key_to_name(interrupted: Any) -> None:
    run = interrupted()
    with pytest.raises(UsageError, match=r"resume_changes names training.seed, which cannot change in a run"):
        train(run, resume=True, resume_changes=["training.seed"])
    with pytest.raises(UsageError, match=r"resume_changes names training.epoch,[\s\S]*Did you mean 'training.epochs'"):
        train(run, resume=True, resume_changes=["training.epoch"])
    with pytest.raises(UsageError, match="resume_changes belongs to resume=true"):
        train(run, resume_changes=["training.epochs"])


def test_students_change_together_and_a_finished_one_no_more(runs: Path, stop: Any, tmp_path: Path) -> None:
    def distill(**options: Any) -> list[darkknowledge.Trained]:
        training = STEPS | options.pop("training", {})
        students = [{"temperature": 2}, {"temperature": 8}]
        return darkknowledge.distill_several(
            students, runs / "teacher-0", STUDENT, training=training, logging=LOGGING, out=tmp_path / "students", **options
        )

    stop("1", 3)
    with pytest.raises(Interrupted):
        distill()
    rate: Any = {"training": {"learning_rate": 0.02}, "resume": True}
    with pytest.raises(UsageError, match=r"training.learning_rate=0.05, and now it is 0.02"):
        distill(**rate)
    again = distill(**rate, resume_changes=["training.learning_rate"])
    assert {RunFolder(each.path).config["training"]["learning_rate"] for each in again} == {0.02}
    assert [each.last for each in distill(**rate)] == [each.last for each in again]


@pytest.mark.parametrize("schema", [TrainSettings, DistillSettings])
def test_the_keys_that_may_change_are_keys_that_there_are(schema: type[BaseModel]) -> None:
    settings = validate(schema, {}).model_dump()
    for key in (*FREE, *NAMED):
        part: Any = settings
        for name in key.split("."):
            assert name in part, key
            part = part[name]
