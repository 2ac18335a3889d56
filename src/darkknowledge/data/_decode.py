"""Encoded pictures (JPEG, PNG, …) and how they become pixels. Pillow decodes; whatever it meets becomes a `DataError` that names the picture."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Protocol

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from darkknowledge.errors import DataError

SMALL = 64
"""Pictures up to this height and width, all of one size, are decoded once and kept; others stream."""

MOST_PIXELS = 89_478_485
"""A picture that declares more (Pillow's own limit, 256 MiB of RGB) is refused before its pixels are unpacked."""

MOST_LOPSIDED = 100
"""How many times its shorter side the longer one of a picture may be: one row of pixels, brought to a usual height, would fill the memory."""

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is decoded, whatever a file calls itself. Pillow knows more, among them EPS, which it hands to Ghostscript to run."""


class Encoded(Protocol):
    """Encoded pictures, numbered from 0."""

    def __len__(self) -> int: ...

    def open(self, row: int) -> BinaryIO:
        """The bytes of one picture."""

    def where(self, row: int) -> str:
        """Where that picture lies, for messages."""

    def content(self) -> Iterable[bytes]:
        """What identifies the pictures, for a fingerprint."""


def decode(encoded: Encoded, row: int) -> Image.Image:
    """One picture, upright (a camera's orientation mark is obeyed), in whatever mode of 8 bits it was stored; grey of 16 bits is brought to 8.

    Raises:
        DataError: it cannot be opened or decoded, is absurdly large or long, or has grey values of 32 bits.
    """
    try:
        with encoded.open(row) as file, Image.open(file, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise Image.DecompressionBombError(f"it declares {picture.width}×{picture.height} pixels")
            if max(picture.size) > MOST_LOPSIDED * min(picture.size):
                raise Image.DecompressionBombError(f"it has {picture.width}×{picture.height} pixels")
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return _eight_bits(picture, where=encoded.where(row))
    except DataError:
        raise
    except Exception as error:  # each of Pillow's formats has errors of its own
        raise DataError(
            f"a picture cannot be decoded: {error}",
            where=encoded.where(row),
            why="it is damaged or is no picture",
            fix="restore the file or remove it from the data set",
        ) from error


def _eight_bits(picture: Image.Image, *, where: str) -> Image.Image:
    """``picture`` with values up to 255; Pillow itself would clip greater ones, and turn grey of 16 bits white."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM"):
        values = np.asarray(picture).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))  # 65,535 / 257 = 255
    if picture.mode in ("I", "F"):
        why = "which of them is white is not said"
        raise DataError("a picture has grey values of 32 bits", where=where, why=why, fix="save it with 8 or 16 bits")
    return picture


def decode_all(encoded: Encoded, *, size: int | None = None) -> Tensor | None:
    """All pictures as one tensor (N, C, H, W) uint8, or None where they are larger than `SMALL`, of several sizes, or not ``size`` × ``size``.

    Three channels; one if every picture is grey.

    Raises:
        DataError: a picture cannot be decoded.
    """
    first = decode(encoded, 0)
    if max(first.size) > SMALL or (size is not None and first.size != (size, size)):
        return None
    try:
        pictures = decode_as(encoded, (3, first.height, first.width))
    except _OtherSizeError:
        return None
    if first.mode in ("1", "L") and all(torch.equal(pictures[:, 0], pictures[:, channel]) for channel in (1, 2)):
        return pictures[:, :1].contiguous()
    return pictures


def decode_as(encoded: Encoded, shape: tuple[int, int, int]) -> Tensor:
    """All pictures (N, C, H, W) uint8, brought to C channels (1: grey, 3: RGB), whose size must be the given one.

    Raises:
        DataError: a picture cannot be decoded or has another size.
    """
    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    pictures = np.empty((len(encoded), height, width, channels), dtype=np.uint8)
    for row in range(len(encoded)):  # threads would wait for each other: Pillow holds the interpreter for most of so small a picture
        picture = decode(encoded, row)
        if picture.size != (width, height):
            raise _OtherSizeError(
                f"a picture has {picture.height}×{picture.width} pixels where the others have {height}×{width}",
                where=encoded.where(row),
                fix="bring all pictures to one size, or ask for one with data.image_size=…",
            )
        flat = picture if picture.mode == mode else picture.convert(mode)
        pictures[row] = np.frombuffer(flat.tobytes(), dtype=np.uint8).reshape(height, width, channels)
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


class _OtherSizeError(DataError):
    """Pictures of several sizes cannot make one tensor."""
