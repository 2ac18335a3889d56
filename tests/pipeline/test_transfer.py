"""Distilling from recorded answers: beside the teacher by default, or from a set without any teacher."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import darkknowledge
from darkknowledge import Dataset, Ensemble, Frozen, TransferSet
from darkknowledge.contract import IGNORED, Batch, Output
from darkknowledge.data import from_tensors, load
from darkknowledge.errors import BusyError, DataError, IntegrityError, UsageError
from darkknowledge.model import load as load_model
from darkknowledge.pipeline import _recording, _teaching
from darkknowledge.pipeline.verify import verify
from darkknowledge.runs.folder import RunFolder
from darkknowledge.transfer import RecordedTeacher
from pipeline.small import LOGGING, STEPS, STUDENT

JITTER = {"name": "digits", "augment": "jitter"}


def distill(teacher: Any = None, data: Any = "digits", *, training: dict[str, Any] | None = None, **options: Any) -> darkknowledge.Trained:
    return darkknowledge.distill(teacher, options.pop("student", STUDENT), data, training=STEPS | (training or {}), logging=LOGGING, **options)


@pytest.fixture
def teacher(runs: Path, tmp_path: Path) -> Path:
    """A finished teacher without a transfer set beside it."""
    copied = shutil.copytree(runs / "teacher-0", tmp_path / "teacher")
    shutil.rmtree(copied / "transfer", ignore_errors=True)
    return copied


@contextmanager
def nobody_is_asked(but: int = 64) -> Iterator[None]:
    """Inside, a network in a teacher's place that is asked about more pictures than these is a failure, but for the look at its accuracy."""
    asked, left = Frozen.__call__, [but]

    def refuse(self: Frozen, batch: Batch) -> Output:
        if batch.views is not None:
            left[0] -= len(batch)
            assert left[0] >= 0, "a recorded teacher was asked again"
        return asked(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Frozen, "__call__", refuse)
        yield


def sets(folder: Path) -> list[TransferSet]:
    return [TransferSet.open(path.parent) for path in sorted(folder.glob("*/manifest.json"))]


def weights(path: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for value in load_model(path / "model").body.state_dict().values()])


@pytest.mark.parametrize("views", [1, 2, None])
def test_a_student_of_recorded_answers_is_the_student_of_the_live_teacher(teacher: Path, tmp_path: Path, views: int | None) -> None:
    training = {"epochs": 3, "views": views}
    live = distill(teacher, JITTER, training=training, transfer={"mode": "live"}, out=tmp_path / "live")
    assert not (teacher / "transfer").exists()
    recorded = distill(teacher, JITTER, training=training, transfer={"codec": "float32"}, out=tmp_path / "recorded")
    torch.testing.assert_close(weights(recorded.path), weights(live.path), rtol=1e-4, atol=1e-5)
    (found,) = sets(teacher / "transfer")
    assert found.views == (views or 3)
    half = distill(teacher, JITTER, training=training, out=tmp_path / "half")
    torch.testing.assert_close(weights(half.path), weights(live.path), rtol=0.02, atol=0.01)


def test_later_students_of_any_temperature_and_seed_find_the_answers_recorded(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, JITTER, out=tmp_path / "first", temperature=2)
    (found,) = sets(teacher / "transfer")
    before = {path: path.stat().st_mtime_ns for path in found.path.rglob("*")}
    with nobody_is_asked():
        distill(teacher, JITTER, out=tmp_path / "second", temperature=9, training={"seed": 5})
    assert {path: path.stat().st_mtime_ns for path in found.path.rglob("*")} == before
    assert len(sets(teacher / "transfer")) == 1


def test_a_run_of_few_steps_records_only_what_it_will_see(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, JITTER, training={"steps": 3}, out=tmp_path / "short")
    (found,) = sets(teacher / "transfer")
    assert len(found) == 3 * STEPS["batch_size"]
    distill(teacher, JITTER, out=tmp_path / "whole")
    assert sorted(map(len, sets(teacher / "transfer"))) == [3 * STEPS["batch_size"], 2 * len(load("digits").train)]


