"""``figure``: which runs, examples and files a figure is drawn of, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits

import darkknowledge
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.pipeline import _drawable, figure as stage
from darkknowledge.pipeline._drawable import answered, by_temperature, most_ambiguous, on_digits, runs_of
from darkknowledge.pipeline.settings import FigureSettings
from darkknowledge.report.answers import KeptAnswers
from darkknowledge.report.figure import CHOICES
from darkknowledge.runs.checked_json import read_checked, write_checked
from darkknowledge.runs.files import Written
from pipeline.small import LOGGING, STEPS, STUDENT


@pytest.fixture(scope="module")
def world(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher and two students of other temperatures on digits, all measured but one."""
    folder = tmp_path_factory.mktemp("figures")
    shutil.copytree(runs / "teacher-0", folder / "teacher")
    students = [{"name": f"student-{temperature}", "temperature": temperature} for temperature in (2, 8)]
    darkknowledge.distill_several(students, folder / "teacher", STUDENT, "digits", training=STEPS, logging=LOGGING, out=folder / "students")
    for name in ("student-2", "student-8"):
        (folder / "students" / name).rename(folder / name)
    shutil.copytree(folder / "student-2", folder / "unmeasured")
    darkknowledge.evaluate([folder / name for name in ("teacher", "student-2", "student-8")], cost=False)
    return folder


def settings(name: str, *runs: Path, **values: Any) -> FigureSettings:
    return FigureSettings(name=name, run=runs, **values)


RUNS = {name: ["teacher"] for name in CHOICES} | {name: ["student-2", "teacher"] for name in ("gradient", "norms", "forms")}
RUNS["temperature"] = ["student-2", "student-8"]


@pytest.mark.parametrize("name", CHOICES)
def test_every_figure_is_drawn_of_runs(name: str, world: Path, tmp_path: Path) -> None:
    runs = [world / run for run in RUNS[name]]
    path = darkknowledge.figure(name, runs, out=tmp_path / "new" / f"{name}.svg")
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
    assert path.stat().st_size < 200_000


def test_an_answer_is_the_one_that_the_run_kept_and_its_picture_that_of_the_data(world: Path) -> None:
    found = answered(settings("sample", world / "teacher"), pictures=True, report=pytest.fail).sample(7)
    kept = load_file(world / "teacher" / "answers-test.safetensors")
    np.testing.assert_array_equal(found.logits["teacher"], kept["logits"][7])
    digits = load_digits()
    assert found.label == digits.target[kept["ids"][7]]
    assert found.picture is not None
    np.testing.assert_allclose(found.picture[0], digits.images[kept["ids"][7]] / 16, atol=0.005)


