"""Pictures, labels and class names that are not what they should be, and data sets of next to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import darkknowledge
from darkknowledge.data import from_tensors
from darkknowledge.errors import DataError
from pipeline.small import LOGGING

GREY = torch.arange(20 * 64, dtype=torch.int64).view(20, 1, 8, 8).remainder(251).byte()
LABELS = torch.arange(20) % 2


def data(images: torch.Tensor = GREY, labels: torch.Tensor = LABELS, class_names: Any = ("ants", "bees"), **split: Any) -> darkknowledge.Dataset:
    return from_tensors(images, labels, class_names=class_names, **({"validation": 0} | split))


@pytest.mark.parametrize(
    ("class_names", "said"),
    [
        (["ants", "ants"], "two classes are called 'ants'"),
        (["ants", ""], "class 1 has no name"),
        ([" \t", "bees"], "class 0 has no name"),
        (["ants"], "there is 1 class, and a classifier needs at least two"),
    ],
)
def test_class_names_that_name_nothing_are_refused(class_names: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        data(class_names=class_names)
    assert refused.value.exit_code == 3


def test_capital_letters_are_classes_of_their_own_where_no_folder_bears_their_names() -> None:
    assert data(class_names=["a", "A"]).class_names == ("a", "A")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS - 1, r"label -1 of row 0 \(id 0\) is outside 0 … 1"),
        (LABELS + 1, r"label 2 of row 1 \(id 1\) is outside 0 … 1"),
        (LABELS.float(), r"train_labels are torch.float32 of shape \(20\) for 20 pictures"),
        (LABELS * float("nan"), r"train_labels are torch.float32"),
        (torch.nn.functional.one_hot(LABELS), r"train_labels are torch.int64 of shape \(20, 2\) for 20 pictures"),
        (LABELS[:7], r"train_labels are torch.int64 of shape \(7\) for 20 pictures"),
    ],
    ids=["negative", "beyond", "numbers with a point", "NaN", "one-hot", "too few"],
)
def test_labels_that_are_none_are_refused_and_the_first_is_named(labels: torch.Tensor, said: str) -> None:
    with pytest.raises(DataError, match=said):
        data(labels=labels)


@pytest.mark.parametrize("shape", [(20, 9, 8, 3), (20, 9, 8, 1), (20, 6, 5, 4)])
def test_channels_that_come_last_are_noticed(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"train_images have the shape \(20, .*their channels seem to come last") as refused:
        data(torch.zeros(shape, dtype=torch.uint8))
    assert refused.value.fix == "give images.permute(0, 3, 1, 2)"
    assert data(torch.zeros(shape, dtype=torch.uint8).permute(0, 3, 1, 2)).input_shape == (shape[3], shape[1], shape[2])


@pytest.mark.parametrize("images", [GREY / 255, GREY * float("nan"), GREY.to(torch.uint16)], ids=["in [0, 1]", "NaN", "16 bits"])
def test_pictures_of_other_numbers_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(DataError, match=rf"train_images are {images.dtype} and must be uint8"):
        data(images)


@pytest.mark.parametrize("images", [GREY[:0], GREY[:, :, :0]], ids=["no pictures", "no pixels"])
def test_nothing_to_look_at_is_refused(images: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"train_images have the shape"):
        data(images, LABELS[: len(images)])


@pytest.mark.parametrize(
    "little",
    [data(GREY[:1], LABELS[:1]), data(GREY[:5], LABELS[:5] * 0), data(torch.full_like(GREY, 7), validation=4)],
    ids=["one picture", "one class of two", "pictures without a difference"],
)
def test_next_to_nothing_is_learned_from_in_batches_that_are_not_full(little: darkknowledge.Dataset, tmp_path: Path) -> None:
    training = {"epochs": 2, "batch_size": 64, "threads": 1, "precision": "fp32"}
    made = darkknowledge.train({"name": "hinton_mlp", "hidden": [4]}, little, training=training, logging=LOGGING, out=tmp_path / "run")
    assert all(parameter.isfinite().all() for parameter in made.network.parameters())
