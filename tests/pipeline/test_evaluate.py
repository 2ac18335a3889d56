"""The numbers of an evaluation, computed again from the answers that it left."""

from __future__ import annotations

import io
import json
import shutil
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import torch
from rich.console import Console
from safetensors.numpy import load_file
from scipy.special import log_softmax, softmax

import darkknowledge
from darkknowledge import Dataset, Evaluation, model as model_room
from darkknowledge.cli.tables import show_evaluations
from darkknowledge.data import load
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.pipeline.evaluate import evaluate_from
from darkknowledge.pipeline.settings import EvaluateSettings
from darkknowledge.pipeline.verify import verify
from darkknowledge.runs.checked_json import read_checked
from kills import Killed, killed_before
from pipeline.small import LOGGING, STEPS, STUDENT, TEACHER, write_mnist


@pytest.fixture(scope="module")
def student(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("student") / "run"
    return darkknowledge.distill(runs / "teacher-0", STUDENT, training=STEPS | {"epochs": 4}, logging=LOGGING, out=out).path


@pytest.fixture(scope="module")
def evaluations(student: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Evaluation]:
    teacher = tmp_path_factory.mktemp("teacher") / "run"
    shutil.copytree(runs / "teacher-0", teacher)
    return darkknowledge.evaluate([student, teacher], threads=1)


def answers(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    found = load_file(path / "answers-test.safetensors")
    return found["ids"], found["labels"], found["logits"].astype(np.float64)


def test_accuracy_and_calibration_are_those_of_scikit_learn(student: Path, evaluations: list[Evaluation]) -> None:
    _, labels, logits = answers(student)
    p = softmax(logits, axis=1)
    kept = read_checked(student / "evaluation-test.json")
    assert set(kept.pop("files")) == {"answers-test.safetensors", "teacher-test.safetensors", "pictures-test.safetensors"}
    assert kept == json.loads(json.dumps(evaluations[0].to_dict()))
    assert kept["accuracy"]["top1"] == pytest.approx(sklearn.metrics.accuracy_score(labels, p.argmax(1)))
    assert kept["accuracy"]["errors"] == (p.argmax(1) != labels).sum()
    assert kept["accuracy"]["examples"] == len(labels) == 500
    assert kept["accuracy"]["top5"] == pytest.approx(sklearn.metrics.top_k_accuracy_score(labels, p, k=5))
    assert kept["calibration"]["nll"] == pytest.approx(sklearn.metrics.log_loss(labels, p, labels=range(10)), rel=1e-5)
    assert kept["calibration"]["brier"] == pytest.approx(((p - np.eye(10)[labels]) ** 2).sum(1).mean(), rel=1e-5)
    edges = np.minimum((p.max(1) * 15).astype(int), 14)
    gaps = [abs((p[edges == b].argmax(1) == labels[edges == b]).mean() - p[edges == b].max(1).mean()) * (edges == b).mean() for b in set(edges)]
    assert kept["calibration"]["ece"] == pytest.approx(sum(gaps), abs=1e-6)


def test_the_answers_are_those_of_the_saved_network_to_the_plain_test_pictures(student: Path, evaluations: list[Evaluation]) -> None:
    ids, labels, logits = answers(student)
    test = load("digits").open_test()
    batch = next(iter(test.batches(torch.arange(len(test)), batch_size=len(test), views=None)))
    with torch.no_grad():
        expected = model_room.load(student / "model")(batch.inputs)
    assert torch.equal(torch.from_numpy(ids), batch.ids)
    assert torch.equal(torch.from_numpy(labels), batch.labels)
    np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert torch.equal(evaluations[0].right, (torch.from_numpy(logits).argmax(1) == batch.labels))


def test_fidelity_compares_the_answers_of_student_and_teacher(student: Path, evaluations: list[Evaluation]) -> None:
    ids, labels, z = answers(student)
    teacher_ids, _, v = answers(Path(evaluations[1].name))
    assert (ids == teacher_ids).all()
    fidelity = evaluations[0].fidelity
    assert fidelity is not None
    assert fidelity.overall.at_1 == pytest.approx((z.argmax(1) == v.argmax(1)).mean())
    kl = (softmax(v, axis=1) * (log_softmax(v, axis=1) - log_softmax(z, axis=1))).sum(1)
    assert fidelity.overall.kl == pytest.approx(kl.mean(), rel=1e-4)
    right = v.argmax(1) == labels
    assert fidelity.teacher_wrong is not None
    assert fidelity.teacher_wrong.at_1 == pytest.approx((z.argmax(1) == v.argmax(1))[~right].mean())
    assert evaluations[1].fidelity is None


def test_costs_are_those_of_the_network(student: Path, evaluations: list[Evaluation]) -> None:
    cost = evaluations[0].cost
    assert cost is not None
    assert cost.parameters == 64 * 8 + 8 + 8 * 10 + 10
    assert cost.macs == 64 * 8 + 8 * 10
    assert cost.file_bytes == (student / "model" / "model.safetensors").stat().st_size
    assert [(timing.runtime, timing.batch_size, timing.threads) for timing in cost.latency] == [
        *(("pytorch", 1, 1), ("pytorch", 256, 1), ("onnxruntime", 1, 1), ("onnxruntime", 256, 1)),
    ]
    assert all(0 < timing.first_quartile <= timing.median <= timing.third_quartile for timing in cost.latency)


def test_a_student_is_timed_beside_its_teacher(runs: Path, evaluations: list[Evaluation]) -> None:
    beside = evaluations[0].teacher_cost
    assert beside is not None
    assert (beside.parameters, beside.macs) == (64 * 32 + 32 + 32 * 10 + 10, 64 * 32 + 32 * 10)
    assert beside.file_bytes == (runs / "teacher-0" / "model" / "model.safetensors").stat().st_size
    assert [timing.runtime for timing in beside.latency] == ["pytorch"] * 2 + ["onnxruntime"] * 2
    assert evaluations[1].teacher_cost is None


def test_the_table_of_costs_puts_the_teacher_beside(evaluations: list[Evaluation]) -> None:
    file = io.StringIO()
    show_evaluations(evaluations[:1], Console(file=file, width=160))
    shown = file.getvalue()
    (parameters,) = (line for line in shown.partition("its teacher")[2].splitlines() if "parameters" in line)
    assert f"{64 * 8 + 8 + 8 * 10 + 10:,}" in parameters
    assert f"{64 * 32 + 32 + 32 * 10 + 10:,}" in parameters
    assert "latency, ONNX Runtime, batch 256 (1 thread)" in shown


def test_without_onnx_a_line_says_that_its_times_are_missing(student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    said: list[str] = []
    (evaluation,) = evaluate_from(EvaluateSettings(run=(student,)), report=said.append)
    assert evaluation.cost is not None
    assert {timing.runtime for timing in evaluation.cost.latency} == {"pytorch"}
    assert 'no latency in ONNX Runtime: onnxscript is not installed (pip install "darkknowledge[export]")' in said


def test_the_temperature_is_fitted_on_validation(student: Path, evaluations: list[Evaluation]) -> None:
    data = load("digits")
    batch = next(iter(data.validation.batches(torch.arange(len(data.validation)), batch_size=1000, views=None)))
    with torch.no_grad():
        logits = model_room.load(student / "model")(batch.inputs).double().numpy()

    def nll(temperature: float) -> float:
        return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(logits)), batch.labels].mean())

    fit = evaluations[0].temperature
    assert fit is not None
    assert nll(fit.temperature) <= min(nll(fit.temperature * factor) for factor in (0.99, 1.01)) + 1e-9


