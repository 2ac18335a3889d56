"""A picture of a data set as the bytes of a PNG file."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor


def as_png(picture: Tensor) -> bytes:
    """A picture (C, H, W) of floats in [0, 1], with one channel or three, as a PNG of the same size."""
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8)
    rows = pixels[0] if len(pixels) == 1 else pixels[:3].permute(1, 2, 0).contiguous()
    file = io.BytesIO()
    Image.fromarray(rows.numpy()).save(file, "PNG", optimize=True)
    return file.getvalue()
