from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from darkknowledge import data
from darkknowledge.errors import DataError

NAMES = ("cat", "dog")
Writer = Callable[..., None]


@pytest.fixture
def write(encode: Callable[..., bytes]) -> Writer:
    """Write a parquet file in the Hugging Face layout: ``labels``, random pictures, class names in the metadata unless None."""

    def to_file(
        path: Path, labels: list[int | None], *, size: tuple[int, ...] = (8, 8, 3), names: tuple[str, ...] | None = NAMES, kind: str = "PNG"
    ) -> None:
        random = np.random.default_rng(len(labels))
        pictures = [{"bytes": encode(random.integers(0, 256, size), kind), "path": None} for _ in labels]
        columns = {"image": pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), "label": pa.array(labels, pa.int64())}
        table = pa.table(columns)
        if names is not None:
            features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    return to_file


def pixels(path: Path, row: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(pq.read_table(path)["image"][row].as_py()["bytes"])))


@pytest.mark.parametrize("folder", [".", "data"])
def test_files_are_read_in_order_of_name(folder: str, tmp_path: Path, write: Writer, everything: Callable[..., Any]) -> None:
    write(tmp_path / folder / "train-00001-of-00002.parquet", [1, 1])
    write(tmp_path / folder / "train-00000-of-00002.parquet", [0, 1, 0], kind="JPEG")
    write(tmp_path / folder / "test-00000-of-00001.parquet", [1, 0])
    table = data.load("parquet", root=tmp_path, validation=0)
    batch = everything(table.train)
    assert (batch.ids.tolist(), batch.labels.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 0, 1, 1])
    assert (table.name, table.class_names, table.input_shape) == (f"parquet:{tmp_path.name}", NAMES, (3, 8, 8))
    for row, (file, index) in ((2, ("train-00000-of-00002", 2)), (4, ("train-00001-of-00002", 1))):
        expected = pixels(tmp_path / folder / f"{file}.parquet", index).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(batch.inputs[row].numpy(), expected, rtol=2e-7)
    test = table.open_test()
    assert (test.ids.tolist(), test.labels.tolist()) == ([5, 6], [1, 0])


def test_the_test_files_stay_closed_until_the_test_set_is_opened(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "train-0.parquet", [0, 1, 0, 1])
    table = data.load("parquet", root=tmp_path)
    for look in (table.open_test, table.require_test):
        with pytest.raises(DataError, match="has no test set") as caught:
            look()
        assert caught.value.exit_code == 3
    (tmp_path / "test-0.parquet").write_bytes(b"PAR1 no more")
    table.require_test()  # the file is there, and was not opened
    with pytest.raises(DataError, match=r"test-0.parquet is not a whole parquet file"):
        table.open_test()


def test_classes_without_names_are_called_by_their_numbers(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "train-0.parquet", [0, 2, 1], names=None)
    write(tmp_path / "test-0.parquet", [3], names=None)
    table = data.load("parquet", root=tmp_path, validation=0)
    assert table.class_names == ("0", "1", "2")
    with pytest.raises(DataError, match=r"label 3 of row 0 \(id 3\) is outside 0 … 2"):
        table.open_test()