def test_the_best_weights_are_looked_at_without_touching_the_record_of_the_last(student: Path, evaluations: list[Evaluation]) -> None:
    before = {path: path.read_bytes() for path in student.glob("*-test.*")}
    (best,) = darkknowledge.evaluate(student, weights="best", cost=False)
    assert {path: path.read_bytes() for path in student.glob("*-test.*")} == before
    kept = read_checked(student / "evaluation-test-best.json")
    assert set(kept.pop("files")) == {"answers-test-best.safetensors"}
    assert kept == json.loads(json.dumps(best.to_dict()))


def test_data_that_changed_since_training_is_refused(mnist: Path, tmp_path: Path) -> None:
    data = {"name": "mnist", "root": mnist}
    run = darkknowledge.train(TEACHER, data, training={"steps": 2, "batch_size": 32}, logging=LOGGING, out=tmp_path / "run").path
    write_mnist(mnist, shift=1)
    with pytest.raises(IntegrityError, match="the data is not what"):
        darkknowledge.evaluate(run, cost=False)
    assert not (run / "evaluation-test.json").exists()
    write_mnist(mnist)
    mnist.rename(tmp_path / "moved")
    (evaluation,) = darkknowledge.evaluate(run, root=tmp_path / "moved", cost=False)
    assert evaluation.accuracy.examples == 100


def test_a_ready_data_set_must_be_handed_over_again_and_be_the_same(stripes: Dataset, tmp_path: Path) -> None:
    run = darkknowledge.train(STUDENT, stripes, training={"steps": 2}, logging=LOGGING, out=tmp_path / "run").path
    with pytest.raises(UsageError, match="handed over ready-made"):
        darkknowledge.evaluate(run)
    with pytest.raises(IntegrityError, match="the data is not what"):
        darkknowledge.evaluate(run, data=load("digits"))


