"""Pictures of no data set are prepared as those of the data set were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from darkknowledge.data import Preparation, load
from darkknowledge.errors import DataError, UsageError


def save(path: Path, size: tuple[int, int], mode: str, seed: int = 0) -> Path:
    """Noise, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize(("size", "mode"), [((20, 12), "RGB"), ((20, 12), "L"), ((97, 130), "RGB")])
def test_a_picture_of_the_data_set_is_shown_as_evaluation_shows_it(tmp_path: Path, size: tuple[int, int], mode: str) -> None:
    for split in ("train", "test"):
        for label in "ab":
            for number in range(3):
                save(tmp_path / split / label / f"{number}.png", size, mode, seed=number)
    options = {"image_size": 64} if max(size) > 64 else {}
    data = load("image_folder", root=tmp_path, validation=0, workers=0, **options)
    test = data.open_test()
    prepare = Preparation(data.input_shape, test.transform)
    expected = torch.cat([batch.inputs for batch in test.batches(torch.arange(6), batch_size=6, views=None)])
    found = torch.stack([prepare(path) for path in sorted((tmp_path / "test").rglob("*.png"))])
    assert torch.equal(found, expected)
    assert found.shape[1] == (1 if mode == "L" else 3)


def test_a_picture_of_another_size_is_brought_to_it_whole(tmp_path: Path) -> None:
    found = Preparation((1, 4, 4))(save(tmp_path / "large.png", (64, 32), "L"))
    pixels = torch.from_numpy(np.array(Image.open(tmp_path / "large.png"))).float()[None, None] / 255
    expected = torch.nn.functional.interpolate(pixels, (4, 4), mode="bilinear", antialias=True)[0]
    assert (found - expected).abs().max() < 2 / 255


def test_colour_becomes_grey_and_grey_becomes_colour(tmp_path: Path) -> None:
    grey = Preparation((1, 5, 5))(save(tmp_path / "rgb.png", (5, 5), "RGB"))
    assert grey.shape == (1, 5, 5)
    colour = Preparation((3, 5, 5))(save(tmp_path / "grey.png", (5, 5), "L"))
    assert torch.equal(colour[0], colour[1])


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(DataError, match=r"a picture cannot be decoded[\s\S]*fake\.png"):
        Preparation((1, 4, 4))(tmp_path / "fake.png")
    with pytest.raises(DataError, match="cannot be read"):
        Preparation((1, 4, 4))(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("shape", "transform"),
    [
        ((3, 32, 32), "resize_centre_crop/2 size=32x32"),
        ((3, 32, 32), "resize_centre_crop/1 size=64x64"),
        ((1, 32, 32), "resize_centre_crop/1 size=32x32"),
        ((3, 32, 64), "resize_centre_crop/1 size=32x32"),
        ((2, 8, 8), "plain"),
    ],
)
def test_what_nobody_knows_how_to_prepare_is_refused(shape: tuple[int, int, int], transform: str) -> None:
    with pytest.raises(UsageError):
        Preparation(shape, transform)
