"""The program that classifies with ONNX Runtime alone: in this environment, and in one that has nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from examples.classify_onnx import main, pixels
from PIL import Image

import darkknowledge
from darkknowledge.data import Preparation

PROGRAM = Path(__file__).parents[2] / "examples" / "classify_onnx.py"


def save(path: Path, width: int, height: int, *, mode: str = "RGB") -> Path:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize(("width", "height"), [(40, 40), (333, 97), (101, 503), (16, 16)])
@pytest.mark.parametrize(("channels", "prepared"), [(1, "plain"), (3, "plain"), (3, "resize_centre_crop/1 size=40x40")])
def test_it_prepares_pictures_as_evaluation_does(tmp_path: Path, width: int, height: int, channels: int, prepared: str) -> None:
    path, shape = save(tmp_path / "picture.png", width, height), (channels, 40, 40)
    np.testing.assert_allclose(pixels(str(path), shape, prepared), Preparation(shape, prepared)(path).numpy(), atol=1e-7)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported file and a picture, and nothing else."""
    place = tmp_path_factory.mktemp("shipped")
    training = {"steps": 30, "learning_rate": 0.05, "threads": 1}
    run = darkknowledge.train({"name": "hinton_mlp", "hidden": [16]}, training=training, logging={"progress": False}, out=place / "run").path
    exported = darkknowledge.export_run(run, "onnx", out=place / "export").path
    (place / "alone").mkdir()
    shutil.copy(exported / "model.onnx", place / "alone")
    save(place / "alone" / "picture.png", 8, 8, mode="L")
    return place / "alone"


def expected(shipped: Path) -> str:
    found = darkknowledge.predict(shipped / "model.onnx", shipped / "picture.png")
    values, classes = found.probabilities[0].topk(3)
    return ", ".join(f"{found.class_names[index]} {value:.2%}" for index, value in zip(classes.tolist(), values.tolist(), strict=True))


def test_it_says_what_dk_predict_says(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(str(shipped / "model.onnx"), str(shipped / "picture.png"))
    assert capsys.readouterr().out == f"{shipped / 'picture.png'}: {expected(shipped)}\n"


@pytest.mark.slow
def test_a_fresh_environment_with_onnx_runtime_and_pillow_is_enough(shipped: Path, tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed, so no fresh environment can be made")
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, tmp_path / "venv"], check=True)
    installed = subprocess.run(
        [uv, "pip", "install", "-q", "--python", python, "onnxruntime", "pillow"], capture_output=True, text=True, check=False, timeout=240
    )
    if installed.returncode:
        pytest.skip(f"onnxruntime and Pillow cannot be installed here, so nobody has looked at a fresh environment: {installed.stderr}")
    for name in ("torch", "darkknowledge", "onnx"):
        assert subprocess.run([python, "-I", "-c", f"import {name}"], capture_output=True, check=False).returncode == 1, name
    done = subprocess.run([python, "-I", PROGRAM, "model.onnx", "picture.png"], cwd=shipped, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"picture.png: {expected(shipped)}\n"
