"""MNIST: 60,000 + 10,000 handwritten digits of 28×28 grey pixels.

Source: LeCun, Bottou, Bengio & Haffner (1998), "Gradient-based learning applied to document recognition".
"""

from __future__ import annotations

from pathlib import Path

from darkknowledge.data._dataset import Source
from darkknowledge.data._idx import Family, archives

FAMILY = Family(
    name="mnist",
    folder="MNIST/raw",
    class_names=tuple("0123456789"),
    mean=0.1307,
    std=0.3081,
    augmentation="jitter",
    archives=archives(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        (
            ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            ("d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            ("9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            ("ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
    ),
)


def mnist(*, root: Path, download: bool) -> Source:
    """MNIST from ``root/MNIST/raw`` (torchvision's layout) or from ``root`` itself. Ids are rows of the training file; those of test follow."""
    return FAMILY.source(root, download=download)
