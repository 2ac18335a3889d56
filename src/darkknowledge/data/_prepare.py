"""Pictures of no data set, made into what a network is shown as the plain pictures of its data set were."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from torch import Tensor

from darkknowledge.contract import PLAIN
from darkknowledge.data._decode import decode
from darkknowledge.data._files import unreadable
from darkknowledge.data._photos import centre
from darkknowledge.data._replay import MODES, to_pixels
from darkknowledge.errors import UsageError


@dataclass(frozen=True, slots=True)
class Preparation:
    """From a file to the pixels (C, H, W) float32 in [0, 1] that a network of this ``input_shape`` is shown; ``transform`` names how.

    A picture of a data set's own size gets exactly the pixels that an evaluation sees. One of another size, which a data set of small pictures would
    refuse, is brought to it whole (bilinear, every pixel counted); of a photo the centre is taken, as ever.

    Raises:
        UsageError: there is no such transform, or the network sees something other than grey or RGB pictures.
    """

    input_shape: tuple[int, int, int]
    transform: str = PLAIN

    def __post_init__(self) -> None:
        channels, height, width = self.input_shape
        photo = f"resize_centre_crop/1 size={height}x{height}", (3, height)
        if self.transform != PLAIN and (self.transform, (channels, width)) != photo:  # as `PhotoExamples.transform` says it
            raise UsageError(f"pictures are made by {self.transform!r}, which is unknown here", fix="use a newer darkknowledge")
        if channels not in MODES:
            raise UsageError(f"the network sees {channels} channels, and a picture has one or three", fix="give rows of numbers: input=….csv")

    def __call__(self, path: Path) -> Tensor:
        """The pixels of the picture in a file.

        Raises:
            DataError: it cannot be read or decoded.
        """
        picture = decode(_File(path), 0)
        channels, height, width = self.input_shape
        if self.transform == PLAIN:
            shown = picture.convert(MODES[channels])
            shown = shown if shown.size == (width, height) else shown.resize((width, height), Image.Resampling.BILINEAR)
        else:
            shown = centre(height)(picture.convert("RGB"))
        return to_pixels(shown, channels).float().mul_(1 / 255)


@dataclass(frozen=True, slots=True)
class _File:
    """One picture in a file of its own."""

    path: Path

    def __len__(self) -> int:
        return 1

    def open(self, row: int) -> BinaryIO:
        try:
            # Without waiting, as one that is a pipe would have us do for its writer.
            return os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise unreadable(self.path, error) from error

    def where(self, row: int) -> str:
        return str(self.path)

    def content(self) -> list[bytes]:
        return []
