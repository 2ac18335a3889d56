"""Small pictures as data of a page."""

from __future__ import annotations

import base64
import struct
import zlib

import torch
from torch import Tensor
from torch.nn.functional import interpolate

LARGEST = 96
"""Pixels of a thumbnail's longer side; larger pictures are scaled down to it."""
GREY, COLOUR = 0, 2
"""Types of a PNG."""


def thumbnail(picture: Tensor) -> Tensor:
    """A picture (C, H, W) in [0, 1] as uint8, at most `LARGEST` pixels wide and high."""
    longer = max(picture.shape[1:])
    if longer > LARGEST:
        size = [max(1, round(side * LARGEST / longer)) for side in picture.shape[1:]]
        picture = interpolate(picture[None], size, mode="bilinear", antialias=True)[0]
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def data_uri(picture: Tensor) -> str | None:
    """A picture (1 or 3, H, W) uint8 as the source of an image; None for anything else."""
    if picture.ndim != 3 or picture.shape[0] not in (1, 3) or picture.dtype != torch.uint8 or not picture.numel():
        return None
    channels, height, width = picture.shape
    rows = picture.permute(1, 2, 0).reshape(height, width * channels)
    # Each row begins with the number of its filter, 0 for none.
    raw = torch.cat([torch.zeros(height, 1, dtype=torch.uint8), rows], dim=1).numpy().tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR if channels == 3 else GREY, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
