"""Several students of one teacher: each as it would be alone, from one pass over data and soft targets."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import darkknowledge
from darkknowledge import Dataset
from darkknowledge.contract import Batch
from darkknowledge.errors import DivergedError, Interrupted, UsageError
from darkknowledge.model import Network, build, fingerprint
from darkknowledge.pipeline import _teaching, _training, distill
from darkknowledge.pipeline.settings import DistillSettings, students_of, validate
from darkknowledge.runs.folder import RunFolder
from darkknowledge.teacher import Frozen
from darkknowledge.training import loop
from darkknowledge.training.watching import Plan, Record
from pipeline.small import LOGGING, STEPS, STUDENT

DATA = {"name": "digits", "augment": "jitter"}
SEVERAL: list[dict[str, Any]] = [
    {"temperature": 2},
    {"temperature": 8, "alpha": 0.5, "training": {"ema": 0.9, "learning_rate": 0.02}, "name": "soft"},
    {"objective": "hinton", "student": {"hidden": [12], "input_dropout": 0.0}},
    {"seed": 1},
]
NAMES = ["0", "soft", "2", "3"]


def several(runs: Path, out: Path, students: list[dict[str, Any]] = SEVERAL, **options: Any) -> list[darkknowledge.Trained]:
    training = STEPS | options.pop("training", {})
    return darkknowledge.distill_several(students, runs / "teacher-0", STUDENT, DATA, training=training, logging=LOGGING, out=out, **options)


def facts(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "run.json").read_text())
    return found


@pytest.fixture(scope="module")
def together(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[darkknowledge.Trained]:
    return several(runs, tmp_path_factory.mktemp("together") / "students")


def test_each_student_is_the_one_that_distill_makes_alone(runs: Path, together: list[darkknowledge.Trained], tmp_path: Path) -> None:
    settings = yaml.safe_load((together[0].path.parent / "config.yaml").read_text())
    for (name, each), trained in zip(students_of(validate(DistillSettings, settings)).items(), together, strict=True):
        assert trained.path.name == name
        alone = distill.distill_from(each.model_copy(update={"out": tmp_path / name}))
        assert fingerprint(alone.network) == fingerprint(trained.network)
        assert (alone.last, alone.best) == (trained.last, trained.best)
        assert (alone.path / "metrics.jsonl").read_text() == (trained.path / "metrics.jsonl").read_text()
        theirs, ours = (yaml.safe_load((run.path / "config.yaml").read_text()) for run in (alone, trained))
        assert {**theirs, "out": None} == {**ours, "out": None}
        kept = facts(trained.path)
        for key in ("transfer", "teacher_fingerprints", "data_fingerprint", "split_fingerprint", "objective", "model_fingerprint", "steps"):
            assert kept[key] == facts(alone.path)[key]


def test_every_stage_takes_the_runs_as_its_own(together: list[darkknowledge.Trained], no_costs: None) -> None:
    assert [trained.path.name for trained in together] == NAMES
    assert {run.path.name: (run.kind, run.status, run.seed) for run in darkknowledge.list_runs(together[0].path.parent)} == {
        "0": ("distill", "finished", 0), "soft": ("distill", "finished", 0), "2": ("distill", "finished", 0), "3": ("distill", "finished", 1),
    }  # fmt: skip
    assert facts(together[0].path.parent)["status"] == "finished"
    assert facts(together[0].path)["together"] == 3
    assert "together" not in facts(together[3].path)
    (evaluation,) = darkknowledge.evaluate(together[1].path)
    assert evaluation.fidelity is not None


def test_the_folder_of_several_is_no_teacher_and_says_what_is_inside(together: list[darkknowledge.Trained], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds several networks.*\n.*soft"):
        darkknowledge.distill(together[0].path.parent, STUDENT, DATA, training=STEPS, logging=LOGGING, out=tmp_path / "student")


def test_data_and_teacher_are_loaded_once_and_one_set_serves_all(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for module, name in ((distill, "load_data"), (_teaching, "load_members"), (_teaching, "examine_teacher"), (_teaching, "find_or_record")):
        usual = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, name=name, usual=usual, **k: asked.append(name) or usual(*a, **k))
    # Cut short, the runs of two seeds show other pictures.
    trained = several(runs, tmp_path / "students", SEVERAL, training={"steps": 5})
    assert asked == ["load_data", "load_members", "examine_teacher", "find_or_record"]
    assert len({facts(each.path)["transfer"]["sha256"] for each in trained}) == 1


def test_a_live_teacher_is_asked_once_for_each_batch(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    monkeypatch.setattr(loop.Lockstep, "ask", lambda self, piece, usual=loop.Lockstep.ask: batches.append(len(piece)) or usual(self, piece))
    same = [{"temperature": 2}, {"temperature": 4}, {"temperature": 8}]
    several(runs, tmp_path / "students", same, transfer={"mode": "live"})
    assert len(batches) == 2 * 19


class Stopper:
    """A watcher that asks its own process to stop after a step of one run."""

    def __init__(self, step: int) -> None:
        self.at, self.name = step, ""

    def begin(self, plan: Plan) -> None:
        self.name = plan.name

    def step(self, done: int) -> None:
        if done == self.at and self.name == "soft":
            os.kill(os.getpid(), signal.SIGTERM)

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...


@pytest.mark.parametrize("step", [5, 38])
def test_a_group_that_was_stopped_goes_on_to_the_same_end(
    step: int, runs: Path, together: list[darkknowledge.Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = _training._watchers
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(_training, "_watchers", lambda *arguments: [*usual(*arguments), Stopper(step)])
        with pytest.raises(Interrupted, match="the states of 3 students are saved") as stopped:
            several(runs, tmp_path / "students")
    assert stopped.value.exit_code == 143
    assert {name: facts(tmp_path / "students" / name)["status"] for name in NAMES} == dict.fromkeys(NAMES, "preempted")
    assert facts(tmp_path / "students")["status"] == "preempted"
    again = several(runs, tmp_path / "students", resume=True)
    for one, other in zip(again, together, strict=True):
        assert fingerprint(one.network) == fingerprint(other.network)
        assert (one.path / "metrics.jsonl").read_text() == (other.path / "metrics.jsonl").read_text()
    assert facts(tmp_path / "students")["status"] == "finished"
    assert signal.getsignal(signal.SIGTERM) == before
    third = several(runs, tmp_path / "students", resume=True)
    assert [fingerprint(each.network) for each in third] == [fingerprint(each.network) for each in again]


def test_one_run_of_a_stopped_group_can_go_on_by_itself(
    runs: Path, together: list[darkknowledge.Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = _training._watchers
    with monkeypatch.context() as patch:
        patch.setattr(_training, "_watchers", lambda *arguments: [*usual(*arguments), Stopper(5)])
        with pytest.raises(Interrupted):
            several(runs, tmp_path / "students")
    trained = darkknowledge.distill(
        runs / "teacher-0", STUDENT, DATA, temperature=2, training=STEPS, logging=LOGGING, out=tmp_path / "students" / "0", resume=True
    )
    assert fingerprint(trained.network) == fingerprint(together[0].network)


def test_one_that_diverges_is_marked_and_the_others_are_kept(runs: Path, tmp_path: Path) -> None:
    students = [{"temperature": 2}, {"training": {"learning_rate": 1e30}, "name": "wild"}, {"temperature": 8}]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(DivergedError, match=r"1 of 3 students diverged, the others are kept(.|\n)*students/wild") as diverged:
        several(runs, tmp_path / "students", students)
    assert diverged.value.exit_code == 6
    status = {name: facts(tmp_path / "students" / name)["status"] for name in ("0", "wild", "2")}
    assert status == {"0": "finished", "wild": "failed", "2": "finished"}
    assert facts(tmp_path / "students")["status"] == "failed"
    assert signal.getsignal(signal.SIGTERM) == before


def test_everything_can_be_handed_over_ready(stripes: Dataset, tmp_path: Path) -> None:
    def network(seed: int) -> Network:
        torch.manual_seed(seed)
        shape = {"num_classes": 2, "input_shape": stripes.input_shape, "mean": stripes.mean, "std": stripes.std}
        return build("hinton_mlp", class_names=stripes.class_names, hidden=(6,), **shape)

    class Thinking:
        """A teacher whose answers nobody can tell from another's, so that they are not kept."""

        class_names = stripes.class_names

        def __init__(self) -> None:
            self.asked = 0
            self.inside = Frozen(network(9), stripes.class_names)

        def __call__(self, batch: Batch) -> Any:
            self.asked += 1
            return self.inside(batch)

        def to(self, device: Any) -> Any:
            return self

    teacher, mine = Thinking(), network(1)
    trained = darkknowledge.distill_several(
        [{"student": mine}, {"temperature": 1}], teacher, STUDENT, stripes, check=False, training=STEPS, logging=LOGGING, out=tmp_path / "students"
    )
    assert trained[0].network is mine
    examined = 1
    assert teacher.asked == examined + 2 * 2  # two batches in each of two epochs
    assert [next(iter(each.network.body.parameters())).shape for each in trained] == [(6, 36), (8, 36)]


