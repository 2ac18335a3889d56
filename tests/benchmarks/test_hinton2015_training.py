"""The jobs of the MNIST experiments on real training, tiny: what they leave, and what is kept of it."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from benchmarks.hinton2015.jobs import Job, Place
from benchmarks.hinton2015.runner import needed

import darkknowledge
from darkknowledge.errors import IntegrityError
from moments import begin, named, place_in
from pipeline.small import write_mnist

SMALL = {"name": "hinton_mlp", "hidden": [8, 8]}
TRAINING = {"epochs": 8, "batch_size": 16, "threads": 1, "precision": "fp32"}
FULL = {"validation": 0, "augment": "none"}
TEACHERS = tuple(
    Job(f"teacher/{seed}", "train", {"model": SMALL, "data": FULL, "training": {**TRAINING, "seed": seed}}, 1.0, note={"arm": "teacher"})
    for seed in range(2)
)
ANSWERS = Job("answers/0", "record", {"data": FULL, "views": 1, "codec": "float16", "precision": "fp32"}, 1.0, needs=TEACHERS[:1])
GROUP = Job(
    "soft/8-0",
    "distill",
    {"student": SMALL, "data": FULL, "objective": {"name": "distillation", "alpha": 0.9}, "training": {**TRAINING, "views": 1}},
    1.0,
    needs=(ANSWERS,),
    students=({"name": "T1", "temperature": 1.0}, {"name": "wild", "temperature": 4.0, "training": {"learning_rate": 1e30}}),
    note={"arm": "soft", "width": 8},
)
STOPPED = Job(
    "few/0",
    "train",
    # At this rate more and more units die: from the second epoch on it gets worse.
    {"model": SMALL, "data": {**FULL, "validation": 20}, "training": {**TRAINING, "epochs": 6, "learning_rate": 1.0}},
    1.0,
    weights="best",
)
TOGETHER = Job("ten", "measure", {}, 1.0, needs=TEACHERS, note={"arm": "ten"})
EVERYTHING = named(*TEACHERS, ANSWERS, GROUP, STOPPED, TOGETHER)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """All jobs done, one of them after a kill that left a folder before the run had said what it is."""
    place = place_in(tmp_path_factory.mktemp("experiments"))
    write_mnist(place.data)
    (begin(TEACHERS[1], place) / "config.yaml").touch()
    for job in needed(EVERYTHING, place).values():
        job.run(place)
    return place


@pytest.fixture(scope="module")
def records(place: Place) -> dict[str, Any]:
    return {name: json.loads(place.result(name).read_text()) for job in EVERYTHING.values() if job.kind != "record" for name in job.records}


def test_a_teacher_its_answers_a_group_and_a_measurement_leave_their_records(place: Place, records: dict[str, Any]) -> None:
    assert list(records) == ["teacher/0", "teacher/1", "soft/8-0/T1", "soft/8-0/wild", "few/0", "ten"]
    assert all(record["name"] == name for name, record in records.items())
    assert records["soft/8-0/wild"]["diverged"]
    for record in (record for record in records.values() if not record.get("diverged")):
        assert (record["examples"], record["split"]) == (100, "test")
        assert record["errors"] == len(record["wrong"])
    assert (records["soft/8-0/T1"]["temperature"], records["soft/8-0/T1"]["arm"]) == (1.0, "soft")
    assert needed(EVERYTHING, place) == {}


def test_a_record_says_whose_student_it_is_and_what_it_was_made_with(records: dict[str, Any]) -> None:
    first, second = (records[f"teacher/{seed}"]["model_fingerprint"] for seed in range(2))
    assert first != second
    assert records["teacher/0"]["teacher_fingerprints"] == []
    assert records["soft/8-0/T1"]["teacher_fingerprints"] == [first]
    assert records["ten"]["model_fingerprints"] == [first, second]
    assert records["teacher/0"]["made_with"]["darkknowledge"] == darkknowledge.__version__
    assert set(records["teacher/0"]["made_with"]) == {"processor", "cores", "python", "darkknowledge", "torch", "numpy"}


def test_one_that_is_stopped_early_is_judged_by_its_best_epoch_and_its_last_one_is_kept_beside(place: Place, records: dict[str, Any]) -> None:
    record = records["few/0"]
    assert record["best_epoch"] < STOPPED.arguments["training"]["epochs"]
    for name, weights in (("errors", "best"), ("errors_of_last_epoch", "last")):
        (measured,) = darkknowledge.evaluate(place.work / "few" / "0", weights=weights, cost=False, threads=1)
        assert record[name] == measured.accuracy.errors
    assert record["errors"] < record["errors_of_last_epoch"]


def test_a_teacher_trained_again_keeps_its_record_to_the_byte_or_is_refused(place: Place) -> None:
    teacher, folder, record = TEACHERS[1], place.work / "teacher" / "1", place.result("teacher/1")
    kept = record.read_bytes() + b"\n"  # so that one that is written again differs
    record.write_bytes(kept)
    weights = (folder / "model" / "model.safetensors").read_bytes()
    shutil.rmtree(folder)
    teacher.run(place)
    assert (folder / "model" / "model.safetensors").read_bytes() == weights
    assert record.read_bytes() == kept
    own = (folder / "run.json").read_text()
    (folder / "run.json").write_text(json.dumps(json.loads(own) | {"model_fingerprint": "other weights"}))
    with pytest.raises(IntegrityError, match=r"teacher/1 holds other weights than .*teacher/1\.json was measured with"):
        teacher.run(place)
    (folder / "run.json").write_text(own)
    assert record.read_bytes() == kept
