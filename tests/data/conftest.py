"""Small data sets made on the spot, and the way to the real ones."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from darkknowledge.contract import Batch, Examples

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data: {REAL_DATA} does not exist")
    return REAL_DATA


@pytest.fixture
def everything() -> Callable[..., Batch]:
    """All examples of a split as one batch."""

    def gather(examples: Examples, *, view: int | None = None) -> Batch:
        positions = torch.arange(len(examples))
        views = None if view is None else torch.full_like(positions, view)
        return next(iter(examples.batches(positions, batch_size=len(examples), views=views)))

    return gather


@pytest.fixture
def write_idx() -> Callable[..., Path]:
    def write(path: Path, values: np.ndarray) -> Path:
        header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
        content = header + values.astype(np.uint8).tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return path

    return write


@pytest.fixture
def write_mnist(write_idx: Callable[..., Path]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Forty training and twenty test pictures of 6×5 in ten classes; returns the training pictures and labels."""

    def write(folder: Path, *, suffix: str = "") -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(0)
        images, labels = random.integers(0, 256, (60, 6, 5)), np.arange(60) % 10
        write_idx(folder / f"train-images-idx3-ubyte{suffix}", images[:40])
        write_idx(folder / f"train-labels-idx1-ubyte{suffix}", labels[:40])
        write_idx(folder / f"t10k-images-idx3-ubyte{suffix}", images[40:])
        write_idx(folder / f"t10k-labels-idx1-ubyte{suffix}", labels[40:])
        return images[:40], labels[:40]

    return write


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """A picture as bytes: ``pixels`` (H, W) or (H, W, 3) in a file format."""

    def to_bytes(pixels: np.ndarray, kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(file, kind)
        return file.getvalue()

    return to_bytes