def test_a_list_of_names_that_is_null_is_none(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / "train-0.parquet"
    write(path, [0, 1], names=None)
    for names, seen in ((None, ("0", "1")), (["cat", "dog"], NAMES)):
        metadata = {"huggingface": json.dumps({"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}})}
        pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
        assert data.load("parquet", root=tmp_path, validation=0).class_names == seen


def test_grey_pictures_have_one_channel(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "train-0.parquet", [0, 1], size=(8, 6))
    assert data.load("parquet", root=tmp_path, validation=0).input_shape == (1, 8, 6)


def test_columns_of_other_names_and_plain_binary_pictures_are_read_when_named(tmp_path: Path, encode: Callable[..., bytes]) -> None:
    picture = encode(np.zeros((8, 8, 3)))
    pq.write_table(pa.table({"img": pa.array([picture, picture]), "fine": pa.array([0, 1], pa.int8())}), tmp_path / "train-0.parquet")
    assert len(data.load("parquet", root=tmp_path, image_column="img", label_column="fine", validation=0).train) == 2
    with pytest.raises(DataError, match="there is no column 'image'") as caught:
        data.load("parquet", root=tmp_path)
    assert "img, fine" in caught.value.why
    assert "data.image_column=…" in caught.value.fix
    with pytest.raises(DataError, match="holds no encoded pictures but int8"):
        data.load("parquet", root=tmp_path, image_column="fine", label_column="fine")
    with pytest.raises(DataError, match="holds no integers but binary"):
        data.load("parquet", root=tmp_path, image_column="img", label_column="img")


def test_large_pictures_stream(tmp_path: Path, write: Writer, everything: Callable[..., Any]) -> None:
    write(tmp_path / "train-0.parquet", [0, 1, 1], size=(80, 70, 3), kind="JPEG")
    write(tmp_path / "train-1.parquet", [1], size=(90, 90, 3), kind="JPEG")
    table = data.load("parquet", root=tmp_path, validation=0, image_size=32, workers=0)
    assert isinstance(table.train, data.PhotoExamples)
    whole = everything(table.train, view=1)
    assert whole.inputs.shape == (4, 3, 32, 32)
    (part,) = table.train.batches(torch.tensor([3, 1]), batch_size=2, views=torch.full_like(torch.tensor([3, 1]), 1))
    assert torch.equal(part.inputs, whole.inputs[[3, 1]])
    assert len(table.fingerprint) == 64


def refused(root: Path, message: str) -> DataError:
    with pytest.raises(DataError, match=message) as caught:
        data.load("parquet", root=root)
    assert caught.value.exit_code == 3
    return caught.value


def test_labels_out_of_range_or_missing_name_row_and_file(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "train-0.parquet", [0, 1])
    write(tmp_path / "train-1.parquet", [0, 1, 2])
    assert refused(tmp_path, r"label 2 of row 2 \(id 4\) is outside 0 … 1").where == str(tmp_path / "train-1.parquet")
    write(tmp_path / "train-1.parquet", [0, -1])
    refused(tmp_path, r"label -1 of row 1 \(id 3\)")
    write(tmp_path / "train-1.parquet", [0, None])
    refused(tmp_path, "1 rows have no label")


def test_a_damaged_picture_is_named_by_file_and_row(tmp_path: Path, encode: Callable[..., bytes]) -> None:
    good = encode(np.zeros((8, 8, 3)))
    kind = pa.struct([("bytes", pa.binary())])
    for bad, message in ((good[:40], "cannot be decoded"), (b"", "cannot be decoded"), (None, "holds no picture bytes")):
        column = pa.array([{"bytes": good}, {"bytes": bad}], kind)
        pq.write_table(pa.table({"image": column, "label": pa.array([0, 1])}), tmp_path / "train-0.parquet")
        assert refused(tmp_path, message).where == f"{tmp_path / 'train-0.parquet'}, row 1"


def test_damaged_or_empty_files_and_strange_metadata_are_refused(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / "train-0.parquet"
    write(path, [0, 1])
    path.write_bytes(path.read_bytes()[:-20])
    refused(tmp_path, r"train-0.parquet is not a whole parquet file")
    write(path, [])
    refused(tmp_path, "the files hold no rows")
    write(path, [0, 1])
    for metadata in ("[1]", '{"info": {"features": {"label": {"names": 2}}}}'):
        pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": metadata}), path)
        refused(tmp_path, "metadata cannot be understood")
    write(path, [0, 0], names=("only",))
    refused(tmp_path, "at least two")


def test_the_class_lists_of_all_files_must_agree(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "train-0.parquet", [0, 1])
    write(tmp_path / "test-0.parquet", [0, 1], names=("dog", "cat"))
    with pytest.raises(DataError, match="other classes than the training files"):
        data.load("parquet", root=tmp_path).open_test()
    write(tmp_path / "train-1.parquet", [0, 1], names=("dog", "cat"))
    refused(tmp_path, "list different classes")


def test_the_real_pictures_are_cifar_10(real_data: Path, tmp_path: Path) -> None:
    (file,) = (real_data / "cifar10-jpeg").glob("test-*.parquet")
    (tmp_path / "train-0.parquet").symlink_to(file)  # the smaller file, to save time
    table = data.load("parquet", root=tmp_path, validation=0)
    assert (len(table.train), table.input_shape, table.class_names[3]) == (10_000, (3, 32, 32), "cat")
    assert table.train.labels.bincount().tolist() == [1000] * 10
    np.testing.assert_allclose(table.mean, (0.4942, 0.4851, 0.4504), atol=2e-3)
