"""The whole way: a teacher, pairs of students, and what the comparison says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from scipy import stats
from torch import Tensor

import darkknowledge
from darkknowledge import Comparison, model as model_room
from darkknowledge.contract import Batch, Report
from darkknowledge.data import _idx, load
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.pipeline import run as stage
from darkknowledge.pipeline.settings import RunSettings, TrainSettings, validate
from darkknowledge.runs.checked_json import read_checked
from darkknowledge.runs.files import Written
from darkknowledge.runs.folder import RunFolder, open_run
from darkknowledge.training import loop
from pipeline.small import LOGGING, STEPS, STUDENT, TEACHER

SEEDS = 3


@dataclass(frozen=True)
class Begun:
    """How one training began: the network's weights, and the ids and pictures of its first two epochs' first batches."""

    name: str
    weights: dict[str, Tensor]
    batches: list[Batch]


@pytest.fixture(scope="module")
def begun() -> list[Begun]:
    return []


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, begun: list[Begun]) -> Comparison:
    """A comparison of three pairs, each training looked at as it began."""

    class Watched(loop.Lockstep):
        def run(self) -> Any:
            (learner,) = self.learners
            weights = {name: value.clone() for name, value in learner.network.state_dict().items()}
            looked = []
            for epoch in range(2):
                learner.epochs_done, learner.step = epoch, epoch * learner.per_epoch
                looked.append(next(iter(self.remaining_batches())))
            learner.epochs_done = learner.step = 0
            begun.append(Begun(learner.name, weights, looked))
            return super().run()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Lockstep", Watched)
        return darkknowledge.run(
            {"name": "digits", "augment": "jitter"},
            student=STUDENT,
            teacher={"model": TEACHER, "members": 2, "training": STEPS | {"epochs": 6}, "augment": "none"},
            objective={"name": "distillation", "temperature": 4, "alpha": 0.8},
            training=STEPS,
            seeds=SEEDS,
            logging=LOGGING,
            out=tmp_path_factory.mktemp("run") / "whole",
        )


def test_every_network_has_a_finished_run_of_its_own(compared: Comparison) -> None:
    names = {run.path.name: (run.kind, run.status) for run in darkknowledge.list_runs(compared.path)}
    assert names == {
        **{f"teacher-{index}": ("train", "finished") for index in range(2)},
        **{f"alone-{index}": ("train", "finished") for index in range(SEEDS)},
        **{f"distilled-{index}": ("distill", "finished") for index in range(SEEDS)},
    }
    assert json.loads((compared.path / "run.json").read_text())["status"] == "finished"


def test_paired_students_begin_alike_and_see_the_same_pictures_in_the_same_order(compared: Comparison, begun: list[Begun]) -> None:
    by_name = {each.name: each for each in begun}
    for index in range(SEEDS):
        alone, distilled = by_name[f"alone-{index}"], by_name[f"distilled-{index}"]
        assert all(torch.equal(value, distilled.weights[name]) for name, value in alone.weights.items())
        for one, other in zip(alone.batches, distilled.batches, strict=True):
            assert torch.equal(one.ids, other.ids)
            assert torch.equal(one.inputs, other.inputs)
    first, second = by_name["alone-0"], by_name["alone-1"]
    assert any(not torch.equal(value, second.weights[name]) for name, value in first.weights.items())
    assert not torch.equal(first.batches[0].ids, second.batches[0].ids)
    assert not torch.equal(by_name["teacher-0"].batches[0].ids, by_name["teacher-1"].batches[0].ids)


def test_the_students_end_apart(compared: Comparison) -> None:
    for index in range(SEEDS):
        alone, distilled = (model_room.load(compared.path / f"{arm}-{index}" / "model") for arm in ("alone", "distilled"))
        assert model_room.fingerprint(alone) != model_room.fingerprint(distilled)


def test_the_comparison_counts_what_the_answers_say(compared: Comparison) -> None:
    kept = read_checked(compared.path / "comparison.json")
    files = kept.pop("files")
    assert kept == json.loads(json.dumps(compared.to_dict()))
    for name in ("teacher-test.safetensors", "pictures-test.safetensors"):
        assert files[name] == asdict(Written.of(compared.path / name))
    right: dict[str, list[np.ndarray]] = {"alone": [], "distilled": []}
    for arm, rows in right.items():
        for index in range(SEEDS):
            found = load_file(compared.path / f"{arm}-{index}" / "answers-test.safetensors")
            rows.append(found["logits"].argmax(1) == found["labels"])
            assert kept[arm][index]["accuracy"]["errors"] == (~rows[-1]).sum()
    errors = {arm: np.array([(~row).sum() for row in rows]) for arm, rows in right.items()}
    gain = errors["alone"] - errors["distilled"]
    assert kept["gain"]["difference"] == pytest.approx(gain.mean())
    assert kept["gain"]["p_value"] == pytest.approx(stats.ttest_rel(errors["alone"], errors["distilled"]).pvalue)
    interval = stats.ttest_rel(errors["alone"], errors["distilled"]).confidence_interval()
    assert (kept["gain"]["interval"]["low"], kept["gain"]["interval"]["high"]) == pytest.approx((interval.low, interval.high))
    for test, alone, distilled in zip(kept["mcnemar"], right["alone"], right["distilled"], strict=True):
        won, lost = int((distilled & ~alone).sum()), int((alone & ~distilled).sum())
        assert (test["only_first"], test["only_second"]) == (won, lost)
        assert test["p_value"] == pytest.approx(stats.binomtest(won, won + lost).pvalue)


def test_the_teacher_of_the_comparison_is_the_mean_of_its_members(compared: Comparison) -> None:
    answers = compared.teacher.answers
    inputs = next(iter(load("digits").open_test().batches(torch.arange(500), batch_size=500, views=None))).inputs
    with torch.no_grad():
        members = [model_room.load(compared.path / f"teacher-{index}" / "model")(inputs).softmax(1) for index in range(2)]
    torch.testing.assert_close(answers.logits.softmax(1), sum(members) / 2, rtol=1e-4, atol=1e-6)  # type: ignore[arg-type]
    cost = compared.teacher.cost
    assert cost is not None
    assert cost.parameters == 2 * (64 * 32 + 32 + 32 * 10 + 10)


def test_the_settings_of_the_teacher_are_its_own(compared: Comparison) -> None:
    teacher, student = (open_run(compared.path / name).config for name in ("teacher-1", "distilled-1"))
    assert (teacher["data"]["augment"], student["data"]["augment"]) == ("none", "jitter")
    assert (teacher["training"]["epochs"], student["training"]["epochs"]) == (6, 2)
    assert (teacher["training"]["seed"], student["training"]["seed"]) == (1, 1)
    assert student["teacher"]["source"] == [str(compared.path / f"teacher-{index}") for index in range(2)]


@pytest.mark.usefixtures("no_costs")
def test_a_teacher_that_is_there_is_not_trained_again(runs: Path, tmp_path: Path) -> None:
    found = darkknowledge.run(
        student=STUDENT, teacher={"source": str(runs / "teacher-0")}, training={"steps": 2}, seeds=1, logging=LOGGING, out=tmp_path / "whole"
    )
    assert {path.name for path in found.path.iterdir() if path.is_dir()} == {"alone-0", "distilled-0"}
    assert found.gain.interval is None
    assert found.gap.share is None or found.gap.interval is None


def test_a_teacher_that_learned_nothing_is_refused_before_any_student_is_trained(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="guessing 10 classes gives") as caught:
        darkknowledge.run(
            student=STUDENT, teacher={"model": TEACHER, "training": {"steps": 1, "learning_rate": 1e-9}}, logging=LOGGING, out=tmp_path / "whole"
        )
    assert caught.value.exit_code == 4
    assert [run.path.name for run in darkknowledge.list_runs(tmp_path)] == ["whole", "teacher-0"]
    assert darkknowledge.list_runs(tmp_path)[0].status == "failed"
    assert not (tmp_path / "whole" / "comparison.json").exists()


def whole_way(mnist: Path, out: Path) -> darkknowledge.Comparison:
    teacher = {"model": TEACHER, "check": False, "training": {"steps": 2}}
    return darkknowledge.run(
        {"name": "mnist", "root": mnist}, student=STUDENT, teacher=teacher, training={"steps": 2}, seeds=1, logging=LOGGING, out=out
    )


def test_the_test_set_is_opened_when_everything_is_trained(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    fit, read = loop.fit_together, _idx.read_idx
    monkeypatch.setattr(
        loop, "fit_together", lambda students, *rest, **named: happened.extend(each.name for each in students) or fit(students, *rest, **named)
    )
    monkeypatch.setattr(_idx, "read_idx", lambda path, **named: happened.append(path.name) or read(path, **named))
    whole_way(mnist, tmp_path / "whole")
    first = next(index for index, name in enumerate(happened) if name.startswith("t10k"))
    assert [name for name in happened[:first] if not name.startswith("train")] == ["teacher-0", "alone-0", "distilled-0"]


def test_what_is_new_of_any_network_is_said_and_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(settings: TrainSettings, *, data: object, report: Report) -> object:
        assert settings.out
        report("objective: the same for all")
        report(f"warning: {settings.out.name}")
        return SimpleNamespace(path=settings.out)

    monkeypatch.setattr(stage, "train_from", trained)
    lines: list[str] = []
    settings = validate(RunSettings, {"teacher": {"members": 2}})
    stage._train_teachers(settings, RunFolder(tmp_path), load("digits"), stage._once(lines.append))
    assert lines == ["objective: the same for all", "warning: teacher-0", "warning: teacher-1"]


def test_a_finished_comparison_is_not_made_again(compared: Comparison) -> None:
    kept = (compared.path / "comparison.json").read_bytes()
    values = open_run(compared.path).config
    with pytest.raises(UsageError, match=r"already finished[\s\S]*comparison.json"):
        darkknowledge.run(**values | {"resume": True, "out": compared.path})
    assert (compared.path / "comparison.json").read_bytes() == kept


def test_a_missing_test_set_is_found_before_anything_is_trained(mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    trained: list[str] = []
    monkeypatch.setattr(loop, "fit_together", lambda students, *rest, **named: trained.extend(each.name for each in students))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte was not found"):
        whole_way(mnist, tmp_path / "whole")
    assert trained == []
    assert not (tmp_path / "whole").exists()
