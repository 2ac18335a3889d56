"""A picture of a data set as the bytes of a PNG file, and as a thumbnail in a page."""

from __future__ import annotations

import base64
import io

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

LARGEST = 96
"""Pixels of a thumbnail's longer side; larger pictures are scaled down to it."""


def as_png(picture: Tensor) -> bytes:
    """A picture (C, H, W) of floats in [0, 1], with one channel or three, as a PNG of the same size."""
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    rows = pixels[0] if len(pixels) == 1 else pixels[:3].permute(1, 2, 0).contiguous()
    file = io.BytesIO()
    Image.fromarray(rows.numpy()).save(file, "PNG", optimize=True)
    return file.getvalue()


def thumbnail(picture: Tensor) -> Tensor:
    """A picture (C, H, W) in [0, 1] as uint8, at most `LARGEST` pixels wide and high."""
    longer = max(picture.shape[1:])
    if longer > LARGEST:
        size = [max(1, round(side * LARGEST / longer)) for side in picture.shape[1:]]
        picture = interpolate(picture[None], size, mode="bilinear", antialias=True)[0]
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def data_uri(picture: Tensor) -> str | None:
    """A thumbnail (1 or 3, H, W) as the source of an image; None for anything else."""
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or picture.dtype != torch.uint8 or not picture.numel():
        return None
    return f"data:image/png;base64,{base64.b64encode(as_png(picture / 255)).decode()}"
