from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from darkknowledge import data
from darkknowledge.errors import DataError, UsageError


def save(path: Path, seed: int, *, height: int = 12, width: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Train and test folders with PNG pictures of 12×12."""
    for split, count in (("train", 5), ("test", 2)):
        for number, name in enumerate(("ant", "bee", "wasp")):
            for index in range(count):
                save(tmp_path / split / name / f"{index}.png", 100 * number + index + len(split))
    return tmp_path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Class folders with JPEG pictures of several sizes."""
    for number, name in enumerate(("ant", "bee")):
        for index in range(6):
            save(tmp_path / name / f"{index}.jpg", 10 * number + index, height=70 + 5 * index, width=90)
    return tmp_path


def test_small_pictures_of_one_size_are_kept_in_memory(small: Path, everything: Callable[..., Any]) -> None:
    folder = data.load("image_folder", root=small, validation=0)
    assert isinstance(folder.train, data.ImageExamples)
    assert (folder.input_shape, folder.class_names, folder.augmentation) == ((3, 12, 12), ("ant", "bee", "wasp"), "crop_flip")
    batch = everything(folder.train)
    expected = np.stack([np.asarray(Image.open(path)) for path in sorted((small / "train").rglob("*.png"))]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(batch.inputs.numpy(), expected / 255, rtol=2e-7)
    assert batch.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    test = folder.open_test()
    assert (test.ids.tolist(), test.labels.tolist()) == (list(range(15, 21)), [0, 0, 1, 1, 2, 2])


def test_the_test_folder_stays_closed_until_the_test_set_is_opened(small: Path) -> None:
    for path in sorted((small / "test").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (small / "test").rmdir()
    folder = data.load("image_folder", root=small)
    for look in (folder.open_test, folder.require_test):
        with pytest.raises(DataError, match="has no test set") as caught:
            look()
        assert caught.value.exit_code == 3
    picture = small / "val" / "bee" / "0.png"
    save(picture, 1)
    assert folder.open_test().labels.tolist() == [1]
    picture.write_bytes(b"listed and not opened")
    folder.require_test()
    picture.unlink()
    with pytest.raises(DataError, match="the class folder 'bee' holds no pictures"):
        folder.require_test()


def test_without_split_folders_a_fixed_stratified_fifth_is_the_test_set(photos: Path) -> None:
    for number, name in enumerate(("ant", "bee")):
        for index in range(6, 10):
            save(photos / name / f"{index}.jpg", 10 * number + index, height=80, width=90)
    first = data.load("image_folder", root=photos, workers=0, validation=0)
    second = data.load("image_folder", root=photos, workers=0, split_seed=5, fraction=0.5)
    first.require_test()
    test = first.open_test()
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert torch.equal(test.ids, second.open_test().ids)
    assert torch.cat([first.train.ids, test.ids]).sort().values.tolist() == list(range(20))
    assert first.name == f"image_folder:{photos.name}"


def test_large_pictures_stream_and_a_view_depends_on_id_seed_and_view_alone(photos: Path, everything: Callable[..., Any]) -> None:
    folder = data.load("image_folder", root=photos, image_size=32, workers=0, validation=0)
    assert isinstance(folder.train, data.PhotoExamples)
    assert (folder.input_shape, folder.augmentation, folder.mean) == ((3, 32, 32), "photo", (0.485, 0.456, 0.406))
    whole = everything(folder.train, view=3)
    assert (whole.inputs.shape, whole.inputs.dtype) == ((10, 3, 32, 32), torch.float32)
    assert 0 <= whole.inputs.min() < whole.inputs.max() <= 1
    order = torch.tensor([9, 2, 5, 5, 0])
    state = torch.random.get_rng_state()
    parts = list(folder.train.batches(order, batch_size=2, views=torch.full_like(order, 3)))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(torch.cat([part.inputs for part in parts]), whole.inputs[order])
    assert torch.equal(torch.cat([part.ids for part in parts]), folder.train.ids[order])
    workers = data.load("image_folder", root=photos, image_size=32, workers=2, validation=0)
    assert torch.equal(
        torch.cat([part.inputs for part in workers.train.batches(order, batch_size=2, views=torch.full_like(order, 3))]), whole.inputs[order]
    )
    assert not torch.equal(everything(folder.train, view=4).inputs, whole.inputs)
    other = data.load("image_folder", root=photos, image_size=32, workers=0, validation=0, augment_seed=1)
    assert not torch.equal(everything(other.train, view=3).inputs, whole.inputs)


def test_a_plain_photo_is_the_centre_of_the_scaled_picture(photos: Path, everything: Callable[..., Any]) -> None:
    folder = data.load("image_folder", root=photos, image_size=56, workers=0, validation=0, augment="none")
    batch = everything(folder.train, view=0)
    assert torch.equal(batch.inputs, everything(folder.train).inputs)
    row = batch.ids.tolist().index(0)
    picture = Image.open(photos / "ant" / "0.jpg")  # 70 × 90; the shorter side becomes 56 / 0.875 = 64
    scaled = np.asarray(picture.resize((round(90 * 64 / 70), 64), Image.Resampling.BILINEAR))
    left = round((scaled.shape[1] - 56) / 2)
    np.testing.assert_allclose(batch.inputs[row].numpy(), scaled[4:60, left : left + 56].transpose(2, 0, 1) / 255, atol=1.01 / 255)


def test_the_orientation_mark_of_a_camera_is_obeyed(tmp_path: Path, everything: Callable[..., Any]) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[0] = 255
    upside_down = Image.Exif()
    upside_down[0x0112] = 3
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "train" / name / "0.png", exif=upside_down)
    batch = everything(data.load("image_folder", root=tmp_path, validation=0).train)
    assert batch.inputs[0, 0, :, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]


def test_grey_pictures_have_one_channel_and_grey_ones_among_coloured_three(tmp_path: Path) -> None:
    for index, name in enumerate(("a", "b")):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray(np.full((8, 8), 40 * index, dtype=np.uint8)).save(tmp_path / split / name / "0.png")
    grey = data.load("image_folder", root=tmp_path, validation=0)
    assert (grey.input_shape, grey.augmentation) == ((1, 8, 8), "jitter")
    assert len(grey.open_test()) == 2
    save(tmp_path / "train" / "b" / "1.png", 0, height=8, width=8)
    assert data.load("image_folder", root=tmp_path, validation=0).input_shape == (3, 8, 8)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("side", [4, 80], ids=["kept", "streamed"])
def test_grey_pictures_of_16_bits_keep_their_greys(suffix: str, side: int, tmp_path: Path, everything: Callable[..., Any]) -> None:
    for name, value in (("black", 0), ("dark", 20_000), ("light", 50_000), ("white", 65_535)):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(np.full((side, side), value, dtype=np.uint16)).save(tmp_path / "train" / name / f"0.{suffix}")
    folder = data.load("image_folder", root=tmp_path, validation=0, workers=0)
    batch = everything(folder.train)
    assert batch.inputs.shape[1] == (1 if side == 4 else 3)
    np.testing.assert_allclose(batch.inputs[:, 0, 0, 0].numpy(), np.array([0, 20_000, 50_000, 65_535]) / 65_535, atol=0.5 / 255)


def test_grey_pictures_of_16_bits_are_read_in_either_order_of_bytes(tmp_path: Path, everything: Callable[..., Any]) -> None:
    for name, kind in (("little", "<u2"), ("big", ">u2")):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.fromarray(np.full((4, 4), 0x4000, dtype=kind)).save(tmp_path / "train" / name / "0.tif")
    with Image.open(tmp_path / "train" / "big" / "0.tif") as big:
        assert big.mode == "I;16B"
    assert everything(data.load("image_folder", root=tmp_path, validation=0).train).inputs.unique().tolist() == pytest.approx([64 / 255])


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_grey_pictures_of_32_bits_are_refused_and_not_clipped(kind: Any, small: Path) -> None:
    Image.fromarray(np.full((12, 12), 1000, dtype=kind)).save(small / "train" / "bee" / "9.tif")
    assert "9.tif" in refused(small, "grey values of 32 bits").where


def test_a_picture_in_a_format_that_runs_programs_is_never_opened(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **options: asked.append(arguments))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 12 12\n%%EndComments\n(run) show\n%%EOF\n"
    (small / "train" / "bee" / "9.png").write_bytes(eps)
    refused(small, "cannot identify image file")
    assert asked == []


def test_another_size_is_made_when_asked_for(small: Path) -> None:
    folder = data.load("image_folder", root=small, image_size=16, workers=0)
    assert isinstance(folder.train, data.PhotoExamples)
    assert folder.input_shape == (3, 16, 16)


def test_links_count_and_hidden_and_other_files_do_not(small: Path) -> None:
    ant = small / "train" / "ant"
    (ant / "notes.txt").write_text("no picture")
    (ant / "._0.png").write_bytes(b"left by a Mac")
    (small / "train" / ".cache").mkdir()
    (small / "train" / "README.md").touch()
    (ant / "5.png").symlink_to(ant / "0.png")
    (small / "train" / "yak").symlink_to(small / "test" / "bee")
    folder = data.load("image_folder", root=small, validation=0)
    assert folder.class_names == ("ant", "bee", "wasp", "yak")
    assert folder.train.labels.bincount().tolist() == [6, 5, 5, 2]


def refused(root: Path, message: str, **options: Any) -> DataError:
    with pytest.raises(DataError, match=message) as caught:
        data.load("image_folder", root=root, **options)
    assert caught.value.exit_code == 3
    return caught.value


def test_an_empty_class_folder_is_named(small: Path) -> None:
    (small / "train" / "moth").mkdir()
    assert str(small / "train" / "moth") in str(refused(small, "the class folder 'moth' holds no pictures"))
    (small / "train" / "moth").rmdir()
    (small / "test" / "ant" / "0.png").unlink()
    (small / "test" / "ant" / "1.png").unlink()
    with pytest.raises(DataError, match="the class folder 'ant' holds no pictures"):
        data.load("image_folder", root=small).open_test()


def test_classes_that_differ_only_in_case_are_refused(small: Path) -> None:
    save(small / "train" / "Ant" / "0.png", 0)
    refused(small, "'Ant' and 'ant' differ only in case")


def test_too_few_classes_or_pictures_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "holds no class folders")
    save(tmp_path / "ant" / "0.png", 0)
    refused(tmp_path, "there is 1 class")
    save(tmp_path / "bee" / "0.png", 0)
    refused(tmp_path, "2 pictures are too few to set a test set aside")


def test_a_test_folder_without_a_train_folder_is_refused(small: Path) -> None:
    (small / "train").rename(small / "training")
    refused(small, "a folder 'test' but no folder 'train'")


def test_a_test_class_that_was_not_trained_is_refused(small: Path) -> None:
    save(small / "test" / "moth" / "0.png", 0)
    with pytest.raises(DataError, match="there is no class 'moth' in the training set"):
        data.load("image_folder", root=small).open_test()


@pytest.mark.parametrize("content", [b"", b"no picture at all", None], ids=["empty", "text", "cut short"])
def test_a_damaged_picture_is_named_by_its_path(content: bytes | None, small: Path) -> None:
    victim = small / "train" / "bee" / "3.png"
    victim.write_bytes(victim.read_bytes()[:200] if content is None else content)
    assert refused(small, "a picture cannot be decoded").where == str(victim)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_photo_is_named_also_from_another_process(workers: int, photos: Path) -> None:
    folder = data.load("image_folder", root=photos, image_size=32, workers=workers, validation=0)
    names = sorted(path.relative_to(photos) for path in photos.rglob("*.jpg"))
    victim = photos / names[int(folder.train.ids[4])]
    victim.write_bytes(victim.read_bytes()[:400])
    with pytest.raises(DataError, match="a picture cannot be decoded") as caught:
        list(folder.train.batches(torch.arange(10), batch_size=3, views=torch.full_like(torch.arange(10), 0)))
    assert str(victim) in str(caught.value)
    assert "Traceback" not in str(caught.value)
    victim.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file") as caught:
        list(folder.train.batches(torch.arange(10), batch_size=3, views=None))
    assert str(victim) in str(caught.value)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(small: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    side = (10_000).to_bytes(4, "big")
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", side + side + b"\x08\x02\x00\x00\x00") + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (small / "train" / "bee" / "9.png").write_bytes(bomb)
    refused(small, "100000000 pixels|10000×10000 pixels")


def test_a_test_picture_of_another_size_is_refused(small: Path) -> None:
    save(small / "test" / "bee" / "9.png", 0, height=13)
    with pytest.raises(DataError, match="13×12 pixels where the others have 12×12"):
        data.load("image_folder", root=small).open_test()


def test_photos_have_recipes_of_their_own(photos: Path) -> None:
    with pytest.raises(UsageError, match="no augmentation 'jitter' for photos"):
        data.load("image_folder", root=photos, workers=0, augment="jitter")