def test_a_transfer_set_alone_teaches_several(runs: Path, together: list[darkknowledge.Trained], tmp_path: Path) -> None:
    found = facts(together[0].path)["transfer"]["path"]
    trained = darkknowledge.distill_several(SEVERAL, None, STUDENT, DATA, transfer=found, training=STEPS, logging=LOGGING, out=tmp_path / "students")
    assert [fingerprint(each.network) for each in trained] == [fingerprint(each.network) for each in together]


def test_runs_with_other_numbers_of_views_learn_from_a_set_each(runs: Path, tmp_path: Path) -> None:
    students = [{"training": {"epochs": 3, "views": 2}}, {"training": {"epochs": 3, "views": 3}}]
    trained = several(runs, tmp_path / "students", students)
    paths = [facts(each.path)["transfer"]["path"] for each in trained]
    assert all(Path(path).is_dir() for path in paths)
    assert [yaml.safe_load((each.path / "config.yaml").read_text())["training"]["views"] for each in trained] == [2, 3]


MISTAKES: list[tuple[Any, str]] = [
    ([], r"students=\[\] names none"),
    ([{"temprature": 2}], r"unknown key 'students.0.temprature'. Did you mean 'temperature'\?"),
    ([{}, {"training": {"lerning_rate": 1}}], r"students.1: unknown key 'training.lerning_rate'. Did you mean 'learning_rate'\?"),
    ([{"temperature": -1}], r"students.0.temperature=-1 must be greater than 0"),
    ([{"name": "a"}, {"name": "a"}], "two students are called 'a'"),
    ([{"name": "1"}, {}], "two students are called '1'"),
    ([{"name": "../a"}], r"students.0.name='../a': the name of a folder"),
    ([{"name": "transfer"}], "something else lies beside the runs"),
    ([{"student": {"hiden": [3]}}], "no option 'hiden'"),
    ([{"objective": "hintn"}], "no objective 'hintn'"),
    ([{"objective": "hard_label"}], "has no use for a teacher"),
]


