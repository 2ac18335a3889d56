"""Small runs: networks, recipes and files that take no time."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

TEACHER = {"name": "hinton_mlp", "hidden": [32]}
STUDENT = {"name": "hinton_mlp", "hidden": [8], "input_dropout": 0.1}
STEPS = {"epochs": 2, "batch_size": 64, "learning_rate": 0.05, "threads": 1, "precision": "fp32"}
LOGGING = {"progress": False}
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write_mnist(folder: Path, *, shift: int = 0) -> None:
    """Ten shades of grey with noise: 300 training and 100 test pictures of 6×6 in the format of MNIST."""
    random = np.random.default_rng(0)
    labels = np.arange(400) % 10
    images = 20 * labels[:, None, None] + random.integers(0, 20, (400, 6, 6)) + shift
    for name, part in (("train", slice(0, 300)), ("t10k", slice(300, 400))):
        write_idx(folder / f"{name}-images-idx3-ubyte", images[part])
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels[part])


def write_idx(path: Path, values: np.ndarray) -> None:
    """One IDX file of unsigned bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(header + values.astype(np.uint8).tobytes())
