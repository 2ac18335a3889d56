"""``dk export``: a folder that is whole and checked, or none."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

import darkknowledge
from darkknowledge import Exported, export as export_room
from darkknowledge.cli.main import main
from darkknowledge.data import from_tensors, load
from darkknowledge.errors import DataError, IntegrityError, Interrupted, UsageError
from darkknowledge.pipeline import _shipping
from darkknowledge.pipeline.verify import verify
from darkknowledge.runs.files import verify_manifest
from pipeline.small import LOGGING, STEPS, STUDENT, write_mnist


@pytest.fixture(scope="module")
def student(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shipped") / "student"
    return darkknowledge.distill(runs / "teacher-0", STUDENT, temperature=20.0, training=STEPS | {"epochs": 20}, logging=LOGGING, out=out).path


@pytest.fixture(scope="module")
def exported(student: Path) -> Exported:
    return darkknowledge.export_run(student, ["onnx", "torch_export", "int8"], threads=1)


def test_the_folder_has_the_shape_of_the_hub_and_every_byte_is_vouched_for(student: Path, exported: Exported) -> None:
    assert exported.path == student / "export"
    files = {path.name for path in exported.path.iterdir()}
    assert files == {
        "README.md", "config.json", "manifest.json", "model-int8.onnx", "model.onnx", "model.pt2", "model.safetensors", "verification.json",
    }  # fmt: skip
    verify_manifest(exported.path, required=files - {"manifest.json"})
    assert not list(student.glob(".*partial*"))
    assert any(str(exported.path) in line for line in verify(student)), "dk verify looks at what the run keeps"
    assert len(verify(exported.path)) == 1


def test_the_network_that_is_loaded_is_the_runs(student: Path, exported: Exported) -> None:
    for path in (exported.path, student):
        network = darkknowledge.load(path)
        weights = load_file(student / "model" / "model.safetensors")
        assert all(torch.equal(value, weights[name]) for name, value in network.body.state_dict().items())


def test_every_file_was_asked_about_the_whole_test_split(student: Path, exported: Exported) -> None:
    test = load("digits").open_test()
    batch = next(iter(test.batches(torch.arange(500), batch_size=500, views=None)))
    with torch.no_grad():
        expected = darkknowledge.load(student)(batch.inputs).numpy()
    verdict = json.loads((exported.path / "verification.json").read_text())
    assert (verdict["split"], verdict["examples"], verdict["tolerance"]) == ("test", 500, 1e-5)
    assert verdict["calibration"]["split"] == "train"
    for name in ("model.onnx", "model-int8.onnx"):
        session = onnxruntime.InferenceSession(exported.path / name, providers=["CPUExecutionProvider"])
        (found,) = session.run(["logits"], {"pixels": batch.inputs.numpy()})
        said = verdict["files"][name]
        assert said["largest_difference"] == pytest.approx(np.abs(found - expected).max() / np.abs(expected).max(), rel=0.5, abs=2e-7)
        assert said["same_class"] == (found.argmax(1) == expected.argmax(1)).sum()
        assert said["errors"] == (found.argmax(1) != batch.labels.numpy()).sum()
        assert said["bytes"] == (exported.path / name).stat().st_size
    assert verdict["files"]["model.onnx"]["largest_difference"] <= 1e-5
    assert verdict["files"]["model.onnx"]["same_class"] == 500
    assert verdict["files"]["model-int8.onnx"]["errors"] < 100


def test_the_card_names_the_teacher_the_temperature_and_the_transfer_set(student: Path, exported: Exported) -> None:
    card = ModelCard.load(exported.path / "README.md")
    assert card.data.base_model == ["teacher-0"]
    record = json.loads((student / "run.json").read_text())
    for said in (
        "| temperature | 20 |",
        "| alpha | 0.9 |",
        record["transfer"]["sha256"],
        record["teacher_fingerprints"][0],
        record["model_fingerprint"],
    ):
        assert said in card.content, said
    (result,) = card.data.eval_results
    verdict = json.loads((exported.path / "verification.json").read_text())["files"]["model.safetensors"]
    assert result.metric_value == pytest.approx(verdict["accuracy"])


def test_nothing_that_is_shipped_names_a_folder_of_this_machine(student: Path, exported: Exported) -> None:
    places = [str(place).encode() for place in (student.parent, Path.home() / ".", Path(__file__).parents[2])]
    for path in exported.path.iterdir():
        assert not any(place in path.read_bytes() for place in places), path


def test_no_temperature_is_in_the_graph(exported: Exported, student: Path) -> None:
    """The student was trained at 20; its file answers what its layers compute, by hand."""
    weights = {name: value.double().numpy() for name, value in load_file(student / "model" / "model.safetensors").items()}
    data = load("digits")
    batch = next(iter(data.open_test().batches(torch.arange(20), batch_size=20, views=None)))
    hidden = (batch.inputs.double().numpy().reshape(20, -1) - data.mean[0]) / data.std[0]
    first, last = sorted({name.rpartition(".")[0] for name in weights})
    hidden = np.maximum(hidden @ weights[f"{first}.weight"].T + weights[f"{first}.bias"], 0)
    expected = hidden @ weights[f"{last}.weight"].T + weights[f"{last}.bias"]
    session = onnxruntime.InferenceSession(exported.path / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"pixels": batch.inputs.numpy()})[0] - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_file_that_computes_something_else_is_refused_and_nothing_stays(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = export_room.to_onnx

    def wrong(network: Any, description: Any) -> bytes:
        with torch.no_grad():
            network.body.layers[-1].bias[0] += 0.01
            made = honest(network, description)
            network.body.layers[-1].bias[0] -= 0.01
        return made

    monkeypatch.setattr(export_room, "to_onnx", wrong)
    with pytest.raises(IntegrityError, match=r"model.onnx does not compute what the network computes[\s\S]*500 test pictures") as caught:
        darkknowledge.export_run(student, "onnx", out=tmp_path / "new" / "export")
    assert caught.value.exit_code == 4
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_that_is_not_read_back_as_it_was_written_is_refused(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = _shipping.write_bytes

    def flipping(path: Path, data: bytes) -> Any:
        written = honest(path, data)
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        return written

    monkeypatch.setattr(_shipping, "write_bytes", flipping)
    with pytest.raises(IntegrityError, match="is not the file that was written"):
        darkknowledge.export_run(student, "torch_export", out=tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_are_never_written_over(student: Path, exported: Exported, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in exported.path.iterdir()}
    assert main(["export", f"run={student}"]) == 2
    assert "an export never writes over files" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in exported.path.iterdir()} == before


def test_another_test_split_than_the_one_that_was_measured_is_refused(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    pictures, labels = torch.randint(0, 256, (90, 6, 6), generator=random, dtype=torch.uint8), torch.arange(90) % 2

    def data(test: torch.Tensor, of: torch.Tensor) -> darkknowledge.Dataset:
        return from_tensors(pictures[:60], labels[:60], test, of, class_names=["even", "odd"], validation=10)

    test, of = pictures[60:], labels[60:]
    run = darkknowledge.train(STUDENT, data(test, of), training={"steps": 3, "threads": 1}, logging=LOGGING, out=tmp_path / "run").path
    darkknowledge.evaluate(run, data=data(test, of), cost=False)
    others = {"fewer": (test[:20], of[:20]), "other labels": (test, 1 - of), "other pictures": (255 - test, of)}
    for name, other in others.items():
        with pytest.raises(IntegrityError, match="was measured on another test split"):
            darkknowledge.export_run(run, data=data(*other), threads=1, out=tmp_path / name)
        assert not (tmp_path / name).exists()
    assert darkknowledge.export_run(run, data=data(test, of), threads=1).path.is_dir()


def test_data_that_is_not_at_hand_is_asked_for_and_not_done_without(tmp_path: Path) -> None:
    write_mnist(tmp_path / "data")
    run = darkknowledge.train(
        STUDENT, {"name": "mnist", "root": str(tmp_path / "data")}, training=STEPS | {"steps": 2}, logging=LOGGING, out=tmp_path / "run"
    )
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"fix: point root=… at the folder"):
        darkknowledge.export_run(run.path, "safetensors")
    assert not (run.path / "export").exists()
    found = darkknowledge.export_run(run.path, "safetensors", root=tmp_path / "elsewhere", out=tmp_path / "export")
    assert [result.file for result in found.results] == ["model.safetensors"]
    assert ModelCard.load(found.path / "README.md").data.base_model is None, "nobody taught it"


def test_a_push_begins_with_a_look_and_ends_with_the_folder(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Path, str]] = []
    monkeypatch.setattr(export_room, "require_hub", lambda: None)
    monkeypatch.setattr(export_room, "push", lambda folder, name: sent.append((folder, name)) or f"https://hub/{name}")
    found = darkknowledge.export_run(student, "safetensors", out=tmp_path / "export", push_to="user/name")
    assert sent == [(tmp_path / "export", "user/name")]
    assert found.address == "https://hub/user/name"
    assert ModelCard.load(found.path / "README.md").data.base_model is None, "the Hub knows no teacher-0"
    found = darkknowledge.export_run(student, "safetensors", out=tmp_path / "again", push_to="user/name", base_model="user/teacher")
    assert ModelCard.load(found.path / "README.md").data.base_model == ["user/teacher"]


@pytest.mark.parametrize("name", ["name", "../..", "user/na me", "user/name/more", "ü/x", "user/..\n"])
def test_what_is_no_repository_is_refused_at_once(student: Path, name: str) -> None:
    with pytest.raises(UsageError, match="user/name"):
        darkknowledge.export_run(student, push_to=name)


def test_a_run_of_several_networks_is_no_run_to_export(tmp_path: Path, student: Path) -> None:
    shutil.copytree(student, tmp_path / "run")
    (tmp_path / "run" / "model" / "model.safetensors").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"model\.safetensors is not the file that was written"):
        darkknowledge.export_run(tmp_path / "run", out=tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_the_ranges_of_eight_bits_come_from_training_pictures_alone(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    honest = export_room.to_int8

    def looked_at(data: bytes, description: Any, batches: Any) -> bytes:
        seen.extend(kept := list(batches))
        return honest(data, description, kept)

    monkeypatch.setattr(export_room, "to_int8", looked_at)
    darkknowledge.export_run(student, "int8", out=tmp_path / "export", calibration=100)
    data = load("digits")
    own, others = (
        {tuple(row.tolist()) for row in next(iter(part.batches(torch.arange(len(part)), batch_size=5_000, views=None))).inputs.flatten(1)}
        for part in (data.train, data.open_test())
    )
    found = {tuple(row.tolist()) for row in torch.cat(seen).flatten(1)}
    assert len(found) == sum(map(len, seen)) == 100
    assert found <= own - others
    assert {path.name for path in (tmp_path / "export").iterdir()} >= {"model-int8.onnx"}
    assert not (tmp_path / "export" / "model.onnx").exists(), "it was not asked for"


def test_a_signal_in_the_middle_leaves_nothing(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(network: Any, description: Any) -> bytes:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal came too late")

    monkeypatch.setattr(export_room, "to_onnx", stopped)
    with pytest.raises(Interrupted) as caught:
        darkknowledge.export_run(student, out=tmp_path / "export")
    assert caught.value.exit_code == 143
    assert list(tmp_path.iterdir()) == []
