from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from darkknowledge import data
from darkknowledge.contract import IGNORED
from darkknowledge.errors import DataError, UsageError


def tensors(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=generator), torch.arange(count) % 3


def mine(*, root: Path, download: bool, shade: int = 0, **options: Any) -> data.Dataset:
    images, labels = tensors()
    return data.from_tensors(images + shade, labels, class_names="abc", name="mine", **options)


def not_mine(**options: Any) -> int:
    return 3


def test_importing_the_room_imports_neither_torch_nor_a_reader() -> None:
    slow = "{'torch', 'numpy', 'PIL', 'pyarrow', 'sklearn', 'torchvision'}"
    code = f"import sys, darkknowledge.data as d; d.CHOICES, dir(d); print(sorted(set(sys.modules) & {slow}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_choice_and_every_public_name_can_be_had() -> None:
    for target in data.CHOICES.values():
        module, attribute = target.split(":")
        assert callable(getattr(__import__(module, fromlist=[attribute]), attribute))
    assert all(getattr(data, name) is not None for name in data.__all__)
    with pytest.raises(AttributeError):
        _ = data.nothing  # type: ignore[attr-defined]


def test_every_reader_is_a_choice() -> None:
    readers = {path.stem for path in Path(data.__file__).parent.glob("*.py") if not path.stem.startswith("_")}
    assert readers == set(data.CHOICES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"name": "minst"}, "Did you mean 'mnist'"),
        ({"name": "digits", "image_size": 32}, "no option 'image_size'"),
        ({"name": "parquet", "imagesize": 32}, "Did you mean 'image_size'"),
        ({"name": "digits", "augment": "photo"}, "no augmentation 'photo'"),
        ({"name": "digits", "fraction": 0.0}, "fraction must be"),
        ({"name": "digits", "classes": ["ten"]}, "there is no class 'ten'"),
        ({"name": "no.such:module"}, "cannot be found"),
        ({"name": "json:nothing"}, "cannot be found"),
        ({"name": ":"}, "cannot be found"),
        ({"name": "json:dumps"}, "cannot be called"),
        ({"name": "parquet", "download": True}, "nothing to download"),
        ({"name": "image_folder", "download": True}, "nothing to download"),
        ({"name": "image_folder", "image_size": 0}, "image_size must be an integer from 8"),
        ({"name": "image_folder", "workers": -1}, "workers must be an integer from 0"),
    ],
)
def test_mistakes_in_a_call_exit_2(call: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        data.load(**{"root": tmp_path, **call})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", sorted(set(data.CHOICES) - {"digits"}))
def test_a_root_that_is_missing_a_file_or_empty_exits_3_and_says_what_to_do(name: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    for root, message in ((tmp_path / "nowhere", "does not exist"), (file, "is a file"), (empty, "not found|no class folders")):
        with pytest.raises(DataError, match=message) as caught:
            data.load(name, root=root)
        assert caught.value.exit_code == 3
        assert str(root) in str(caught.value)
        assert caught.value.fix


def test_a_folder_closed_to_us_exits_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match="Permission denied") as caught:
        data.load("mnist", root=tmp_path)
    assert caught.value.exit_code == 3


def test_the_default_root_is_the_folder_data_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_mnist: Callable[..., Any]) -> None:
    monkeypatch.chdir(tmp_path)
    write_mnist(tmp_path / "data")
    assert len(data.load("mnist").train) == 36


def test_a_function_of_ones_own_is_called_with_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_package", sys.modules[__name__])
    data_set = data.load("my_package:mine", shade=1, validation=0, fraction=0.5, augment="jitter")
    assert data_set.name == "mine"
    assert len(data_set.train) == 30
    assert data_set.augmentation == "jitter"
    with pytest.raises(UsageError, match="returned int"):
        data.load("my_package:not_mine")
    with pytest.raises(UsageError, match="no option 'shades'"):
        data.load("my_package:mine", shades=1)


