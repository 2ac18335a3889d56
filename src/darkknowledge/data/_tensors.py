"""A data set made from tensors that are already in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.data._checks import check_class_names, check_labels, no_test
from darkknowledge.data._dataset import Dataset, Source, assemble, channel_statistics, fingerprint, image_content
from darkknowledge.data._images import ImageExamples
from darkknowledge.data._replay import Replayable
from darkknowledge.data._split import Split, SplitOptions
from darkknowledge.errors import DataError, UsageError, close_match


def from_tensors(
    train_images: Tensor,
    train_labels: Tensor,
    test_images: Tensor | None = None,
    test_labels: Tensor | None = None,
    *,
    class_names: Sequence[str],
    name: str = "tensors",
    augment: str | Replayable | None = None,
    augment_seed: int = 0,
    mix: str | None = None,
    mix_alpha: float | None = None,
    **split: Unpack[SplitOptions],
) -> Dataset:
    """A data set of your own pictures.

    Args:
        train_images: (N, C, H, W) or (N, H, W) uint8.
        train_labels: (N,) integers; `IGNORED` (−100) where the class is unknown.
        test_images: the test set, likewise, all labelled; without it ``open_test()`` and ``require_test()`` fail.
        test_labels: (M,) integers.
        class_names: the class of label 0, 1, …
        name: what reports call it.
        augment: the recipe of the training views, by default ``none``; this and the next three as for `load`.
        augment_seed: seed of those views.
        mix: how they are mixed.
        mix_alpha: in what shares.
        split: validation, split_seed, fraction, labelled, classes, without, hide_labels, as for `Split`.

    Raises:
        DataError: shapes, dtypes or labels that do not fit; the first is named.
        UsageError: an option unknown or out of range.
    """
    for option in split:
        if option not in SplitOptions.__annotations__:
            raise UsageError(f"from_tensors has no option {option!r}", where=option, fix=close_match(option, SplitOptions.__annotations__))
    names = tuple(class_names)
    check_class_names(names, where="class_names")
    train = _examples(train_images, train_labels, "train", first_id=0)
    check_labels(train.labels.where(train.labels != IGNORED, 0), len(names), first_id=0, where="train_labels")
    test = None if test_images is None else _test(test_images, test_labels, train, names)

    def open_test() -> ImageExamples:
        if test is None:
            raise no_test(name, where="from_tensors", fix="give test_images and test_labels")
        return test

    def require_test() -> None:
        open_test()

    mean, std = channel_statistics(train.images)
    channels, height, width = train.images.shape[1:]
    digest = fingerprint(train.ids, train.labels, names, image_content(train.images))
    source = Source(name, train, open_test, names, (channels, height, width), mean, std, digest, require_test=require_test)
    return assemble(source, Split(**split), augment=augment, augment_seed=augment_seed, mix=mix, mix_alpha=mix_alpha)


def _test(images: Tensor, labels: Tensor | None, train: ImageExamples, names: tuple[str, ...]) -> ImageExamples:
    if labels is None:
        raise DataError("test_images came without test_labels", where="from_tensors", fix="give both or neither")
    test = _examples(images, labels, "test", first_id=len(train))
    check_labels(test.labels, len(names), first_id=len(train), where="test_labels")
    if test.images.shape[1:] != train.images.shape[1:]:
        what = f"the test pictures are {_shape(test.images[0])}, the training pictures {_shape(train.images[0])}"
        raise DataError(what, where="test_images", fix="bring them to one size")
    return test


def _examples(images: Tensor, labels: Tensor, part: str, *, first_id: int) -> ImageExamples:
    if images.dtype != torch.uint8:
        fix = "scale values in [0, 1] by (255 * images).round().byte()"
        raise DataError(f"{part}_images are {images.dtype} and must be uint8", where=f"{part}_images", fix=fix)
    if images.ndim not in (3, 4) or not images.numel():
        raise DataError(f"{part}_images have the shape {_shape(images)} and must be (N, C, H, W) or (N, H, W)", where=f"{part}_images")
    if images.ndim == 4 and images.shape[3] <= 4 < min(images.shape[1:3]):
        what = f"{part}_images have the shape {_shape(images)}: their channels seem to come last, and must come second"
        raise DataError(what, where=f"{part}_images", fix="give images.permute(0, 3, 1, 2)")
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        what = f"{part}_labels are {labels.dtype} of shape {_shape(labels)} for {len(images)} pictures"
        raise DataError(what, where=f"{part}_labels", fix="give one integer a picture")
    pictures = images if images.ndim == 4 else images[:, None]
    return ImageExamples(pictures.cpu(), torch.arange(first_id, first_id + len(labels)), labels.cpu().long())


def _shape(tensor: Tensor) -> str:
    return "(" + ", ".join(map(str, tensor.shape)) + ")"
