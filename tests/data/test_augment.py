from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from darkknowledge.data import RECIPES, Augmentation
from darkknowledge.randomness import Stream, uniform

IDS = torch.tensor([3, 1, 4, 15, 9, 26, 5, 35])


def pictures(channels: int = 3, height: int = 9, width: int = 7) -> torch.Tensor:
    return torch.randint(1, 256, (len(IDS), channels, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draw(stream: Stream, count: int, *, seed: int = 2, view: int = 6) -> list[int]:
    return [math.floor(number * count) for number in uniform(seed, IDS, view, stream).tolist()]


def crop_of_padded(picture: np.ndarray, margin: int, down: int, right: int, mirrored: bool) -> np.ndarray:
    """The textbook way for one picture (C, H, W): pad by zeros, cut a window, mirror it."""
    padded = np.pad(picture, ((0, 0), (margin, margin), (margin, margin)))
    window = padded[:, down : down + picture.shape[1], right : right + picture.shape[2]]
    return window[:, :, ::-1] if mirrored else window


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_shift_and_flip_agree_with_padding_cropping_and_mirroring_one_by_one(channels: int, shift: int, flip: bool) -> None:
    before = pictures(channels)
    after = Augmentation(shift=shift, flip=flip)(before, seed=2, ids=IDS, views=6)
    down, right = (draw(stream, 2 * shift + 1) for stream in (Stream.SHIFT_DOWN, Stream.SHIFT_RIGHT))
    mirrored = [flip and half == 0 for half in draw(Stream.FLIP, 2)]
    expected = [crop_of_padded(picture.numpy(), shift, *where) for picture, *where in zip(before, down, right, mirrored, strict=True)]
    np.testing.assert_array_equal(after.numpy(), np.stack(expected))
    assert after.dtype == torch.uint8


def test_every_shift_up_to_the_limit_occurs_equally_often() -> None:
    ids = torch.arange(20_000)
    dot = torch.zeros(len(ids), 1, 5, 5, dtype=torch.uint8)
    dot[:, 0, 2, 2] = 1
    counts = Augmentation(shift=2)(dot, seed=0, ids=ids, views=0).sum(0)[0]
    assert counts.sum() == len(ids)
    assert (counts - len(ids) / 25).abs().max() < 4 * math.sqrt(len(ids) / 25)


def test_cutout_blanks_a_square_around_a_uniform_pixel() -> None:
    before = pictures()
    after = Augmentation(cutout=4)(before, seed=2, ids=IDS, views=6)
    for old, new, row, column in zip(before, after, draw(Stream.CUTOUT_ROW, 9), draw(Stream.CUTOUT_COLUMN, 7), strict=True):
        expected = old.clone()
        expected[:, max(0, row - 2) : row + 2, max(0, column - 2) : column + 2] = 0
        assert torch.equal(new, expected)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_view_is_bit_equal_for_any_batch_size_and_order(name: str) -> None:
    before, recipe = pictures(), RECIPES[name]
    together = recipe(before, seed=1, ids=IDS, views=4)
    order = torch.tensor([5, 2, 7, 0, 1, 6, 3, 4])
    shuffled = torch.cat([recipe(before[part], seed=1, ids=IDS[part], views=4) for part in order.split(3)])
    assert torch.equal(shuffled, together[order])


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"none"}))
def test_views_and_seeds_differ(name: str) -> None:
    before, recipe = pictures(), RECIPES[name]
    first = recipe(before, seed=1, ids=IDS, views=0)
    assert not torch.equal(first, recipe(before, seed=1, ids=IDS, views=1))
    assert not torch.equal(first, recipe(before, seed=2, ids=IDS, views=0))


def test_the_empty_recipe_changes_nothing() -> None:
    assert torch.equal(RECIPES["none"](pictures(), seed=0, ids=IDS, views=9), pictures())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: views on a GPU are not compared")
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_view_is_bit_equal_on_a_gpu(name: str) -> None:
    here = RECIPES[name](pictures(), seed=1, ids=IDS, views=4)
    there = RECIPES[name](pictures().cuda(), seed=1, ids=IDS.cuda(), views=4)
    assert torch.equal(here, there.cpu())
