"""From a list of encoded pictures to a data set, in memory or streamed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.data._dataset import Source, channel_statistics, fingerprint, image_content
from darkknowledge.data._decode import Encoded, decode_all, decode_as
from darkknowledge.data._images import ImageExamples
from darkknowledge.data._photos import PhotoExamples
from darkknowledge.errors import UsageError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's training pictures (1,000 classes): what pretrained networks expect, and near enough to the photos of others."""

USUAL_SIZE = 224
MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Listing:
    """The encoded pictures of one split with their ids and labels, both (N,)."""

    encoded: Encoded
    ids: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """How encoded pictures are brought to the network.

    Args:
        image_size: height and width in pixels; None keeps small pictures of one size as they are and brings others to 224.
        workers: processes that decode large pictures; None takes one a core, at most eight. Batches do not depend on it.

    Raises:
        UsageError: a value out of range.
    """

    image_size: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        for name, least, most in (("image_size", 8, 4096), ("workers", 0, 256)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most):
                raise UsageError(f"{name} must be an integer from {least} to {most}, not {value!r}", where=name)


def encoded_source(name: str, listing: Listing, *, class_names: tuple[str, ...], open_test: Callable[[], Listing], options: PictureOptions) -> Source:
    """A data set of encoded pictures: kept in memory where they are small and of one size, else streamed.

    Raises:
        DataError: a picture cannot be decoded. (Streamed ones are met later.)
    """
    images = decode_all(listing.encoded, size=options.image_size)
    if images is None:
        return _streamed(name, listing, class_names, open_test, options)
    return _kept(name, ImageExamples(images, listing.ids, listing.labels), class_names, open_test)


def _kept(name: str, train: ImageExamples, class_names: tuple[str, ...], open_test: Callable[[], Listing]) -> Source:
    channels, height, width = train.images.shape[1:]

    def open_images() -> ImageExamples:
        test = open_test()
        return ImageExamples(decode_as(test.encoded, (channels, height, width)), test.ids, test.labels)

    mean, std = channel_statistics(train.images)
    return Source(
        name=name,
        train=train,
        open_test=open_images,
        class_names=class_names,
        input_shape=(channels, height, width),
        mean=mean,
        std=std,
        fingerprint=fingerprint(train.ids, train.labels, class_names, image_content(train.images)),
        augmentation="crop_flip" if channels == 3 else "jitter",
    )


def _streamed(name: str, listing: Listing, class_names: tuple[str, ...], open_test: Callable[[], Listing], options: PictureOptions) -> Source:
    size = options.image_size or USUAL_SIZE
    workers = min(MOST_WORKERS, os.cpu_count() or 1) if options.workers is None else options.workers

    def photos(part: Listing) -> PhotoExamples:
        return PhotoExamples(part.encoded, torch.arange(len(part.ids)), part.ids, part.labels, size, workers)

    return Source(
        name=name,
        train=photos(listing),
        open_test=lambda: photos(open_test()),
        class_names=class_names,
        input_shape=(3, size, size),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        fingerprint=fingerprint(listing.ids, listing.labels, class_names, listing.encoded.content()),
        augmentation="photo",
    )