def test_pictures_that_are_not_augmented_are_recorded_once(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, out=tmp_path / "student", training={"epochs": 5})
    (found,) = sets(teacher / "transfer")
    assert (found.views, len(found)) == (1, len(load("digits").train))


def test_an_ensemble_is_recorded_member_by_member_so_that_any_temperature_can_be_averaged(runs: Path, teacher: Path, tmp_path: Path) -> None:
    both = [teacher, runs / "teacher-1"]
    live = distill(both, temperature=3, transfer={"mode": "live"}, out=tmp_path / "live")
    recorded = distill(both, temperature=3, transfer={"codec": "float32"}, out=tmp_path / "recorded")
    torch.testing.assert_close(weights(recorded.path), weights(live.path), rtol=1e-4, atol=1e-5)
    (found,) = sets(teacher / "transfer")
    assert found.members == 2
    members = [load_model(path / "model") for path in both]
    data = load("digits")
    batch = next(data.train.batches(torch.arange(20), batch_size=20, views=None))
    expected = Ensemble([Frozen(member, data.class_names) for member in members])(batch).logits(7)
    torch.testing.assert_close(found[batch.ids].logits(7), expected, rtol=1e-4, atol=1e-4)


def test_a_set_teaches_without_its_teacher_and_answers_for_it_in_the_evaluation(teacher: Path, tmp_path: Path) -> None:
    made = darkknowledge.record(teacher, JITTER, tmp_path / "set", views=2, progress=False)
    assert made is not None
    assert len(made) == 2 * len(load("digits").train)
    shutil.rmtree(teacher)
    result = distill(transfer=tmp_path / "set", data=JITTER, out=tmp_path / "student", training={"epochs": 8})
    (evaluation,) = darkknowledge.evaluate(result.path, cost=False)
    assert evaluation.fidelity_on == "transfer set"
    assert evaluation.fidelity is not None
    data = load("digits", augment="jitter")
    (batch,) = data.train.batches(torch.arange(len(data.train)), batch_size=2000, views=torch.zeros(len(data.train), dtype=torch.int64))
    agree = load_model(result.path / "model")(batch.inputs).argmax(-1) == made[batch.ids, torch.zeros_like(batch.ids)].logits().argmax(-1)
    everything = made.keys()
    assert evaluation.fidelity.overall.examples == len(everything)
    assert evaluation.fidelity.overall.at_1 == pytest.approx(agree.float().mean().item(), abs=0.05)
    record = json.loads((result.path / "run.json").read_text())
    assert record["transfer"]["path"] == str(tmp_path / "set")
    assert record["teacher_fingerprints"] == list(made.identity.teacher)


def test_a_set_that_changed_since_is_not_taken_for_the_one_that_was_learned_from(teacher: Path, tmp_path: Path) -> None:
    darkknowledge.record(teacher, "digits", tmp_path / "set", progress=False)
    result = distill(transfer=tmp_path / "set", out=tmp_path / "student")
    shutil.rmtree(tmp_path / "set")
    (gone,) = darkknowledge.evaluate(result.path, cost=False)
    darkknowledge.record(teacher, "digits", tmp_path / "set", codec="float32", progress=False)
    (other,) = darkknowledge.evaluate(result.path, cost=False)
    assert gone.fidelity is None
    assert other.fidelity is None


def shuffled(data: Dataset) -> Dataset:
    images, labels = data.train.images.flip(0), data.train.labels.flip(0)  # type: ignore[attr-defined]
    return from_tensors(images, labels, class_names=data.class_names, validation=20)