def test_a_ready_data_set_divided_another_way_is_refused(tmp_path: Path) -> None:
    run = darkknowledge.train(STUDENT, load("digits", split_seed=5), training={"steps": 2}, logging=LOGGING, out=tmp_path / "run").path
    with pytest.raises(IntegrityError, match="divided another way"):
        darkknowledge.evaluate(run, data=load("digits"), cost=False)
    assert darkknowledge.evaluate(run, data=load("digits", split_seed=5), cost=False)[0].accuracy.examples == 500


def test_a_teacher_that_is_gone_or_another_is_not_compared_with(runs: Path, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(runs / "teacher-0", teacher)
    student = darkknowledge.distill(teacher, STUDENT, training={"steps": 2}, logging=LOGGING, out=tmp_path / "student").path

    def evaluate() -> tuple[Evaluation, list[str]]:
        said: list[str] = []
        (evaluation,) = evaluate_from(EvaluateSettings(run=(student,), cost=False), report=said.append)
        return evaluation, said

    assert evaluate()[0].fidelity is not None
    shutil.rmtree(teacher)
    shutil.copytree(runs / "teacher-1", teacher)
    evaluation, said = evaluate()
    assert evaluation.fidelity is None
    assert "no longer the one that it learned from" in said[0]
    shutil.rmtree(teacher)
    evaluation, said = evaluate()
    assert evaluation.fidelity is None
    assert "is no run folder" in said[0]


@pytest.mark.parametrize("average", ["probability", "logit"])
def test_runs_are_measured_together_as_the_ensemble_of_their_answers(student: Path, evaluations: list[Evaluation], average: str) -> None:
    paths = [Path(evaluation.name) for evaluation in evaluations]
    *alone, together = darkknowledge.evaluate(paths, ensemble=average, cost=False, threads=1)
    assert [evaluation.accuracy.errors for evaluation in alone] == [evaluation.accuracy.errors for evaluation in evaluations]
    logits = [answers(path)[2] for path in paths]
    p = np.mean([softmax(z, axis=1) for z in logits], axis=0) if average == "probability" else softmax(np.mean(logits, axis=0), axis=1)
    labels = answers(paths[0])[1]
    assert together.name == "ensemble of 2"
    assert together.accuracy.errors == (p.argmax(1) != labels).sum()
    assert together.calibration.nll == pytest.approx(sklearn.metrics.log_loss(labels, p, labels=range(10)), rel=1e-5)


def test_one_run_is_no_ensemble(student: Path) -> None:
    with pytest.raises(UsageError, match="two members or more"):
        darkknowledge.evaluate(student, ensemble="probability")


def test_a_run_is_no_ensemble_with_itself_and_that_is_found_before_anything_is_measured(student: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(student, tmp_path / "run")
    for path in copy.glob("evaluation*"):
        path.unlink()
    with pytest.raises(UsageError, match="named twice"):
        darkknowledge.evaluate([copy, tmp_path / "." / "run"], ensemble="probability")
    assert not list(copy.glob("evaluation*"))


def test_runs_on_other_parts_of_the_data_are_an_ensemble_on_test_alone(student: Path, tmp_path: Path) -> None:
    other = darkknowledge.train(STUDENT, {"name": "digits", "split_seed": 1}, training=STEPS, logging=LOGGING, out=tmp_path / "other").path
    *_, together = darkknowledge.evaluate([student, other], ensemble="probability", cost=False)
    assert together.accuracy.examples == 500
    assert together.temperature is None, "one of the two has learned the pictures on which it would be fitted"
    with pytest.raises(IntegrityError, match="divided another way"):
        darkknowledge.evaluate([student, other], split="validation", ensemble="probability", cost=False)


def test_a_split_without_a_picture_is_refused_in_words(tmp_path: Path) -> None:
    run = darkknowledge.train(STUDENT, load("digits", validation=0), training={"steps": 2}, logging=LOGGING, out=tmp_path / "run").path
    with pytest.raises(DataError, match=r"the validation split is empty[\s\S]*split=test"):
        darkknowledge.evaluate(run, data=load("digits", validation=0), split="validation", cost=False)


def test_an_evaluation_that_is_killed_leaves_no_numbers_beside_the_answers_of_others(
    student: Path, evaluations: list[Evaluation], tmp_path: Path
) -> None:
    whole, count = evaluations[0], 0
    moved = replace(whole, answers=replace(whole.answers, logits=whole.answers.logits + 1))
    while True:
        run = Path(shutil.copytree(student, tmp_path / str(count)))
        with suppress(Killed), killed_before(count) as passed:
            moved.save(run)
        verify(run)
        if len(passed) < count:
            break
        count += 1
    assert count > 6
    assert (answers(run)[2] == moved.answers.logits.numpy()).all()
