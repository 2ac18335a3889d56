"""``dk predict``: the shipped folder alone, pictures as evaluation prepares them, no temperature."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.special import softmax

import darkknowledge
from darkknowledge.cli.main import main
from darkknowledge.data import load
from darkknowledge.errors import DataError, IntegrityError, UsageError
from pipeline.small import LOGGING, STEPS, STUDENT


@pytest.fixture(scope="module")
def shipped(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of temperature 20, exported, and far from the run that it came from."""
    place = tmp_path_factory.mktemp("shipped")
    run = darkknowledge.distill(runs / "teacher-0", STUDENT, temperature=20.0, training=STEPS, logging=LOGGING, out=place / "run").path
    darkknowledge.export_run(run, ["onnx"], out=place / "student")
    shutil.rmtree(run)
    return place / "student"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve digits of the test split as PNG, in two folders, beside what is none."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    for number, pixels in enumerate(digits(12)):
        place = folder / "more" if number > 8 else folder
        Image.fromarray((pixels[0] * 255).round().astype(np.uint8)).save(place / f"{number:02d}.PNG")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "00.png").write_bytes(b"no picture")
    return folder


def digits(count: int) -> np.ndarray:
    test = load("digits").open_test()
    return next(iter(test.batches(torch.arange(count), batch_size=count, views=None))).inputs.numpy()


