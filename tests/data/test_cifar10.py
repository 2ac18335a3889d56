from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkknowledge import data
from darkknowledge.data import _cifar
from darkknowledge.errors import DataError

FOLDER = "cifar-10-batches-bin"


def files() -> dict[str, bytes]:
    """Five training files of four pictures each, and a test file of four; the pixel at (channel, row, column) tells its place."""
    random = np.random.default_rng(0)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return {name: b"".join(bytes([label]) + random.bytes(3072) for label in (0, 9, 3, index)) for index, name in enumerate(names)}


def extract(root: Path, contents: dict[str, bytes]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (root / name).write_bytes(content)


def archive(root: Path, contents: dict[str, bytes]) -> Path:
    path = root / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_the_archive_and_the_extracted_files_give_the_same_pictures(tmp_path: Path, everything: Callable[..., Any]) -> None:
    contents = files()
    (tmp_path / "packed").mkdir()
    archive(tmp_path / "packed", contents)
    extract(tmp_path / "unpacked" / FOLDER, contents)
    extract(tmp_path / "flat", contents)
    sets = [data.load("cifar10", root=tmp_path / place, validation=0) for place in ("packed", "unpacked", "flat")]
    assert len({cifar.fingerprint for cifar in sets}) == 1
    batch = everything(sets[0].train)
    assert batch.labels.tolist() == [0, 9, 3, 0, 0, 9, 3, 1, 0, 9, 3, 2, 0, 9, 3, 3, 0, 9, 3, 4]
    raw = np.frombuffer(contents["data_batch_2.bin"], np.uint8).reshape(4, 3073)[1, 1:]
    np.testing.assert_allclose(batch.inputs[5, 2, 31, 7].item(), raw[2 * 1024 + 31 * 32 + 7] / 255, rtol=2e-7)
    test = sets[0].open_test()
    assert (test.ids.tolist(), test.labels.tolist()) == ([20, 21, 22, 23], [0, 9, 3, 5])
    assert sets[0].class_names[3] == "cat"


def test_the_test_file_stays_closed_until_the_test_set_is_opened(tmp_path: Path) -> None:
    contents = files()
    del contents["test_batch.bin"]
    extract(tmp_path / "a" / FOLDER, contents)
    cifar = data.load("cifar10", root=tmp_path / "a")
    for look in (cifar.open_test, cifar.require_test):
        with pytest.raises(DataError, match=r"test_batch.bin was not found"):
            look()
    (tmp_path / "a" / FOLDER / "test_batch.bin").write_bytes(b"not opened")
    cifar.require_test()
    (tmp_path / "b").mkdir()
    archive(tmp_path / "b", contents)
    cifar = data.load("cifar10", root=tmp_path / "b")
    for look in (cifar.open_test, cifar.require_test):
        with pytest.raises(DataError, match=r"it has no cifar-10-batches-bin/test_batch.bin"):
            look()
    archive(tmp_path / "b", {**contents, "test_batch.bin": b"not read"})
    cifar.require_test()


def test_an_archive_cut_short_behind_the_training_files_is_noticed_before_training(tmp_path: Path) -> None:
    contents = files()
    path = archive(tmp_path, {**contents, "test_batch.bin": np.random.default_rng(0).bytes(200_000)})
    path.write_bytes(path.read_bytes()[:-100_000])
    cifar = data.load("cifar10", root=tmp_path)
    with pytest.raises(DataError, match="is not the whole archive"):
        cifar.require_test()


def test_a_file_cut_short_exits_3(tmp_path: Path) -> None:
    contents = files()
    contents["data_batch_3.bin"] = contents["data_batch_3.bin"][:-1]
    extract(tmp_path, contents)
    with pytest.raises(DataError, match=r"data_batch_3.bin is not a whole file") as caught:
        data.load("cifar10", root=tmp_path)
    assert caught.value.exit_code == 3
    contents["data_batch_3.bin"] = b""
    extract(tmp_path, contents)
    with pytest.raises(DataError, match=r"data_batch_3.bin is not a whole file"):
        data.load("cifar10", root=tmp_path)


@pytest.mark.parametrize("cut", [0, 30, 5_000, 40_000])
def test_an_archive_cut_short_exits_3(cut: int, tmp_path: Path) -> None:
    path = archive(tmp_path, files())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="is not the whole archive") as caught:
        data.load("cifar10", root=tmp_path)
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)


def test_an_absurdly_large_member_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path, files())
    monkeypatch.setattr(_cifar, "LARGEST", 10_000)
    with pytest.raises(DataError, match=r"it declares 12,292 bytes for 'cifar-10-batches-bin/data_batch_1.bin'"):
        data.load("cifar10", root=tmp_path)


def test_a_label_out_of_range_exits_3(tmp_path: Path) -> None:
    contents = files()
    contents["data_batch_2.bin"] = bytes([10]) + contents["data_batch_2.bin"][1:]
    extract(tmp_path, contents)
    with pytest.raises(DataError, match=r"label 10 of row 4 \(id 4\) is outside 0 … 9"):
        data.load("cifar10", root=tmp_path)


def test_a_missing_archive_names_every_place_and_the_download(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10: data_batch_1.bin was not found") as caught:
        data.load("cifar10", root=tmp_path)
    assert str(tmp_path / "cifar-10-binary.tar.gz") in caught.value.where
    assert "data.download=true" in caught.value.fix