@pytest.mark.parametrize(("students", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_found_before_anything_is_trained_and_leaves_nothing(students: Any, message: str, runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        several(runs, tmp_path / "students", students)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_written_into(runs: Path, tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "students", kind="train", config={})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="exists"):
        several(runs, tmp_path / "students")
    with pytest.raises(UsageError, match="was made by train, not by students"):
        several(runs, tmp_path / "students", resume=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_other_students_are_no_resume(runs: Path, together: list[darkknowledge.Trained]) -> None:
    with pytest.raises(UsageError, match="the run to resume has students="):
        several(runs, together[0].path.parent, SEVERAL[:2], resume=True)


@pytest.mark.parametrize("students", [["a"], [None], None, 3, ({} for _ in range(2))], ids=["a word", "a nothing", "None", "a number", "a generator"])
def test_what_is_no_list_of_mappings_is_refused_in_words(students: Any) -> None:
    with pytest.raises(UsageError, match="no list of mappings"):
        darkknowledge.distill_several(students, "runs/teacher")


def test_a_student_may_have_two_free_weights_beside_a_base_with_alpha() -> None:
    entries = [{"objective": {"hard_weight": 1.0, "soft_weight": 2.0}}, {"alpha": 0.3}]
    settings = validate(DistillSettings, {"teacher": {"source": "runs/teacher"}, "students": entries})
    free, fraction = (each.objective for each in students_of(settings).values())
    assert (free.alpha, free.hard_weight, free.soft_weight) == (None, 1.0, 2.0)
    assert (fraction.alpha, fraction.hard_weight, fraction.soft_weight) == (0.3, None, None)


@pytest.mark.parametrize("name", ["run.json", "Transfer", "x" * 300])
def test_a_name_that_cannot_be_a_folder_here_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="choose another"):
        validate(DistillSettings, {"teacher": {"source": "runs/teacher"}, "students": [{"name": name}]})
