"""Data sets: stable ids, a validation set carved from train, a sealed test set, and views that can be made again.

Importing this package imports neither torch nor any reader; its names are fetched when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.data._augment import RECIPES, Augmentation
    from darkknowledge.data._dataset import Dataset
    from darkknowledge.data._images import ImageExamples
    from darkknowledge.data._load import load
    from darkknowledge.data._mix import Mixed
    from darkknowledge.data._photos import PhotoExamples
    from darkknowledge.data._prepare import Preparation
    from darkknowledge.data._replay import Replayable
    from darkknowledge.data._split import Split
    from darkknowledge.data._tensors import from_tensors

CHOICES = {
    "cifar10": "darkknowledge.data.cifar10:cifar10",
    "cifar100": "darkknowledge.data.cifar100:cifar100",
    "digits": "darkknowledge.data.digits:digits",
    "fashion_mnist": "darkknowledge.data.fashion_mnist:fashion_mnist",
    "image_folder": "darkknowledge.data.image_folder:image_folder",
    "mnist": "darkknowledge.data.mnist:mnist",
    "parquet": "darkknowledge.data.parquet:parquet",
}
"""Name of a data set to ``module:function``, which reads it."""

_HOMES = {
    "Augmentation": "_augment",
    "Dataset": "_dataset",
    "ImageExamples": "_images",
    "Mixed": "_mix",
    "PhotoExamples": "_photos",
    "Preparation": "_prepare",
    "RECIPES": "_augment",
    "Replayable": "_replay",
    "Split": "_split",
    "from_tensors": "_tensors",
    "load": "_load",
}

__all__ = [
    "CHOICES",
    "RECIPES",
    "Augmentation",
    "Dataset",
    "ImageExamples",
    "Mixed",
    "PhotoExamples",
    "Preparation",
    "Replayable",
    "Split",
    "from_tensors",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
