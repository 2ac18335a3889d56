"""Transforms of torchvision and timm, which draw from global generators, as functions of (seed, id, view)."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.auto_augment import auto_augment_transform, rand_augment_transform
from torchvision.transforms import v2

from darkknowledge import data
from darkknowledge.contract import Examples
from darkknowledge.data import ImageExamples, Replayable
from darkknowledge.errors import UsageError
from darkknowledge.randomness import Stream, bits

TRANSFORMS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "torchvision-rand-augment": lambda: v2.RandAugment(),
    "torchvision-colour-jitter": lambda: v2.ColorJitter(0.5, 0.5, 0.5, 0.2),
    "torchvision-crop": lambda: v2.RandomResizedCrop(12),
    "torchvision-tensor": lambda: v2.Compose([v2.PILToTensor(), v2.RandomResizedCrop(12), v2.RandomErasing(1.0)]),
    "timm-rand-augment": lambda: rand_augment_transform("rand-m9-mstd0.5", {}),
    "timm-auto-augment": lambda: auto_augment_transform("original-mstd0.5", {}),
}
COUNT = 16


def numpy_noise(picture: Image.Image) -> Image.Image:
    """What draws from NumPy's and from Python's generator."""
    values = np.asarray(picture).astype(int) + np.random.randint(-20, 20, (12, 12, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).rotate(random.uniform(-30, 30))


MINE = Replayable(numpy_noise, meaning="numpy_noise/1")
NOT_MINE = numpy_noise


def augmented(recipe: Replayable, *, seed: int = 3) -> ImageExamples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 3, 12, 12), dtype=torch.uint8, generator=generator)
    return ImageExamples(images, torch.arange(100, 100 + COUNT), torch.arange(COUNT) % 4).augmented(recipe, seed=seed)


def pixels(examples: Examples, positions: torch.Tensor, views: torch.Tensor, batch_size: int = 100) -> torch.Tensor:
    return torch.cat([batch.inputs for batch in examples.batches(positions, batch_size=batch_size, views=views)])


@pytest.fixture(params=[*TRANSFORMS, "numpy"])
def recipe(request: pytest.FixtureRequest) -> Replayable:
    return MINE if request.param == "numpy" else Replayable(TRANSFORMS[request.param](), meaning=f"{request.param}/1")


def test_a_view_is_the_same_for_any_batch_and_order_and_after_other_random_numbers(recipe: Replayable) -> None:
    positions, views = torch.arange(COUNT), torch.arange(COUNT) % 3
    whole = pixels(augmented(recipe), positions, views)
    order = torch.randperm(COUNT)
    torch.rand(3), np.random.rand(5), random.random()
    assert torch.equal(pixels(augmented(recipe), order, views[order], 3), whole[order])
    assert not torch.equal(pixels(augmented(recipe), positions, views + 1), whole)
    assert not torch.equal(pixels(augmented(recipe, seed=4), positions, views), whole)


def test_the_generators_outside_are_left_alone_even_by_a_transform_that_fails(recipe: Replayable) -> None:
    def state() -> tuple[Any, ...]:
        return random.getstate(), torch.random.get_rng_state().tolist(), [part.tolist() for part in np.random.get_state()[1:2]]

    before = state()
    pixels(augmented(recipe), torch.arange(COUNT), torch.zeros(COUNT, dtype=torch.int64))
    assert state() == before

    def failing(picture: Any) -> Any:
        torch.rand(1), np.random.rand(), random.random()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        Replayable(failing, meaning="failing/1")(None, 5)
    assert state() == before


def test_the_picture_is_what_the_transform_makes_with_the_three_generators_seeded(recipe: Replayable) -> None:
    examples = augmented(recipe)
    found = pixels(examples, torch.arange(COUNT), torch.full((COUNT,), 8))
    for row in (0, 5):
        number = int(bits(3, examples.ids[row], 8, Stream.PHOTO)) % 2**64
        torch.manual_seed(number)
        random.seed(number)
        np.random.seed([number % 2**32, number // 2**32])
        made = recipe.transform(Image.fromarray(examples.images[row].permute(1, 2, 0).numpy()))
        values = made.numpy() if isinstance(made, torch.Tensor) else np.asarray(made).transpose(2, 0, 1)
        np.testing.assert_allclose(found[row].numpy(), values / 255, atol=1e-7)


def test_a_number_and_the_same_number_without_its_sign_are_one() -> None:
    draw = Replayable(lambda width: [torch.rand(width).tolist(), np.random.rand(width).tolist(), random.random()], meaning="draw/1")
    assert draw(2, -5) == draw(2, 2**64 - 5)
    assert draw(2, 5) != draw(2, -5)
    assert draw(2, 5) != draw(2, 5 + 2**32)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(6):
        folder = tmp_path / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        values = np.random.default_rng(index).integers(0, 256, (70 + 5 * index, 90, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{index}.png")
    return tmp_path


def load_photos(root: Path, recipe: Any, *, workers: int = 0) -> Examples:
    return data.load("image_folder", root=root, image_size=32, workers=workers, validation=0, augment=recipe).train


def test_a_photo_is_the_same_for_any_number_of_workers(photos: Path) -> None:
    recipe = Replayable(v2.Compose([v2.RandomResizedCrop(32), rand_augment_transform("rand-m9", {}), v2.ColorJitter(0.5)]), meaning="strong/2(m=9)")
    examples = load_photos(photos, recipe)
    positions = torch.arange(len(examples))
    whole = pixels(examples, positions, positions)
    for workers in (1, 2):
        found = pixels(load_photos(photos, recipe, workers=workers), positions.flip(0), positions.flip(0), 2)
        assert torch.equal(found, whole.flip(0))
    assert examples.transform == "strong/2(m=9) size=32x32 seed=0"


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_photos_are_mixed_alike_by_any_number_of_workers(photos: Path, kind: str) -> None:
    def load(workers: int) -> Examples:
        return data.load("image_folder", root=photos, image_size=32, workers=workers, validation=0, mix=kind, mix_alpha=0.9).train

    positions = torch.arange(len(load(0)))
    whole = pixels(load(0), positions, positions)
    assert not torch.equal(whole, pixels(load_photos(photos, "photo"), positions, positions))
    for workers in (1, 2):
        assert torch.equal(pixels(load(workers), positions.flip(0), positions.flip(0), 2), whole.flip(0))


def test_the_recipe_of_photos_is_what_torchvision_makes_with_its_generator_seeded(photos: Path) -> None:
    examples = load_photos(photos, "photo")
    (batch,) = examples.batches(torch.tensor([1]), batch_size=1, views=torch.tensor([7]))
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    torch.default_generator.manual_seed(int(bits(0, batch.ids[0], 7, Stream.PHOTO)))
    crop = v2.Compose([v2.RandomResizedCrop(32), v2.RandomHorizontalFlip(), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])
    assert torch.equal(batch.inputs[0], crop(Image.open(photos / paths[int(batch.ids)])))


def test_every_transform_is_told_in_words_that_hold_what_decides_a_pixel(photos: Path) -> None:
    small = augmented(MINE)
    words = {
        "numpy_noise/1 size=12x12 seed=3": small,
        "plain": small.augmented("none", seed=3),
        "shift/1(2) seed=3": small.augmented("jitter", seed=3),
        "shift/1(4) flip/1 seed=3": small.augmented("crop_flip", seed=3),
        "shift/1(4) flip/1 cutout/1(16) seed=3": small.augmented("crop_flip_cutout", seed=3),
        "resize_centre_crop/1 size=32x32": load_photos(photos, "none"),
        "random_resized_crop_flip/1 size=32x32 seed=0": load_photos(photos, "photo"),
    }
    for expected, examples in words.items():
        assert examples.transform == expected


def test_grey_pictures_stay_grey() -> None:
    seen = []
    recipe = Replayable(lambda picture: seen.append(picture.mode) or picture.convert("RGB"), meaning="same/1")
    grey = ImageExamples(torch.arange(50, dtype=torch.uint8).view(2, 1, 5, 5), torch.arange(2), torch.arange(2)).augmented(recipe, seed=0)
    found = pixels(grey, torch.arange(2), torch.arange(2))
    assert torch.equal((found * 255).round().byte(), grey.images)
    assert seen == ["L", "L"]


def test_a_recipe_of_ones_own_is_named_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "my_package", sys.modules[__name__])
    images, labels = augmented(MINE).images, torch.arange(COUNT) % 4
    found = data.from_tensors(images, labels, class_names="abcd", validation=0, augment="my_package:MINE", augment_seed=3)
    given = data.from_tensors(images, labels, class_names="abcd", validation=0, augment=MINE, augment_seed=3)
    assert torch.equal(pixels(found.train, torch.arange(5), torch.arange(5)), pixels(given.train, torch.arange(5), torch.arange(5)))
    assert found.describe().endswith("augmentation numpy_noise/1")
    assert data.load("digits", augment="my_package:MINE").train.transform == "numpy_noise/1 size=8x8 seed=0"
    for spelling, message in (("my_package:NOT_MINE", "not a Replayable"), ("my_package:nothing", "cannot be found"), ("no_such_one:x", "cannot be")):
        with pytest.raises(UsageError, match=message) as caught:
            data.from_tensors(images, labels, class_names="abcd", augment=spelling)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("meaning", ["", "mine", "mine/", "mine/v1", "my augment/1", "mine/1 ", "mine/1(a b)", None, 3])
def test_a_meaning_without_a_version_is_refused(meaning: Any) -> None:
    with pytest.raises(UsageError, match="no name with a version"):
        Replayable(v2.RandAugment(), meaning=meaning)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(UsageError, match="list cannot be"):
        Replayable([v2.RandAugment()], meaning="mine/1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("transform", "given"),
    [
        (v2.RandomResizedCrop(9), r"made torch.uint8 \(3, 9, 9\)"),
        (v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]), r"made torch.float32 \(3, 12, 12\)"),
        (np.asarray, "made ndarray"),
    ],
)
def test_a_transform_that_makes_something_else_is_refused(transform: Callable[[Any], Any], given: str) -> None:
    with pytest.raises(UsageError, match=f"mine/1 {given}(.|\n)*before any ToTensor"):
        pixels(augmented(Replayable(transform, meaning="mine/1")), torch.arange(2), torch.arange(2))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_worker_says_so_in_the_same_words(photos: Path, workers: int) -> None:
    examples = load_photos(photos, Replayable(v2.RandomResizedCrop(9), meaning="mine/1"), workers=workers)
    with pytest.raises(UsageError, match=r"^the augmentation mine/1 made torch.uint8 \(3, 9, 9\)"):
        pixels(examples, torch.arange(4), torch.arange(4), 2)


def test_pictures_of_two_channels_are_refused() -> None:
    odd = ImageExamples(torch.zeros(2, 2, 5, 5, dtype=torch.uint8), torch.arange(2), torch.arange(2)).augmented(MINE, seed=0)
    with pytest.raises(UsageError, match="2 channels"):
        pixels(odd, torch.arange(2), torch.arange(2))
