"""CIFAR-10: 50,000 + 10,000 colour pictures of 32×32 in ten classes.

Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images".
"""

from __future__ import annotations

from pathlib import Path

from darkknowledge.data._cifar import Family
from darkknowledge.data._dataset import Source
from darkknowledge.data._download import RemoteFile

FAMILY = Family(
    name="cifar10",
    archive=RemoteFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171, ("https://www.cs.toronto.edu/~kriz/",)),
    folder="cifar-10-batches-bin",
    train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test_files=("test_batch.bin",),
    label_bytes=1,
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)


def cifar10(*, root: Path, download: bool) -> Source:
    """CIFAR-10 from ``root/cifar-10-binary.tar.gz``, or from the files extracted of it. Ids count through the five training files, then test."""
    return FAMILY.source(root, download=download)