def test_without_the_data_there_is_no_picture_and_a_word(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(settings: object) -> None:
        raise DataError("there are no digits")

    monkeypatch.setattr(_drawable, "load_data", gone)
    said: list[str] = []
    found = answered(settings("sample", world / "teacher"), pictures=True, report=said.append)
    assert found.sample(0).picture is None
    assert said == ["no picture: there are no digits"]


def test_the_example_that_is_chosen_is_the_most_ambiguous_one_that_is_answered_rightly() -> None:
    logits = torch.tensor([[5.0, 0.0], [1.0, 0.9], [2.0, 1.0], [0.0, 0.1]])
    assert most_ambiguous(logits, torch.tensor([0, 1, 0, 0])) == 2
    assert most_ambiguous(logits[:1], torch.tensor([1])) == 0


def test_errors_are_sorted_by_temperature_and_by_what_else_differs(world: Path) -> None:
    (world / "grid").mkdir()
    for name in ("student-2", "student-8"):
        shutil.copytree(world / name, world / "grid" / name)
    found = by_temperature(settings("temperature", world / "grid"))
    wanted = {}
    for temperature in (2.0, 8.0):
        kept = load_file(world / f"student-{temperature:g}" / "answers-test.safetensors")
        wanted[temperature] = [100 * np.mean(kept["logits"].argmax(1) != kept["labels"])]
    assert found == {"students": {key: pytest.approx(value) for key, value in wanted.items()}}


def test_the_networks_on_digits_have_learned_them_and_begun_to() -> None:
    found = on_digits(student=True).answers
    right = {name: float((kept.logits.argmax(1) == kept.labels).double().mean()) for name, kept in found.items()}
    assert list(right) == ["student", "teacher"]
    assert 0.2 < right["student"] < right["teacher"]
    assert right["teacher"] > 0.9


def test_without_runs_the_theory_is_drawn_of_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_digits(student=True)
    monkeypatch.setattr(stage, "on_digits", lambda *, student: made)
    for name, choice in CHOICES.items():
        if not choice.least:
            assert darkknowledge.figure(name, out=tmp_path / f"{name}.svg").is_file()


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("softmx", {}, "Did you mean 'softmax'"),
        ("sample", {"out": "a.gif"}, "has none of the suffixes of sample: .svg, .pdf, .png"),
        ("softmax", {"run": ["a", "b"]}, "softmax is drawn of one run, or none; run names 2"),
        ("norms", {"run": ["a"]}, "norms is drawn of a student and its teacher, or none; run names 1"),
        ("curves", {}, "curves is drawn of any number of runs; run names 0"),
        ("curves", {"run": ["a"], "temperature": 4}, "curves has no use for temperature"),
        ("norms", {"sample": 3}, "norms has no use for sample"),
        ("softmax", {"temperature": 4}, "softmax goes from one temperature to another"),
        ("forms", {"temperature": [4, 4]}, "forms goes from one temperature to another"),
        ("sample", {"temperature": -1}, "temperature.0=-1 must be greater than 0"),
    ],
)
def test_what_makes_no_figure_is_refused_in_words(name: str, values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        darkknowledge.figure(name, **values)
    assert said in str(caught.value)


def test_a_run_of_several_networks_stands_for_them_where_any_number_may_be(world: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(world / "students", tmp_path / "students")
    inner = [shutil.copytree(world / name, folder / name) for name in ("student-2", "student-8")]
    assert {run.path for run in runs_of(settings("reliability", folder))} == set(inner)
    with pytest.raises(UsageError, match="holds several networks, and one is asked for") as caught:
        darkknowledge.figure("softmax", folder)
    assert str(inner[1]) in caught.value.fix


def test_a_run_that_was_not_measured_is_told_how(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps no answers to the test split") as caught:
        darkknowledge.figure("sample", world / "unmeasured", out=tmp_path / "a.svg")
    assert f"dk evaluate run={world / 'unmeasured'}" in caught.value.fix
    assert not (tmp_path / "a.svg").exists()


def test_an_example_beyond_the_split_and_a_run_named_twice_are_refused(world: Path) -> None:
    with pytest.raises(UsageError, match="there is no example 500"):
        darkknowledge.figure("sample", world / "teacher", sample=500)
    with pytest.raises(UsageError, match="named twice"):
        darkknowledge.figure("reliability", [world / "teacher", world / "teacher"])


@pytest.mark.parametrize("wrong", ["labels beyond the classes", "logits that are no numbers", "no examples", "other shapes", "no logits"])
def test_answers_that_make_no_sense_are_refused_in_words(wrong: str, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "teacher", tmp_path / "odd")
    kept = load_file(world / "teacher" / "answers-test.safetensors")
    if wrong == "labels beyond the classes":
        kept["labels"][3] = 10
    elif wrong == "logits that are no numbers":
        kept["logits"][3, 3] = np.nan
    elif wrong == "no examples":
        kept = {name: values[:0] for name, values in kept.items()}
    elif wrong == "other shapes":
        kept["labels"] = kept["labels"][:, None]
    else:
        del kept["logits"]
    save_file(kept, tmp_path / "odd" / "answers-test.safetensors")
    numbers = read_checked(world / "teacher" / "evaluation-test.json")
    numbers["files"] = {"answers-test.safetensors": asdict(Written.of(tmp_path / "odd" / "answers-test.safetensors"))}
    write_checked(tmp_path / "odd" / "evaluation-test.json", numbers)
    with pytest.raises(IntegrityError, match=r"answers-test\.safetensors (holds no|does not hold)"):
        darkknowledge.figure("reliability", tmp_path / "odd")


def test_answers_that_were_altered_or_are_to_other_examples_are_refused(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(world / "teacher", tmp_path / "altered")
    file = tmp_path / "altered" / "answers-test.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="not the file that was written"):
        darkknowledge.figure("sample", tmp_path / "altered")
    monkeypatch.setattr(_drawable, "kept_answers", lambda folder, *, split: answers(folder.name))
    with pytest.raises(IntegrityError, match="did not answer the same examples"):
        darkknowledge.figure("norms", [world / "student-2", world / "teacher"])


def answers(name: str) -> KeptAnswers:
    """To an example that the name tells."""
    return KeptAnswers(("a", "b"), torch.tensor([len(name)]), torch.tensor([0]), torch.zeros(1, 2))
