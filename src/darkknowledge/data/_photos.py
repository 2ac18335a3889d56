"""Large pictures: decoded, augmented and scaled by the processes of a DataLoader while the network computes.

This is the one file of the room that knows torchvision; its transforms are imported when photos are met.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from darkknowledge.contract import Batch
from darkknowledge.data._decode import Encoded, decode
from darkknowledge.data._replay import Replayable, to_pixels
from darkknowledge.errors import DarkKnowledgeError, UsageError, close_match
from darkknowledge.randomness import Stream, bits

RECIPES = ("none", "photo")
GRACE = 10
"""Seconds that a worker lives on after a signal: as long as a stop may take."""
SHOWN = 0.875
"""Share of the shorter side that a plain view keeps: 224 of 256 pixels, the custom of ImageNet."""


@dataclass(frozen=True, slots=True)
class PhotoExamples:
    """Examples that are decoded when a batch is made, to RGB of ``image_size`` × ``image_size``.

    A plain view is the centre of the picture. An augmented one is what a `Replayable` makes of the whole picture and a hash of (seed, id, view), so
    neither batches nor workers change it. The recipe ``photo`` takes a random part of 8 to 100 % of the area, mirrored with probability 1/2.
    """

    encoded: Encoded
    rows: Tensor
    ids: Tensor
    labels: Tensor
    image_size: int
    workers: int
    augmentation: Replayable | None = None
    seed: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> PhotoExamples:
        """These examples themselves: pictures are decoded in main memory, and batches travel."""
        return self

    @property
    def transform(self) -> str:
        """What a view shows; see `contract.Examples`. The plain picture of a photo depends on its size too."""
        if self.augmentation is None:
            return f"resize_centre_crop/1 size={self.image_size}x{self.image_size}"
        return self.augmentation.described(height=self.image_size, width=self.image_size, seed=self.seed)

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        """Batches of the examples at ``positions``; see `contract.Examples`.

        Raises:
            DataError: a picture cannot be decoded; names its path.
            UsageError: an augmentation of one's own gave no picture of the right size.
        """
        positions = positions.cpu()
        shown = _Views(self, centre(self.image_size), None if views is None else self.augmentation)
        numbers = torch.zeros_like(positions) if views is None else views.cpu()
        starts = range(0, len(positions), batch_size)
        chunks = [(positions[start : start + batch_size], numbers[start : start + batch_size]) for start in starts]
        loader: DataLoader[Any] = DataLoader(
            cast(Any, shown),
            batch_sampler=[list(zip(chunk.tolist(), chosen.tolist(), strict=True)) for chunk, chosen in chunks],
            collate_fn=_collate,
            num_workers=min(self.workers, len(chunks)),
            worker_init_fn=_outlive_signals,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else the loader would draw its base seed from the run's own generator
        )
        for made, (chunk, chosen) in zip(loader, chunks, strict=True):
            if isinstance(made, DarkKnowledgeError):
                raise made
            yield Batch(self.ids[chunk], made, self.labels[chunk], None if views is None else chosen)

    def select(self, positions: Tensor, *, labels: Tensor) -> PhotoExamples:
        """The examples at ``positions`` alone, with these ``labels``."""
        return replace(self, rows=self.rows[positions], ids=self.ids[positions], labels=labels)

    def augmented(self, recipe: str | Replayable, *, seed: int) -> PhotoExamples:
        """The same examples whose views follow the recipe, one of `RECIPES` by name or one of your own.

        Raises:
            UsageError: there is no such recipe for photos.
        """
        if isinstance(recipe, Replayable):
            return replace(self, augmentation=recipe, seed=seed)
        if recipe not in RECIPES:
            raise UsageError(f"there is no augmentation {recipe!r} for photos", where="augment", fix=close_match(recipe, RECIPES))
        return replace(self, augmentation=None if recipe == "none" else _photo(self.image_size), seed=seed)


@dataclass(frozen=True, slots=True)
class _Views:
    """What a worker holds: the pictures, and what to make of them."""

    examples: PhotoExamples
    plain: Callable[[Any], Any]
    augmentation: Replayable | None

    def __getitem__(self, item: tuple[int, int]) -> Tensor | DarkKnowledgeError:
        position, view = item
        # An exception would reach the main process wrapped in the worker's traceback, so the error travels as a value.
        try:
            picture = decode(self.examples.encoded, int(self.examples.rows[position])).convert("RGB")
            if self.augmentation is None:
                return to_pixels(self.plain(picture), 3)
            number = int(bits(self.examples.seed, self.examples.ids[position], view, Stream.PHOTO))
            return self.augmentation.view(picture, number, shape=(3, self.examples.image_size, self.examples.image_size))
        except DarkKnowledgeError as error:
            return error


def _outlive_signals(worker: int) -> None:
    """A terminal or a scheduler signals to all processes at once, and the main one, which saves the state, still needs this batch.

    Not for ever: where a traceback still holds the loader, the main process ends its workers by such a signal, and waits for them.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: signal.alarm(signal.alarm(0) or GRACE))


def _collate(items: Sequence[Tensor | DarkKnowledgeError]) -> Tensor | DarkKnowledgeError:
    tensors = []
    for item in items:
        if isinstance(item, DarkKnowledgeError):
            return item
        tensors.append(item)
    return torch.stack(tensors).float().mul_(1 / 255)


def centre(size: int) -> Callable[[Any], Any]:
    """The plain view of a Pillow picture."""
    from torchvision.transforms import v2

    return cast(Callable[[Any], Any], v2.Compose([v2.Resize(round(size / SHOWN)), v2.CenterCrop(size)]))


def _photo(size: int) -> Replayable:
    """A part of 8 to 100 % of the area, of an aspect between 3:4 and 4:3, mirrored with probability 1/2.

    Source: Szegedy et al. (2015), "Going deeper with convolutions", section 6.
    """
    from torchvision.transforms import v2

    return Replayable(v2.Compose([v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()]), meaning="random_resized_crop_flip/1")