def renamed(data: Dataset) -> Dataset:
    names = (*data.class_names[:-2], data.class_names[-1], data.class_names[-2])
    return from_tensors(data.train.images, data.train.labels, class_names=names, validation=20)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"teacher": "teacher-1"}, "teacher"),
        ({"teacher": ["teacher-0", "teacher-1"]}, "teacher"),
        ({"data": {"name": "digits", "augment": "crop_flip"}}, "transform"),
        ({"data": {"name": "digits", "augment": "jitter", "augment_seed": 1}}, "transform"),
        ({"data": {"name": "digits", "augment": "jitter", "mix": "mixup"}}, "transform"),
        ({"data": shuffled}, "data"),
        ({"data": renamed}, "class_names"),
    ],
)
def test_a_wrong_pairing_is_refused_with_the_field_that_differs(
    runs: Path, teacher: Path, tmp_path: Path, change: dict[str, Any], field: str
) -> None:
    darkknowledge.record(teacher, JITTER, tmp_path / "set", views=2, progress=False)
    given: Any = change.get("teacher")
    other = None if given is None else runs / given if isinstance(given, str) else [runs / name for name in given]
    data = change.get("data", JITTER)
    with pytest.raises(IntegrityError, match=f"another {field}"):
        distill(other, data(load("digits")) if callable(data) else data, transfer=tmp_path / "set", out=tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_the_right_teacher_beside_its_set_is_welcome(teacher: Path, tmp_path: Path) -> None:
    darkknowledge.record(teacher, JITTER, tmp_path / "set", views=2, progress=False)
    result = distill(teacher, JITTER, transfer=tmp_path / "set", out=tmp_path / "student")
    (evaluation,) = darkknowledge.evaluate(result.path, cost=False)
    assert evaluation.fidelity_on == "test"


def test_pictures_that_are_not_those_the_teacher_saw_are_found_on_samples(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    darkknowledge.record(teacher, "digits", tmp_path / "set", progress=False)
    data = load("digits")
    lying = from_tensors((255 - data.train.images), data.train.labels, class_names=data.class_names, validation=0)  # type: ignore[attr-defined]
    claimed = type(data)(**{name: getattr(data, name) for name in data.__dataclass_fields__} | {"train": replace_images(data, lying)})
    with pytest.raises(IntegrityError, match="not the ones that the teacher saw: 64 of 64"):
        distill(transfer=tmp_path / "set", data=claimed, out=tmp_path / "student")


def replace_images(data: Dataset, other: Dataset) -> Any:
    train: Any = data.train
    return type(train)(other.train.images, train.ids, train.labels, train.augmentation, train.seed)  # type: ignore[attr-defined]


def test_missing_examples_are_counted_named_and_refused(teacher: Path, tmp_path: Path) -> None:
    part = {"name": "digits", "without": ["3"]}
    darkknowledge.record(teacher, part, tmp_path / "set", progress=False)
    lost = (load("digits").train.labels == 3).sum()
    with pytest.raises(DataError, match=rf"{lost} of .*"):
        distill(transfer=tmp_path / "set", out=tmp_path / "student")


@pytest.mark.parametrize(
    ("part", "goal"),
    [
        ({"without": ["3"]}, {}),
        ({"fraction": 0.5}, {}),
        ({"labelled": 0.1}, {}),
        ({"hide_labels": True}, {"objective": "hinton"}),
        ({"classes": ["7", "8"]}, {}),
    ],
)
def test_parts_of_the_classes_of_the_cases_and_of_the_labels_learn_from_one_set(
    teacher: Path, tmp_path: Path, part: dict[str, Any], goal: dict[str, Any]
) -> None:
    darkknowledge.record(teacher, "digits", tmp_path / "set", progress=False)
    result = distill(transfer=tmp_path / "set", data={"name": "digits", **part}, out=tmp_path / "student", **goal)
    assert result.last is not None


def test_pictures_without_any_label_can_be_recorded_and_learned_from(teacher: Path, tmp_path: Path) -> None:
    digits = load("digits")
    images = digits.train.images  # type: ignore[attr-defined]
    unlabelled = from_tensors(images, torch.full((len(images),), IGNORED), class_names=digits.class_names, validation=0)
    made = darkknowledge.record(teacher, unlabelled, tmp_path / "set", progress=False)
    assert made is not None
    assert (made.labels(made.ids) == IGNORED).all()
    result = distill(transfer=tmp_path / "set", data=unlabelled, objective="hinton", training={"epochs": 15}, out=tmp_path / "student")
    test = next(digits.open_test().batches(torch.arange(500), batch_size=500, views=None))
    assert (load_model(result.path / "model")(test.inputs).argmax(-1) == test.labels).float().mean() > 0.3, "it learned classes without a label"


def test_too_little_captured_mass_is_refused_with_the_numbers(teacher: Path, tmp_path: Path) -> None:
    darkknowledge.record(teacher, "digits", tmp_path / "set", codec="topk", top_k=2, temperatures=[1, 4], progress=False)
    with pytest.raises(UsageError, match=r"at temperature 4 the 2 recorded of 10 classes hold 0\.\d+ of the soft target"):
        distill(transfer=tmp_path / "set", out=tmp_path / "student", temperature=4)
    with pytest.raises(UsageError, match="no tail for temperature 3"):
        distill(transfer=tmp_path / "set", out=tmp_path / "student", temperature=3)
    distill(transfer={"source": tmp_path / "set", "least_mass": 0.0}, out=tmp_path / "student", temperature=4)


def test_an_objective_that_does_not_tell_its_temperatures_is_told_that_nobody_checks_the_mass(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = """
    from darkknowledge.objective import Hinton, Mixture

    class Silent:
        def __init__(self):
            self.mixture = Mixture({"soft": (Hinton(4.0), 1.0)})
            self.needs, self.counts, self.loss, self.formula = self.mixture.needs, self.mixture.counts, self.mixture.loss, self.mixture.formula
    """
    (tmp_path / "silent.py").write_text(textwrap.dedent(module))
    monkeypatch.syspath_prepend(tmp_path)
    darkknowledge.record(teacher, "digits", tmp_path / "set", codec="topk", top_k=2, temperatures=[1, 4], progress=False)
    distill(transfer=tmp_path / "set", out=tmp_path / "student", objective="silent:Silent", training={"steps": 1})
    assert "warning: the objective does not tell its temperatures" in capsys.readouterr().err


def test_answers_recorded_as_top_k_declare_the_temperature_of_the_run(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, transfer={"codec": "topk", "top_k": 9, "least_mass": 0.5}, temperature=3.5, out=tmp_path / "student")
    (found,) = sets(teacher / "transfer")
    assert found.temperatures is not None
    assert 3.5 in found.temperatures


class Oracle:
    """A teacher without networks."""

    class_names = tuple("0123456789")

    def __call__(self, batch: Batch) -> Output:
        return Output.single(5 * torch.nn.functional.one_hot(batch.labels, 10).float())

    def to(self, device: torch.device | str) -> Oracle:
        return self


def test_a_teacher_that_nothing_tells_from_another_is_asked_live_and_cannot_be_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = distill(Oracle(), out=tmp_path / "student")
    assert result.last is not None
    assert "asked live" in capsys.readouterr().err
    assert not list(tmp_path.glob("transfer/*"))
    with pytest.raises(UsageError, match="no networks"):
        darkknowledge.record(Oracle(), "digits", tmp_path / "set")


def test_a_teacher_without_a_folder_is_recorded_beside_the_student(runs: Path, tmp_path: Path) -> None:
    network = load_model(runs / "teacher-0" / "model")
    distill(network, out=tmp_path / "student")
    assert len(sets(tmp_path / "transfer")) == 1
    with nobody_is_asked():
        distill(Frozen(network, network.spec.class_names), out=tmp_path / "other", training={"seed": 1})


def test_a_teacher_whose_folder_cannot_be_written_is_recorded_beside_the_student(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode, **named: Path(path) != teacher)
    distill(teacher, out=tmp_path / "student")
    assert not (teacher / "transfer").exists()
    assert len(sets(tmp_path / "transfer")) == 1


def test_who_finds_another_recording_waits_for_it(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited, build = [], _recording.build

    def busy_once(*arguments: Any, **named: Any) -> Any:
        if not waited:
            raise BusyError("recording is in use by another process")
        return build(*arguments, **named)

    monkeypatch.setattr(_recording, "build", busy_once)
    monkeypatch.setattr(_recording.time, "sleep", waited.append)
    distill(teacher, out=tmp_path / "student")
    assert waited == [5]


def test_a_damaged_set_beside_the_teacher_is_passed_over_and_recorded_anew(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, out=tmp_path / "first")
    (found,) = sets(teacher / "transfer")
    (found.path / "manifest.json").write_bytes((found.path / "manifest.json").read_bytes()[:-40])
    shutil.move(found.path, found.path.with_name("digits-damaged"))
    distill(teacher, out=tmp_path / "second")
    assert (weights(tmp_path / "first") == weights(tmp_path / "second")).all()


def test_parts_recorded_one_by_one_give_the_bytes_of_the_undivided_set(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {"views": 3, "shard_rows": 700, "batch_size": 100, "progress": False}
    whole = darkknowledge.record(teacher, JITTER, tmp_path / "whole", **options)
    assert darkknowledge.record(teacher, JITTER, tmp_path / "parts", shard="2/2", **options) is None
    assert "part 2 of 2 is recorded" in capsys.readouterr().err, "parts are counted as shard=2/2 counts them"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(UsageError, match="torchrun"):
        darkknowledge.record(teacher, JITTER, tmp_path / "parts", shard="1/2", **options)
    parts = darkknowledge.record(teacher, JITTER, tmp_path / "parts", **options)
    assert whole is not None
    assert parts is not None
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_large_sets_are_read_from_their_files_in_blocks(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    darkknowledge.record(teacher, JITTER, tmp_path / "set", views=2, codec="float32", progress=False)
    options: dict[str, Any] = {"transfer": tmp_path / "set", "data": JITTER, "training": {"shuffle_block": 16}}
    loaded = distill(out=tmp_path / "loaded", **options)
    monkeypatch.setattr(_teaching, "IN_MEMORY", 0)
    mapped = distill(out=tmp_path / "mapped", **options)
    assert torch.equal(weights(loaded.path), weights(mapped.path))
    monkeypatch.setattr(_teaching, "BLOCK", 16)
    by_itself = distill(out=tmp_path / "by-itself", transfer=tmp_path / "set", data=JITTER)
    assert torch.equal(weights(by_itself.path), weights(mapped.path))


def test_verify_takes_sets_networks_and_whole_runs(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, out=tmp_path / "student")
    lines = verify(teacher)
    assert [line.split(": ")[1].split(",")[0][:8] for line in lines] == ["a run th", "a networ", "a networ", "a transf"]
    (found,) = sets(teacher / "transfer")
    shard = next(found.path.glob("shards/*.arrow"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 4
    shard.write_bytes(data)
    with pytest.raises(IntegrityError, match=shard.name):
        verify(teacher)
    with pytest.raises(UsageError):
        verify(tmp_path)


class Shifted(torch.nn.Module):
    """A network of which an attribute that no state holds decides the answers."""

    def __init__(self, network: torch.nn.Module, shift: float) -> None:
        super().__init__()
        self.network, self.shift = network, shift

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.network((inputs - self.shift).clamp(0, 1))


def test_a_difference_that_no_weight_shows_is_found_by_asking_again(teacher: Path, tmp_path: Path) -> None:
    network = load_model(teacher / "model")
    distill(Frozen(Shifted(network, 0.0), network.spec.class_names), out=tmp_path / "first")
    with pytest.raises(IntegrityError, match="no longer answers as recorded"):
        distill(Frozen(Shifted(network, 0.5), network.spec.class_names), out=tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("codec", ["float16", "float32", "uint8", "topk"])
@pytest.mark.parametrize("average", ["probability", "logit"])
def test_a_teacher_asked_again_answers_as_recorded_by_every_codec(runs: Path, tmp_path: Path, codec: str, average: str) -> None:
    both = [runs / "teacher-0", runs / "teacher-1"]
    options: dict[str, Any] = {"top_k": 3, "temperatures": [2, 4]} if codec == "topk" else {}
    darkknowledge.record(both, JITTER, tmp_path / "set", views=2, average=average, codec=codec, progress=False, **options)
    distill(both, JITTER, average=average, transfer={"source": tmp_path / "set", "least_mass": 0}, out=tmp_path / "student")


def test_a_set_of_more_views_serves_a_shorter_run(teacher: Path, tmp_path: Path) -> None:
    distill(teacher, JITTER, training={"epochs": 5, "views": 4}, out=tmp_path / "long")
    with nobody_is_asked():
        short = distill(teacher, JITTER, training={"epochs": 3, "views": 4}, out=tmp_path / "short")
    live = distill(teacher, JITTER, training={"epochs": 3, "views": 4}, transfer={"mode": "live"}, out=tmp_path / "live")
    torch.testing.assert_close(weights(short.path), weights(live.path), rtol=0.02, atol=0.01)
    assert [found.views for found in sets(teacher / "transfer")] == [4]


def test_a_resumed_run_goes_on_with_the_very_set_that_it_was_begun_with(teacher: Path, tmp_path: Path) -> None:
    darkknowledge.record(teacher, "digits", tmp_path / "set", codec="float32", progress=False)
    begun = distill(transfer=tmp_path / "set", training={"steps": 4}, out=tmp_path / "student")
    RunFolder(begun.path).note(status="preempted")
    shutil.rmtree(tmp_path / "set")
    darkknowledge.record(teacher, "digits", tmp_path / "set", codec="uint8", progress=False)
    with pytest.raises(IntegrityError, match="transfer set is no longer what"):
        distill(transfer=tmp_path / "set", training={"steps": 4}, out=tmp_path / "student", resume=True)


def test_an_ensemble_with_a_member_of_another_kind_is_asked_live(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = load_model(runs / "teacher-0" / "model")
    mixed = Ensemble([Frozen(network, network.spec.class_names), Oracle()])
    assert distill(mixed, out=tmp_path / "student").last is not None
    assert "asked live" in capsys.readouterr().err


def test_the_limit_of_a_high_temperature_needs_every_logit(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs every logit"):
        distill(teacher, objective="logit_matching", transfer={"codec": "topk", "top_k": 3}, out=tmp_path / "student")
    assert distill(teacher, objective="logit_matching", training={"learning_rate": 0.001}, out=tmp_path / "student").last is not None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_live_teacher_answers_in_float32_as_a_recorded_one_does(teacher: Path, tmp_path: Path, precision: str) -> None:
    training = {"precision": precision, "steps": 5}
    live = distill(teacher, training=training, transfer={"mode": "live"}, out=tmp_path / "live")
    recorded = distill(teacher, training=training, transfer={"codec": "float32"}, out=tmp_path / "recorded")
    torch.testing.assert_close(weights(recorded.path), weights(live.path), rtol=1e-4, atol=1e-5)


def test_agreement_with_recorded_answers_is_not_measured_on_other_pictures(teacher: Path, tmp_path: Path) -> None:
    darkknowledge.record(teacher, JITTER, tmp_path / "set", views=2, progress=False)
    result = distill(transfer=tmp_path / "set", data=load("digits", augment="jitter"), out=tmp_path / "student")
    with pytest.raises(IntegrityError, match="another transform"):
        darkknowledge.evaluate(result.path, data=load("digits"), cost=False)


def test_a_set_as_an_object_is_taken_in_its_own_place_alone(teacher: Path, tmp_path: Path) -> None:
    made = darkknowledge.record(teacher, "digits", tmp_path / "set", progress=False)
    assert made is not None
    assert distill(transfer=made, out=tmp_path / "student").last is not None
    with pytest.raises(UsageError, match="transfer=PATH"):
        distill(RecordedTeacher(made), out=tmp_path / "other")


def test_answers_in_a_folder_that_cannot_be_written_are_found(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distill(teacher, out=tmp_path / "first")
    monkeypatch.setattr(os, "access", lambda path, mode, **named: Path(path) != teacher)
    with nobody_is_asked():
        distill(teacher, out=tmp_path / "second", training={"seed": 3})
    assert not (tmp_path / "transfer").exists()


def test_both_students_of_a_run_see_one_order_where_answers_are_too_many_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_costs: None
) -> None:
    monkeypatch.setattr(_teaching, "IN_MEMORY", 0)
    teacher = {"model": {"name": "hinton_mlp", "hidden": [32]}, "training": STEPS | {"epochs": 5}}
    darkknowledge.run("digits", student=STUDENT, teacher=teacher, training=STEPS, seeds=1, logging=LOGGING, out=tmp_path / "run")
    blocks = [yaml.safe_load((tmp_path / "run" / arm / "config.yaml").read_text())["training"]["shuffle_block"] for arm in ("alone-0", "distilled-0")]
    assert blocks == [_teaching.BLOCK, _teaching.BLOCK]
