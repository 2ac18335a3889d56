"""A data set as a run sees it, and how it is made from what a file reader found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Examples
from darkknowledge.data._mix import Mixed, chosen_alpha
from darkknowledge.data._pictures import Pictures
from darkknowledge.data._replay import Replayable, find_recipe
from darkknowledge.data._split import Split, divide


def _needs_no_file() -> None:
    """`Dataset.require_test` of a test set that needs no file of its own."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A classification task: pictures to train on, pictures to choose by, and a sealed test set.

    ``open_test()`` reads the test set; before that call no test file is opened. ``require_test()`` looks whether its files are there, reads none,
    and raises the `DataError` of ``open_test()`` if not. Validation and test always show plain pictures and all labels.

    ``mean`` and ``std`` are of pixels in [0, 1], one value a channel: what a network made for this data set normalises by. They are those of the
    training pictures, except for pictures that are streamed, which get ImageNet's. ``fingerprint`` is a SHA-256 over the whole training set (ids,
    labels, content) and the class names, the same for every split of it. In an image folder that is streamed, paths and sizes of the files stand for
    their content.
    """

    name: str
    train: Examples
    validation: Examples
    open_test: Callable[[], Examples]
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    augmentation: str = "none"
    require_test: Callable[[], None] = _needs_no_file

    @property
    def varies(self) -> bool:
        """Whether the views of a training picture differ from each other."""
        return self.augmentation != "none"

    def describe(self) -> str:
        """The data set in one line of text."""
        labelled = int((self.train.labels != IGNORED).sum())
        hidden = "" if labelled == len(self.train) else f" ({labelled:,} labelled)"
        shape = "×".join(map(str, self.input_shape))
        return (
            f"{self.name}: {len(self.train):,} training{hidden} and {len(self.validation):,} validation pictures of {shape}"
            f" in {len(self.class_names)} classes, augmentation {self.augmentation}"
        )


@dataclass(frozen=True, slots=True)
class Source:
    """What a file reader found: the whole training set, the way to the test set, and ``augmentation``, the recipe usual for these pictures.

    A test set that lies in files needs ``require_test`` too; see `Dataset`.
    """

    name: str
    train: Pictures
    open_test: Callable[[], Examples]
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    augmentation: str = "none"
    require_test: Callable[[], None] = _needs_no_file


class ViewOptions(TypedDict, total=False):
    """What the training views show; `darkknowledge.data.load` says what each means."""

    augment: str | Replayable | None
    augment_seed: int
    mix: str | None
    mix_alpha: float | None


def assemble(
    source: Source,
    split: Split,
    *,
    augment: str | Replayable | None = None,
    augment_seed: int = 0,
    mix: str | None = None,
    mix_alpha: float | None = None,
) -> Dataset:
    """The data set that ``split`` leaves of ``source``, with the recipe ``augment`` or the source's own, mixed as ``mix`` says.

    Raises:
        UsageError: an unknown class, recipe or way of mixing, or nothing left to train on.
    """
    alpha = chosen_alpha(mix, mix_alpha)
    recipe = source.augmentation if augment is None else augment
    if isinstance(recipe, str) and ":" in recipe:
        recipe = find_recipe(recipe)
    pictures = source.train
    parts = divide(pictures.ids, pictures.labels, source.class_names, split)
    train = pictures.select(parts.train, labels=parts.train_labels).augmented(recipe, seed=augment_seed)
    return Dataset(
        name=source.name,
        train=train if mix is None else Mixed(train, mix, alpha=alpha, classes=len(source.class_names), seed=augment_seed),
        validation=pictures.select(parts.validation, labels=pictures.labels[parts.validation]),
        open_test=source.open_test,
        class_names=source.class_names,
        input_shape=source.input_shape,
        mean=source.mean,
        std=source.std,
        fingerprint=source.fingerprint,
        augmentation=_told(recipe, "" if mix is None else f"{mix}(alpha={alpha})"),
        require_test=source.require_test,
    )


def _told(recipe: str | Replayable, mixing: str) -> str:
    """What the training views show, in a few words."""
    name = recipe.meaning if isinstance(recipe, Replayable) else recipe
    return " and ".join(part for part in (name if name != "none" or not mixing else "", mixing) if part)


def fingerprint(ids: Tensor, labels: Tensor, class_names: Sequence[str], content: Iterable[bytes | memoryview]) -> str:
    """Hexadecimal SHA-256 of a training set. ``content`` is the pictures' bytes in any pieces."""
    digest = hashlib.sha256(json.dumps([len(ids), list(class_names)]).encode())
    for part in (ids, labels):
        digest.update(part.numpy().tobytes())
    for piece in content:
        digest.update(piece)
    return digest.hexdigest()


def image_content(images: Tensor) -> list[bytes | memoryview]:
    """The bytes of a uint8 tensor for `fingerprint`, its shape first."""
    return [json.dumps(list(images.shape)).encode(), images.contiguous().numpy().data]


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of ``images`` (N, C, H, W) uint8, scaled to [0, 1].

    A constant channel gets the standard deviation 1, so that normalising it gives zeros and not infinities.
    """
    total = torch.zeros(images.shape[1], dtype=torch.int64)
    squares = torch.zeros_like(total)
    for start in range(0, len(images), 1024):
        values = images[start : start + 1024].int()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    count = images.numel() / images.shape[1]
    mean = total / count / 255
    deviation = (squares / count / 255**2 - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(torch.where(deviation > 1e-6, deviation, 1.0).tolist())
