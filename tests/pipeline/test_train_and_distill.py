"""From plain words, and from ready objects, to a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

import darkknowledge
from darkknowledge import Dataset, Ensemble, Frozen, model as model_room
from darkknowledge.cli.main import main
from darkknowledge.contract import IGNORED
from darkknowledge.data import load
from darkknowledge.errors import DataError, DivergedError, IntegrityError, UsageError
from darkknowledge.model import Network, build, fingerprint, load as load_model
from darkknowledge.pipeline.settings import TrainSettings
from darkknowledge.pipeline.train import train_from
from darkknowledge.runs.files import sha256
from pipeline.small import LOGGING, STEPS, STUDENT, TEACHER, TEST_FILES


def network_for(data: Dataset, *, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    shape = {"num_classes": len(data.class_names), "input_shape": data.input_shape, "mean": data.mean, "std": data.std, "hidden": (8,)}
    return build("hinton_mlp", class_names=data.class_names, **shape)


def weights(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.body.state_dict().items()}


def same(one: Network, other: Network) -> bool:
    return fingerprint(one) == fingerprint(other)


def record(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((path / "run.json").read_text())
    return found


def test_a_run_keeps_everything_that_was_decided_and_found(tmp_path: Path) -> None:
    trained = darkknowledge.train(TEACHER, "digits", training=STEPS, logging=LOGGING, out=tmp_path / "teacher")
    assert trained.path == tmp_path / "teacher"
    facts = record(trained.path)
    assert (facts["kind"], facts["status"], facts["device"], facts["precision"]) == ("train", "finished", "cpu", "fp32")
    data = load("digits")
    assert facts["steps"] == STEPS["epochs"] * -(-len(data.train) // STEPS["batch_size"])
    assert facts["data_fingerprint"] == data.fingerprint
    assert facts["model_fingerprint"] == fingerprint(trained.network)
    assert facts["validation"]["last"]["accuracy"] == trained.last.accuracy  # type: ignore[index]
    config = yaml.safe_load((trained.path / "config.yaml").read_text())
    assert config["model"] == {"name": "hinton_mlp", "checkpoint": None, "hidden": [32], **{k: config["model"][k] for k in ("head", "preprocessing")}}
    assert config["training"]["learning_rate"] == 0.05
    assert same(model_room.load(trained.path / "model"), trained.network)
    assert {path.name for path in trained.path.iterdir()} == {
        ".lock", "best", "config.yaml", "environment.json", "metrics.csv", "metrics.jsonl", "model", "run.json",
    }  # fmt: skip


def test_the_same_seed_gives_the_same_network_and_another_seed_another(tmp_path: Path) -> None:
    found = [
        darkknowledge.train(STUDENT, "digits", training=STEPS | {"seed": seed}, logging=LOGGING, out=tmp_path / str(number)).network
        for number, seed in enumerate([3, 3, 4])
        if torch.manual_seed(number)  # the state that the process happens to be in plays no part
    ]
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_a_student_is_distilled_from_a_run_and_the_run_stays_as_it_was(runs: Path, tmp_path: Path) -> None:
    teacher = runs / "teacher-0"

    def files() -> dict[Path, tuple[str, int]]:
        """All of the run; its answers are recorded beside it, in ``transfer``."""
        return {path: (sha256(path), path.stat().st_mtime_ns) for path in teacher.rglob("*") if path.is_file() and "transfer" not in path.parts}

    before = files()
    student = darkknowledge.distill(
        teacher, STUDENT, "digits", temperature=8, alpha=0.7, training=STEPS | {"epochs": 5}, logging=LOGGING, out=tmp_path / "s"
    )
    assert files() == before
    facts = record(student.path)
    assert facts["kind"] == "distill"
    assert facts["objective"] == "0.7 × 8² KL(softmax(v/8) ‖ softmax(z/8)) + 0.3 × H(y, softmax(z))"
    assert facts["teacher_fingerprints"] == [record(teacher)["model_fingerprint"]]
    assert facts["teacher"]["temperature"] == 8  # type: ignore[index]
    assert facts["teacher"]["accuracy"] == pytest.approx(record(teacher)["validation"]["last"]["accuracy"])  # type: ignore[index]
    assert student.last is not None
    assert student.last.accuracy > 0.5
    lines = [json.loads(line) for line in (student.path / "metrics.jsonl").read_text().splitlines()]
    assert all(line["loss"] == pytest.approx(line["soft"] + line["hard"], rel=1e-5) for line in lines)


def test_everything_can_be_handed_over_ready(stripes: Dataset, tmp_path: Path) -> None:
    network = network_for(stripes)
    untouched = weights(network)
    teacher = darkknowledge.train(network, stripes, training=STEPS | {"epochs": 20}, logging=LOGGING, out=tmp_path / "teacher")
    assert teacher.network is network
    assert any(not torch.equal(value, untouched[name]) for name, value in weights(network).items())
    assert teacher.last is not None
    assert teacher.last.accuracy > 0.8
    frozen = weights(network)
    pair = Ensemble([Frozen(network, stripes.class_names), Frozen(network_for(stripes, seed=1), stripes.class_names)], weights=[9, 1])
    student = darkknowledge.distill(
        pair, network_for(stripes, seed=2), stripes, training=STEPS | {"epochs": 20}, logging=LOGGING, out=tmp_path / "student"
    )
    assert student.last is not None
    assert student.last.accuracy > 0.8
    assert all(torch.equal(value, frozen[name]) for name, value in weights(network).items())
    config = yaml.safe_load((student.path / "config.yaml").read_text())
    assert (config["data"]["name"], config["student"]["hidden"], config["teacher"]["source"]) == ("given", [8], [])
    (evaluation,) = darkknowledge.evaluate(student.path, data=stripes, cost=False)
    assert evaluation.accuracy.examples == 40


def test_a_saved_model_is_a_teacher_too(runs: Path, tmp_path: Path) -> None:
    student = darkknowledge.distill(runs / "teacher-0" / "best", STUDENT, training={"steps": 1}, logging=LOGGING, out=tmp_path / "s")
    assert record(student.path)["teacher_fingerprints"] == [fingerprint(load_model(runs / "teacher-0" / "best"))]


@pytest.mark.parametrize("average", ["probability", "logit"])
def test_an_ensemble_of_two_runs_teaches_the_mean_of_both(average: str, runs: Path, tmp_path: Path) -> None:
    sources = [runs / "teacher-0", runs / "teacher-1"]
    student = darkknowledge.distill(
        sources, STUDENT, temperature=4, alpha=1, average=average, weights=[3, 1], training=STEPS, logging=LOGGING, out=tmp_path / average
    )
    data = load("digits")
    networks = [model_room.load(source / "model") for source in sources]
    by_hand = Ensemble([Frozen(network, data.class_names) for network in networks], average=average, weights=[3, 1])  # type: ignore[arg-type]
    again = darkknowledge.distill(by_hand, STUDENT, data, temperature=4, alpha=1, training=STEPS, logging=LOGGING, out=tmp_path / "hand")
    assert same(student.network, again.network)
    single = darkknowledge.distill(sources[0], STUDENT, temperature=4, alpha=1, training=STEPS, logging=LOGGING, out=tmp_path / "single")
    assert not same(student.network, single.network)


def test_the_two_averages_teach_different_things(runs: Path, tmp_path: Path) -> None:
    sources = [runs / "teacher-0", runs / "teacher-1"]
    found = [
        darkknowledge.distill(sources, STUDENT, average=average, training=STEPS, logging=LOGGING, out=tmp_path / average).network
        for average in ("probability", "logit")
    ]
    assert not same(*found)


def test_a_teacher_near_chance_is_refused_before_the_first_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load("digits")
    untrained = Frozen(network_for(data), data.class_names)
    with pytest.raises(IntegrityError, match="guessing 10 classes gives") as caught:
        darkknowledge.distill(untrained, STUDENT, data, training=STEPS, logging=LOGGING, out=tmp_path / "student")
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())
    student = darkknowledge.distill(untrained, STUDENT, data, check=False, training={"steps": 1}, logging=LOGGING, out=tmp_path / "student")
    assert "warning: The teacher's accuracy is" in capsys.readouterr().err
    assert record(student.path)["status"] == "finished"


def test_labels_may_be_few_or_none(runs: Path, tmp_path: Path) -> None:
    def distill(name: str, data: dict[str, object], **options: object) -> dict[str, object]:
        arguments = {"training": STEPS, "logging": LOGGING, "out": tmp_path / name, **options}
        trained = darkknowledge.distill(runs / "teacher-0", STUDENT, {"name": "digits", **data}, **arguments)  # type: ignore[arg-type]
        found: dict[str, object] = json.loads((trained.path / "metrics.jsonl").read_text().splitlines()[-1])
        return found

    half = distill("half", {"labelled": 0.5})
    assert half["hard"] > 0  # type: ignore[operator]
    assert {"soft", "hard"} <= set(half)
    soft = distill("hinton", {"hide_labels": True}, objective="hinton")
    assert "hard" not in soft
    only_soft = distill("alpha 1", {"hide_labels": True}, alpha=1)
    assert only_soft["loss"] == pytest.approx(soft["loss"])
    assert 0 < only_soft["validation_accuracy"] <= 1  # type: ignore[operator]
    with pytest.raises(UsageError, match="needs labels, and no training example shows any"):
        distill("refused", {"hide_labels": True})
    assert not (tmp_path / "refused").exists()


def test_unlabelled_pictures_of_ones_own_are_learned_from(runs: Path, tmp_path: Path) -> None:
    data = load("digits", labelled=0.1)
    assert int((data.train.labels == IGNORED).sum()) > 0.85 * len(data.train)
    student = darkknowledge.distill(runs / "teacher-0", STUDENT, data, training=STEPS, logging=LOGGING, out=tmp_path / "student")
    assert record(student.path)["status"] == "finished"


def test_training_and_distilling_never_open_the_test_set(mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in TEST_FILES:
        (mnist / name).unlink()
    data = {"name": "mnist", "root": mnist, "augment": "none"}
    long = STEPS | {"epochs": 30, "batch_size": 32}
    teacher = darkknowledge.train(TEACHER, data, training=long, logging=LOGGING, out=tmp_path / "teacher")
    student = darkknowledge.distill(teacher.path, STUDENT, data, training=STEPS, logging=LOGGING, out=tmp_path / "student")
    (validation,) = darkknowledge.evaluate(student.path, split="validation", cost=False)
    assert validation.accuracy.examples == 30
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte was not found"):
        darkknowledge.evaluate(student.path)
    assert main(["evaluate", f"run={student.path}"]) == 3
    assert "t10k-images-idx3-ubyte was not found" in capsys.readouterr().err
    assert not (student.path / "evaluation-test.json").exists()


def test_without_a_validation_split_only_the_last_weights_are_kept(tmp_path: Path) -> None:
    trained = darkknowledge.train(STUDENT, {"name": "digits", "validation": 0}, training=STEPS, logging=LOGGING, out=tmp_path / "run")
    assert (trained.last, trained.best) == (None, None)
    assert not (trained.path / "best").exists()
    (evaluation,) = darkknowledge.evaluate(trained.path, cost=False)
    assert evaluation.temperature is None
    with pytest.raises(UsageError, match="kept no best weights"):
        darkknowledge.evaluate(trained.path, weights="best")


def test_a_run_that_diverges_says_so_and_leaves_no_network(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="no longer finite"):
        darkknowledge.train(STUDENT, training=STEPS | {"learning_rate": 1e30, "warmup": 0}, logging=LOGGING, out=tmp_path / "run")
    assert record(tmp_path / "run")["status"] == "failed"
    assert not (tmp_path / "run" / "model").exists()
    with pytest.raises(UsageError, match=r"not finished \(status: failed\)"):
        darkknowledge.distill(tmp_path / "run")


def test_a_network_teaches_as_a_copy(stripes: Dataset, tmp_path: Path) -> None:
    network = network_for(stripes)
    darkknowledge.distill(network, STUDENT, stripes, check=False, training={"steps": 1}, logging=LOGGING, out=tmp_path / "s")
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_bare_module_is_told_how_to_teach(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"darkknowledge\.Frozen\(module, class_names\)"):
        darkknowledge.distill(torch.nn.Linear(2, 2), STUDENT, out=tmp_path / "s")  # type: ignore[arg-type]


def test_weights_from_elsewhere_say_what_they_are_fed(stripes: Dataset, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(network_for(stripes).body.state_dict(), weights)
    said: list[str] = []
    settings = TrainSettings(model={"name": "hinton_mlp", "hidden": [8], "checkpoint": weights}, training={"steps": 1}, out=tmp_path / "run")
    train_from(settings, data=stripes, report=said.append)
    assert "inputs are normalised by mean" in said[0]
    named = {"name": "hinton_mlp", "hidden": [8], "checkpoint": weights, "preprocessing": {"mean": [0.5], "std": [0.5]}}
    said.clear()
    run = train_from(TrainSettings(model=named, training={"steps": 1}, out=tmp_path / "named"), data=stripes, report=said.append)
    assert not any("normalised" in line for line in said)
    assert run.network.preprocessing.mean == (0.5,)