def by_hand(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """The softmax of the bare logits, from the weights."""
    weights = {name: value.double().numpy() for name, value in load_file(folder / "model.safetensors").items()}
    data = load("digits")
    first, last = sorted({name.rpartition(".")[0] for name in weights})
    hidden = (pixels.astype(np.float64).reshape(len(pixels), -1) - data.mean[0]) / data.std[0]
    hidden = np.maximum(hidden @ weights[f"{first}.weight"].T + weights[f"{first}.bias"], 0)
    return softmax(hidden @ weights[f"{last}.weight"].T + weights[f"{last}.bias"], axis=1)


@pytest.mark.parametrize("file", ["", "model.onnx"])
def test_a_folder_of_pictures_gets_the_softmax_at_temperature_one(shipped: Path, pictures: Path, file: str) -> None:
    found = darkknowledge.predict(shipped / file, pictures, batch_size=5)
    assert found.names == (*(f"{number:02d}.PNG" for number in range(9)), *(f"more/{number:02d}.PNG" for number in range(9, 12)))
    expected = by_hand(shipped, digits(12))
    np.testing.assert_allclose(found.probabilities.numpy(), expected, atol=1e-5)
    assert found.classes == [str(index) for index in expected.argmax(1)]
    assert found.class_names == tuple("0123456789")


def test_a_file_of_onnx_needs_nothing_beside_it(shipped: Path, pictures: Path, tmp_path: Path) -> None:
    shutil.copy(shipped / "model.onnx", tmp_path / "alone.onnx")
    found = darkknowledge.predict(tmp_path / "alone.onnx", pictures / "03.PNG")
    np.testing.assert_allclose(found.probabilities.numpy(), by_hand(shipped, digits(12)[3:4]), atol=1e-5)


def write_rows(path: Path, rows: np.ndarray, head: str = "") -> Path:
    lines = [",".join(f"{value:.6f}" for value in row) for row in rows.reshape(len(rows), -1)]
    path.write_text("\n".join([head, *lines] if head else lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("head", ["", ",".join(f"pixel {number}" for number in range(64))])
def test_rows_of_numbers_get_the_same(shipped: Path, tmp_path: Path, head: str) -> None:
    found = darkknowledge.predict(shipped, write_rows(tmp_path / "rows.csv", digits(4), head), out=tmp_path / "out.csv")
    np.testing.assert_allclose(found.probabilities.numpy(), by_hand(shipped, digits(4)), atol=1e-5)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["input"] for row in table] == ["row 1", "row 2", "row 3", "row 4"]
    assert [row["class"] for row in table] == found.classes
    written = np.array([[float(row[name]) for name in "0123456789"] for row in table])
    np.testing.assert_allclose(written, found.probabilities.numpy(), rtol=1e-5)
    assert [float(row["probability"]) for row in table] == pytest.approx(written.max(1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: [*rows[:1], rows[1].rpartition(",")[0]], r"row 2 has 63 values, and the network takes 64 \(1×8×8\)"),
        (lambda rows: [*rows[:2], rows[2] + ",0.5"], "row 3 has 65 values"),
        (lambda rows: [rows[0], "12" + rows[1]], "row 2 has '120.+' in column 1, which is no number from 0 to 1"),
        (lambda rows: [rows[0], "nan" + rows[1][8:]], "row 2 has 'nan' in column 1"),
        (lambda rows: [rows[0], "seven" + rows[1][8:]], "row 2 has 'seven' in column 1"),
        (lambda rows: [], "holds no rows of numbers"),
        (lambda rows: ["\x80\udcff"], "holds no rows|cannot be read"),
    ],
)
def test_a_row_that_is_no_picture_is_named(shipped: Path, tmp_path: Path, change: object, says: str) -> None:
    path = write_rows(tmp_path / "rows.csv", digits(3))
    path.write_text("\n".join(change(path.read_text().splitlines())), encoding="utf-8", errors="surrogateescape")  # type: ignore[operator]
    with pytest.raises(DataError, match=says) as caught:
        darkknowledge.predict(shipped, path)
    assert caught.value.exit_code == 3


def test_the_terminal_shows_class_and_probabilities(shipped: Path, pictures: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["predict", f"model={shipped}", f"input={pictures}", "top=2", f"out={tmp_path / 'new' / 'all.csv'}"]) == 0
    shown = capsys.readouterr().out
    expected = by_hand(shipped, digits(12))
    best = expected[3].argmax()
    assert any("03.PNG" in line and f"{best}  {100 * expected[3, best]:.2f} %" in line for line in shown.splitlines())
    assert len((tmp_path / "new" / "all.csv").read_text().splitlines()) == 13
    assert main(["predict", f"model={shipped}", f"input={pictures}", f"out={tmp_path / 'new' / 'all.csv'}"]) == 2


def test_what_a_class_is_called_commands_no_terminal(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from darkknowledge.cli.export_table import show_predictions
    from darkknowledge.pipeline.predict import Predictions

    found = Predictions(("\x1b[2J[red]a[/red]", "b"), ("\x1b]0;x\x07.png",) * 60, torch.tensor([[0.75, 0.25]] * 60))
    show_predictions(found, Console(width=120), top=3)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]a[/red]  75.00 %" in shown
    assert "and 10 more" in shown


def test_altered_weights_answer_nothing(shipped: Path, pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped, tmp_path / "model")
    for name in ("model.onnx", "model.safetensors"):
        data = bytearray((shipped / name).read_bytes())
        data[-1] ^= 1
        (tmp_path / "model" / name).write_bytes(data)
    for model in (tmp_path / "model", tmp_path / "model" / "model.onnx"):
        with pytest.raises(IntegrityError, match="is not the file that was written"):
            darkknowledge.predict(model, pictures)


def test_a_network_that_does_not_say_how_pictures_are_prepared_is_not_guessed_for(runs: Path, pictures: Path, tmp_path: Path) -> None:
    network = darkknowledge.load(runs / "teacher-0")
    darkknowledge.model.save(network, tmp_path / "old")
    with pytest.raises(IntegrityError, match="does not say how pictures are prepared"):
        darkknowledge.predict(tmp_path / "old", pictures)
    assert len(darkknowledge.predict(runs / "teacher-0", pictures).names) == 12, "a run says it"


def test_mistakes_are_told_before_anything_is_read(shipped: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.png does not exist"):
        darkknowledge.predict(shipped, tmp_path / "none.png")
    with pytest.raises(UsageError, match="none does not exist"):
        darkknowledge.predict(tmp_path / "none", pictures)
    with pytest.raises(UsageError, match="is a file and no run folder") as caught:
        darkknowledge.predict(shipped / "model.safetensors", pictures)
    assert caught.value.fix == f"name the folder that it lies in: {shipped}"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        darkknowledge.predict(shipped, tmp_path / "empty")
    (tmp_path / "empty" / "fake.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a picture cannot be decoded[\s\S]*fake.png"):
        darkknowledge.predict(shipped, tmp_path / "empty")
