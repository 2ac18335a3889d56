from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkknowledge import data
from darkknowledge.errors import DataError


def test_fashion_mnist_has_a_folder_classes_and_constants_of_its_own(tmp_path: Path, write_mnist: Callable[..., Any]) -> None:
    write_mnist(tmp_path / "FashionMNIST" / "raw", suffix=".gz")
    fashion = data.load("fashion_mnist", root=tmp_path, without="Bag")
    assert fashion.name == "fashion_mnist"
    assert fashion.class_names[9] == "Ankle boot"
    assert 8 not in fashion.train.labels
    assert (fashion.mean, fashion.std, fashion.augmentation) == ((0.2860,), (0.3530,), "crop_flip")
    assert len(fashion.open_test()) == 20


def test_fashion_mnist_is_not_found_in_the_folder_of_mnist(tmp_path: Path, write_mnist: Callable[..., Any]) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    with pytest.raises(DataError, match="fashion_mnist: train-images-idx3-ubyte was not found") as caught:
        data.load("fashion_mnist", root=tmp_path)
    assert "FashionMNIST" in caught.value.where
    assert "data.download=true" in caught.value.fix
