from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkknowledge import data
from darkknowledge.data._idx import read_idx
from darkknowledge.errors import DataError


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", [".", "MNIST/raw"])
def test_the_four_files_are_read_plain_or_gzipped_below_the_root_or_in_it(
    suffix: str, folder: str, tmp_path: Path, write_mnist: Callable[..., Any], everything: Callable[..., Any]
) -> None:
    images, labels = write_mnist(tmp_path / folder, suffix=suffix)
    mnist = data.load("mnist", root=tmp_path, validation=0)
    batch = everything(mnist.train)
    np.testing.assert_allclose(batch.inputs[:, 0].numpy(), images / 255, rtol=2e-7)
    assert batch.labels.tolist() == labels.tolist()
    assert batch.ids.tolist() == list(range(40))
    assert (mnist.input_shape, mnist.mean, mnist.std, mnist.augmentation) == ((1, 6, 5), (0.1307,), (0.3081,), "jitter")
    assert mnist.open_test().ids.tolist() == list(range(40, 60))


def test_the_test_files_stay_closed_until_the_test_set_is_opened(tmp_path: Path, write_mnist: Callable[..., Any]) -> None:
    write_mnist(tmp_path)
    for path in tmp_path.glob("t10k-*"):
        path.unlink()
    mnist = data.load("mnist", root=tmp_path)
    assert sum(len(batch) for batch in mnist.train.batches(torch.arange(36), batch_size=8, views=torch.full_like(torch.arange(36), 0))) == 36
    for look in (mnist.open_test, mnist.require_test):
        with pytest.raises(DataError, match="t10k-images-idx3-ubyte was not found") as caught:
            look()
        assert caught.value.exit_code == 3
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(b"not opened")
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte was not found"):
        mnist.require_test()
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not opened")
    mnist.require_test()


def header(*shape: int, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x00\x00\x08", "starts with 000008"),
        (b"<html>no such page</html>", "starts with 3c68746d"),
        (header(2, 3) + bytes(6), "starts with 00000802"),
        (header(2, 3, 4, kind=13) + bytes(24), "starts with 00000d03"),
        (header(2, 3, 4)[:9], "ends within its header"),
        (header(2, 3, 4) + bytes(23), "24 bytes of values, and it holds 23"),
        (header(2, 3, 4) + bytes(25), "24 bytes of values, and it holds more"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "its header declares 79,"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_that_is_no_whole_idx_file_exits_3(content: bytes, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, dimensions=3)
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [5, 15, 40, -1])
def test_a_damaged_gzip_file_exits_3(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(header(4, 5, 6) + np.random.default_rng(0).bytes(120))[:cut])
    with pytest.raises(DataError, match="damaged"):
        read_idx(path, dimensions=3)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="damaged"):
        read_idx(path, dimensions=3)


def test_labels_that_do_not_fit_the_pictures_exit_3(tmp_path: Path, write_mnist: Callable[..., Any], write_idx: Callable[..., Path]) -> None:
    write_mnist(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    write_idx(labels, np.array([0] * 39 + [10]))
    with pytest.raises(DataError, match=r"label 10 of row 39 \(id 39\) is outside 0 … 9") as caught:
        data.load("mnist", root=tmp_path)
    assert str(labels) in str(caught.value)
    write_idx(labels, np.zeros(39))
    with pytest.raises(DataError, match="40 pictures, train-labels-idx1-ubyte 39 labels"):
        data.load("mnist", root=tmp_path)
    write_idx(labels, np.zeros(0))
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((0, 6, 5)))
    with pytest.raises(DataError, match="holds no pictures"):
        data.load("mnist", root=tmp_path)


def test_a_wrong_test_label_is_named_by_its_id_too(tmp_path: Path, write_mnist: Callable[..., Any], write_idx: Callable[..., Path]) -> None:
    write_mnist(tmp_path)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([0, 77, *[0] * 18]))
    with pytest.raises(DataError, match=r"label 77 of row 1 \(id 41\)"):
        data.load("mnist", root=tmp_path).open_test()


def test_the_real_files_hold_the_digits_that_everyone_knows(real_data: Path) -> None:
    mnist = data.load("mnist", root=real_data, validation=0)
    assert (len(mnist.train), mnist.input_shape) == (60_000, (1, 28, 28))
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert isinstance(mnist.train, data.ImageExamples)
    pictures = mnist.train.images.numpy() / np.float32(255)
    assert pictures.mean(dtype=np.float64) == pytest.approx(mnist.mean[0], abs=5e-5)
    assert pictures.std(dtype=np.float64) == pytest.approx(mnist.std[0], abs=5e-5)
    test = mnist.open_test()
    assert (len(test), test.ids[0].item(), test.labels[:5].tolist()) == (10_000, 60_000, [7, 2, 1, 0, 4])


def test_the_real_digits_can_be_divided_as_in_the_paper(real_data: Path) -> None:
    threes = data.load("mnist", root=real_data, without=[3])
    assert 3 not in threes.train.labels
    assert (threes.validation.labels == 3).sum() == 613
    few = data.load("mnist", root=real_data, fraction=0.03, validation=10_000)
    assert (len(few.train), len(few.validation)) == (1_500, 10_000)
    assert few.fingerprint == threes.fingerprint
