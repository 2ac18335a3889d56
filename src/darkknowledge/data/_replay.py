"""Anybody's transform of one picture, made a function of that picture and a number."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from darkknowledge.data._plugin import imported
from darkknowledge.errors import UsageError
from darkknowledge.randomness import Stream, bits

MEANING = re.compile(r"[\w.-]+/\d+(\([^()\s]*\))?")
WORD = (1 << 64) - 1
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, slots=True)
class Replayable:
    """A transform whose random numbers follow from a number, as those of torchvision (v2) and timm can.

    Such transforms draw from the global generators of PyTorch, Python and NumPy. All three are seeded with the number while the transform works,
    and afterwards are as they were. One that has a generator of its own, or counts its calls, cannot be replayed.

    Args:
        transform: called with one picture. Of a data set it gets a Pillow picture, RGB or grey, and gives back a Pillow picture or a uint8 tensor
            (C, H, W) of the size that the data set has: photos come as large as they are and leave with ``image_size``. Scaling to [0, 1] and
            normalising are not its business. Where worker processes are spawned and not forked it must survive a copy, which a lambda does not.
        meaning: what it does, as ``name/version``, perhaps with ``(options)``. Change the version with anything that changes a pixel: recorded
            answers of a teacher are paired with pictures by these words.

    Raises:
        UsageError: the transform cannot be called, or the meaning has no version.

    >>> noisy = Replayable(lambda picture: picture + torch.rand(2), meaning="noise/1")
    >>> noisy(torch.zeros(2), 7), noisy(torch.zeros(2), 7)
    (tensor([0.5349, 0.1988]), tensor([0.5349, 0.1988]))
    """

    transform: Callable[[Any], Any]
    meaning: str

    def __post_init__(self) -> None:
        if not callable(self.transform):
            raise UsageError(f"a transform is called with a picture, and {type(self.transform).__name__} cannot be", where="transform")
        if not MEANING.fullmatch(str(self.meaning)):
            raise UsageError(
                f"meaning={self.meaning!r} is no name with a version",
                where="meaning",
                why="a teacher's recorded answers are refused where the pictures have changed, and only the version says so",
                fix="write one such as 'my_augment/1' or 'my_augment/2(strength=9)', without spaces",
            )

    def __call__(self, picture: Any, number: int) -> Any:
        """The view of ``picture`` that belongs to ``number``, of which 64 bits count."""
        with _seeded(number & WORD):
            return self.transform(picture)

    def described(self, *, height: int, width: int, seed: int) -> str:
        """What decides a view beside the picture, its id and the view's number, in words."""
        return f"{self.meaning} size={height}x{width} seed={seed}"

    def view(self, picture: Image.Image, number: int, *, shape: tuple[int, int, int]) -> Tensor:
        """The view as uint8 of ``shape`` (C, H, W).

        Raises:
            UsageError: the transform gave something else.
        """
        made = self(picture, number)
        pixels = to_pixels(made, shape[0]) if isinstance(made, Image.Image) else made
        if isinstance(pixels, Tensor) and pixels.dtype == torch.uint8 and pixels.shape == shape:
            return pixels.as_subclass(Tensor)
        given = f"{pixels.dtype} {tuple(pixels.shape)}" if isinstance(pixels, Tensor) else type(pixels).__name__
        raise UsageError(
            f"the augmentation {self.meaning} made {given} of a picture, and uint8 {shape} is needed",
            where="augment",
            fix="let it end with a picture of that size, before any ToTensor, ToDtype or Normalize: networks scale and normalise themselves",
        )


@dataclass(frozen=True, slots=True)
class OneByOne:
    """A `Replayable` for a whole batch of small pictures in memory, each of them a Pillow picture for a while."""

    recipe: Replayable
    height: int
    width: int

    def meaning(self, *, seed: int) -> str:
        """The recipe, the size and the seed in words."""
        return self.recipe.described(height=self.height, width=self.width, seed=seed)

    def __call__(self, pictures: Tensor, *, seed: int, ids: Tensor, views: Tensor | int) -> Tensor:
        """The views numbered ``views`` of ``pictures`` (B, C, H, W) uint8 with these ``ids`` (B,), where they lie."""
        numbers = bits(seed, ids, views, Stream.PHOTO).tolist()
        made = [self._view(picture, number) for picture, number in zip(pictures.cpu(), numbers, strict=True)]
        return torch.stack(made).to(pictures.device)

    def _view(self, picture: Tensor, number: int) -> Tensor:
        channels, height, width = picture.shape
        return self.recipe.view(to_picture(picture), number, shape=(channels, height, width))


def to_pixels(picture: Image.Image, channels: int) -> Tensor:
    """A Pillow picture as uint8 (C, H, W)."""
    flat = picture if picture.mode == MODES[channels] else picture.convert(MODES[channels])
    return torch.from_numpy(np.array(flat)).view(flat.height, flat.width, channels).permute(2, 0, 1).contiguous()


def to_picture(pixels: Tensor) -> Image.Image:
    """Pixels (C, H, W) uint8 as a Pillow picture.

    Raises:
        UsageError: they have other than one or three channels.
    """
    if len(pixels) not in MODES:
        what = f"pictures of {len(pixels)} channels cannot become Pillow pictures"
        raise UsageError(what, where="augment", why="a transform of single pictures gets one", fix="choose a recipe by name")
    values = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(values[:, :, 0] if len(pixels) == 1 else values))


def find_recipe(spelling: str) -> Replayable:
    """The `Replayable` that ``package.module:name`` spells.

    Raises:
        UsageError: there is none, or it is something else.
    """
    found = imported(spelling, what="augmentation", where="augment")
    if not isinstance(found, Replayable):
        fix = 'make it one: name = darkknowledge.data.Replayable(transform, meaning="name/1")'
        raise UsageError(f"{spelling} is {type(found).__name__} and not a Replayable", where="augment", fix=fix)
    return found


@contextmanager
def _seeded(word: int) -> Iterator[None]:
    """The three global generators, seeded with a word of 64 bits, and restored."""
    ours, theirs = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(word)
        random.seed(word)
        np.random.seed([word & 0xFFFFFFFF, word >> 32])
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(theirs)
