"""Fashion-MNIST: 60,000 + 10,000 pieces of clothing of 28×28 grey pixels.

Source: Xiao, Rasul & Vollgraf (2017), "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms".
"""

from __future__ import annotations

from pathlib import Path

from darkknowledge.data._dataset import Source
from darkknowledge.data._idx import Family, archives

FAMILY = Family(
    name="fashion_mnist",
    folder="FashionMNIST/raw",
    class_names=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    mean=0.2860,
    std=0.3530,
    augmentation="crop_flip",
    archives=archives(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        (
            ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
            ("25c81989df183df01b3e8a0aad5dffbe", 29_515),
            ("bef4ecab320f06d8554ea6380940ec79", 4_422_102),
            ("bb300cfdad3c16e7a12a480ee83cd310", 5_148),
        ),
    ),
)


def fashion_mnist(*, root: Path, download: bool) -> Source:
    """Fashion-MNIST from ``root/FashionMNIST/raw`` or from ``root`` itself; files and ids as those of MNIST."""
    return FAMILY.source(root, download=download)
