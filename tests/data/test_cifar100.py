from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkknowledge import data
from darkknowledge.errors import DataError


def record(coarse: int, fine: int) -> bytes:
    return bytes([coarse, fine]) + np.random.default_rng(fine).bytes(3072)


def test_the_second_label_byte_is_the_class(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "train.bin").write_bytes(b"".join(record(19, fine) for fine in (3, 99, 0)))
    (folder / "test.bin").write_bytes(record(1, 42))
    cifar = data.load("cifar100", root=tmp_path, validation=0)
    assert cifar.train.labels.tolist() == [3, 99, 0]
    assert (len(cifar.class_names), cifar.class_names[0], cifar.class_names[42], cifar.class_names[99]) == (100, "apple", "leopard", "worm")
    test = cifar.open_test()
    assert (test.ids.tolist(), test.labels.tolist()) == ([3], [42])


def test_a_fine_label_out_of_range_exits_3(tmp_path: Path) -> None:
    (tmp_path / "train.bin").write_bytes(record(0, 0) + record(0, 100))
    with pytest.raises(DataError, match=r"label 100 of row 1 \(id 1\) is outside 0 … 99") as caught:
        data.load("cifar100", root=tmp_path)
    assert caught.value.exit_code == 3
