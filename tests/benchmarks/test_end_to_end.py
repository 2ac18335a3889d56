"""The programs written by hand do what they say, and every student is judged by the same measure."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from benchmarks._measuring import Run, Seconds
from benchmarks.end_to_end import matched, measure, naive, scoring, textbook
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from darkknowledge.objective import DistillationLoss
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.schedule import learning_rate


def separable(count: int) -> tuple[Tensor, Tensor]:
    """Pictures (N, 28, 28) uint8 that tell their class by a bright row, with some noise."""
    labels = torch.arange(count) % 10
    images = torch.randint(0, 60, (count, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[torch.arange(count), 4 + 2 * labels] = 255
    return images, labels


def test_the_textbook_loss_is_ours() -> None:
    student, teacher = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0)).unbind()
    labels = torch.arange(6)
    expected = DistillationLoss(temperature=3.0, alpha=textbook.ALPHA)(student, teacher, labels)
    torch.testing.assert_close(textbook.loss(student, teacher, labels, 3.0), expected)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (5, 4)])
def test_the_learning_rates_are_those_of_our_recipe(epochs: int, steps: int) -> None:
    optimizer, schedule = textbook.optimizing(torch.nn.Linear(1, 1), epochs=epochs, steps=steps)
    recipe = Recipe(epochs=epochs, learning_rate=textbook.RATE, warmup=1.0)
    for step in range(epochs * steps):
        expected = learning_rate(recipe, epoch=step / steps, epochs=float(epochs))
        assert math.isclose(optimizer.param_groups[0]["lr"], expected, abs_tol=1e-12)
        optimizer.step()
        schedule.step()


def test_shifted_pictures_are_crops_of_the_padded_ones_and_all_shifts_come_up() -> None:
    picture = torch.randint(1, 255, (1, 28, 28), dtype=torch.uint8)
    padded = F.pad(picture, (2, 2, 2, 2))
    crops = [padded[0, down : down + 28, right : right + 28] for down in range(5) for right in range(5)]
    torch.manual_seed(0)
    found = matched.shifted(padded, torch.zeros(600, dtype=torch.long))
    which = [next(number for number, crop in enumerate(crops) if torch.equal(crop, each)) for each in found]
    assert set(which) == set(range(25))


def test_both_programs_learn_and_their_students_are_read_back(tmp_path: Path) -> None:
    images, labels = separable(2048)
    teacher = textbook.mlp(16)
    torch.manual_seed(0)
    trained = matched.fit(textbook.mlp(textbook.STUDENT), teacher, (images, labels), (images, labels), epochs=2, temperature=2.0, jitter=False)
    assert matched.accuracy(trained, images, labels) > 0.8
    loader = DataLoader(TensorDataset(matched.normalised(images)[:, None], labels), batch_size=256, shuffle=True)
    assert naive.accuracy(naive.fit(textbook.mlp(textbook.STUDENT), teacher, loader, loader, epochs=2, temperature=2.0), loader) > 0.8
    textbook.save(trained, tmp_path, 2.0)
    again = scoring.network(tmp_path / "2.pt")
    torch.testing.assert_close(again(matched.normalised(images[:5])), trained.eval()(matched.normalised(images[:5])))


def test_a_run_of_ours_is_read_as_the_network_that_it_is(tmp_path: Path) -> None:
    layers = textbook.mlp(12)
    pairs = zip((1, 4, 7), (layers[1], layers[3], layers[5]), strict=True)
    save_file({f"layers.{number}.{part}": getattr(layer, part).data for number, layer in pairs for part in ("weight", "bias")}, tmp_path / "w")
    images = torch.randn(3, 1, 28, 28)
    torch.testing.assert_close(textbook.load_run(tmp_path / "w")(images), layers(images))


def test_without_data_the_benchmark_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert measure.measure(Run("end_to_end", quick=True)) == measure.NEEDS_DATA
    assert "--data" in capsys.readouterr().out


def test_the_summary_compares_the_same_round() -> None:
    seconds = {"ours": [Seconds(1, 2)], "naive": [Seconds(10, 10)], "matched": [Seconds(2, 8)]}
    found = measure.summary(seconds, {name: [[1.0, 3.0]] for name in seconds}, measure.Size())
    medians = {other: {kind: each["median"] for kind, each in kinds.items()} for other, kinds in found["ours /"].items()}
    assert medians == {"naive": {"processor": 0.1, "wall": 0.2}, "matched": {"processor": 0.5, "wall": 0.25}}
    assert found["mean test error %"]["ours"] == 2.0