def test_a_data_set_from_tensors_is_complete(everything: Callable[..., Any]) -> None:
    images, labels = tensors()
    data_set = data.from_tensors(images, labels, images[:6], labels[:6], class_names=["a", "b", "c"], validation=12)
    assert (len(data_set.train), len(data_set.validation), data_set.input_shape) == (48, 12, (3, 8, 8))
    assert data_set.open_test().ids.tolist() == [60, 61, 62, 63, 64, 65]
    expected = images.double().div(255)
    np.testing.assert_allclose(data_set.mean, expected.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(data_set.std, expected.std((0, 2, 3), correction=0), rtol=1e-5)
    batch = everything(data_set.train)
    assert torch.equal((batch.inputs * 255).round().byte(), images[batch.ids])
    assert torch.equal(batch.labels, labels[batch.ids])
    assert data_set.describe() == "tensors: 48 training and 12 validation pictures of 3×8×8 in 3 classes, augmentation none"


def test_the_description_counts_labels_where_some_are_hidden() -> None:
    images, labels = tensors()
    assert "54 training (5 labelled)" in data.from_tensors(images, labels, class_names="abc", labelled=0.1).describe()


def test_unlabelled_tensors_may_be_trained_on_but_not_tested_on() -> None:
    images, labels = tensors()
    labels[:30] = IGNORED
    assert int((data.from_tensors(images, labels, class_names="abc").train.labels == IGNORED).sum()) == 30
    with pytest.raises(DataError, match="label -100 of row 0"):
        data.from_tensors(images, labels, images, labels, class_names="abc")


def test_grey_tensors_need_no_channel_and_a_constant_channel_no_division_by_zero() -> None:
    data_set = data.from_tensors(torch.zeros(4, 5, 6, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), class_names="ab", validation=0)
    assert (data_set.input_shape, data_set.mean, data_set.std) == ((1, 5, 6), (0.0,), (1.0,))


def test_only_training_views_are_augmented(everything: Callable[..., Any]) -> None:
    images, labels = tensors()
    data_set = data.from_tensors(images, labels, images, labels, class_names="abc", augment="jitter", augment_seed=4)
    for examples, differs in ((data_set.train, True), (data_set.validation, False), (data_set.open_test(), False)):
        assert torch.equal(everything(examples, view=0).inputs, everything(examples).inputs) != differs
    again = data.from_tensors(images, labels, class_names="abc", augment="jitter", augment_seed=5)
    assert not torch.equal(everything(again.train, view=0).inputs, everything(data_set.train, view=0).inputs)


def test_the_fingerprint_changes_with_content_labels_and_class_order_but_not_with_the_split() -> None:
    images, labels = tensors()
    first = data.from_tensors(images, labels, class_names="abc").fingerprint
    assert len(first) == 64
    assert first == data.from_tensors(images, labels, class_names="abc", fraction=0.3, split_seed=9, hide_labels=True, augment="jitter").fingerprint
    other = images.clone()
    other[5, 0, 0, 0] += 1
    relabelled = labels.roll(1)
    others = {
        data.from_tensors(other, labels, class_names="abc").fingerprint,
        data.from_tensors(images, relabelled, class_names="abc").fingerprint,
        data.from_tensors(images, labels, class_names="acb").fingerprint,
        data.from_tensors(images.view(60, 3, 4, 16), labels, class_names="abc").fingerprint,
    }
    assert len(others | {first}) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": torch.rand(60, 3, 8, 8)}, "must be uint8"),
        ({"train_images": torch.zeros(60, 8, dtype=torch.uint8)}, r"shape \(60, 8\)"),
        ({"train_images": torch.zeros(0, 1, 8, 8, dtype=torch.uint8)}, r"shape \(0, 1, 8, 8\)"),
        ({"train_labels": torch.zeros(59, dtype=torch.int64)}, "for 60 pictures"),
        ({"train_labels": torch.zeros(60)}, "one integer a picture"),
        ({"train_labels": torch.arange(60)}, "label 3 of row 3 .id 3. is outside 0 … 2"),
        ({"train_labels": torch.full((60,), -1)}, "label -1 of row 0"),
        ({"class_names": ("a",)}, "at least two"),
        ({"class_names": ("a", "b", "a")}, "two classes are called 'a'"),
        ({"test_images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8)}, "without test_labels"),
        ({"test_images": torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "test_labels": torch.tensor([0, 1])}, "the test pictures are"),
    ],
)
def test_tensors_that_do_not_fit_exit_3(change: dict[str, Any], message: str) -> None:
    images, labels = tensors()
    with pytest.raises(DataError, match=message) as caught:
        data.from_tensors(**{"train_images": images, "train_labels": labels, "class_names": ("a", "b", "c"), **change})
    assert caught.value.exit_code == 3


def test_without_a_test_set_opening_it_exits_3() -> None:
    images, labels = tensors()
    without = data.from_tensors(images, labels, class_names="abc")
    for look in (without.open_test, without.require_test):
        with pytest.raises(DataError, match="tensors has no test set"):
            look()
    data.from_tensors(images, labels, images, labels, class_names="abc").require_test()
