"""Large pictures: decoded, augmented and scaled by the processes of a DataLoader while the network computes.

This is the one file of the room that knows torchvision; its transforms are imported when the first batch is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from darkknowledge.contract import Batch
from darkknowledge.data._decode import Encoded, decode
from darkknowledge.errors import DataError, UsageError, close_match
from darkknowledge.randomness import Stream, bits

RECIPES = ("none", "photo")
SHOWN = 0.875
"""Share of the shorter side that a plain view keeps: 224 of 256 pixels, the custom of ImageNet."""


@dataclass(frozen=True, slots=True)
class PhotoExamples:
    """Examples that are decoded when a batch is made, to RGB of ``image_size`` × ``image_size``.

    A plain view is the centre of the picture. An augmented one (``photo``) is a random part of 8 to 100 % of the area, mirrored with probability
    1/2; its random numbers are seeded with a hash of (seed, id, view), so neither batches nor workers change it.
    """

    encoded: Encoded
    rows: Tensor
    ids: Tensor
    labels: Tensor
    image_size: int
    workers: int
    augmentation: str = "none"
    seed: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> PhotoExamples:
        """These examples themselves: pictures are decoded in main memory, and batches travel."""
        return self

    @property
    def transform(self) -> str:
        """What a view shows; see `contract.Examples`. The plain picture of a photo depends on its size too."""
        plain = f"resize_centre_crop/1({self.image_size})"
        return plain if self.augmentation == "none" else f"random_resized_crop_flip/1({self.image_size}) seed={self.seed}"

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        """Batches of the examples at ``positions``; see `contract.Examples`.

        Raises:
            DataError: a picture cannot be decoded; names its path.
        """
        positions = positions.cpu()
        augmented = self.augmentation != "none" and views is not None
        shown = _Views(self, _transform(self.image_size, augmented=augmented), augmented)
        numbers = torch.zeros_like(positions) if views is None else views.cpu()
        starts = range(0, len(positions), batch_size)
        chunks = [(positions[start : start + batch_size], numbers[start : start + batch_size]) for start in starts]
        loader: DataLoader[Any] = DataLoader(
            cast(Any, shown),
            batch_sampler=[list(zip(chunk.tolist(), chosen.tolist(), strict=True)) for chunk, chosen in chunks],
            collate_fn=_collate,
            num_workers=min(self.workers, len(chunks)),
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # else the loader would draw its base seed from the run's own generator
        )
        for made, (chunk, chosen) in zip(loader, chunks, strict=True):
            if isinstance(made, DataError):
                raise made
            yield Batch(self.ids[chunk], made, self.labels[chunk], None if views is None else chosen)

    def select(self, positions: Tensor, *, labels: Tensor) -> PhotoExamples:
        """The examples at ``positions`` alone, with these ``labels``."""
        return replace(self, rows=self.rows[positions], ids=self.ids[positions], labels=labels)

    def augmented(self, name: str, *, seed: int) -> PhotoExamples:
        """The same examples whose views follow the recipe ``name``.

        Raises:
            UsageError: there is no such recipe for photos.
        """
        if name not in RECIPES:
            raise UsageError(f"there is no augmentation {name!r} for photos", where="augment", fix=close_match(name, RECIPES))
        return replace(self, augmentation=name, seed=seed)


@dataclass(frozen=True, slots=True)
class _Views:
    """What a worker holds: the pictures, and what to make of them."""

    examples: PhotoExamples
    transform: Callable[[Any], Tensor]
    augmented: bool

    def __getitem__(self, item: tuple[int, int]) -> Tensor | DataError:
        position, view = item
        # An exception would reach the main process wrapped in the worker's traceback, so the error travels as a value.
        try:
            picture = decode(self.examples.encoded, int(self.examples.rows[position])).convert("RGB")
        except DataError as error:
            return error
        if not self.augmented:
            return self.transform(picture)
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator
            torch.default_generator.manual_seed(int(bits(self.examples.seed, self.examples.ids[position], view, Stream.PHOTO)))
            return self.transform(picture)


def _collate(items: Sequence[Tensor | DataError]) -> Tensor | DataError:
    tensors = []
    for item in items:
        if isinstance(item, DataError):
            return item
        tensors.append(item)
    return torch.stack(tensors)


def _transform(size: int, *, augmented: bool) -> Callable[[Any], Tensor]:
    from torchvision.transforms import v2

    plain = (v2.Resize(round(size / SHOWN)), v2.CenterCrop(size))
    random = (v2.RandomResizedCrop(size), v2.RandomHorizontalFlip())
    return cast(Callable[[Any], Tensor], v2.Compose([*(random if augmented else plain), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]))
