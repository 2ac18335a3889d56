"""Pictures of noise and plain networks for them: how long a step takes does not depend on what the pictures show or the weights are."""

from __future__ import annotations

import torch

from darkknowledge.data import Dataset, from_tensors
from darkknowledge.model import Network, build


def noise(count: int, *, classes: int = 10, side: int = 28) -> Dataset:
    """``count`` grey pictures of ``side`` × ``side``, all of them training pictures."""
    images = torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_tensors(images, torch.arange(count) % classes, class_names=[str(label) for label in range(classes)], validation=0)


def perceptron(data: Dataset, width: int, *, layers: int = 2, seed: int = 0) -> Network:
    """``layers`` hidden layers of ``width`` units."""
    torch.manual_seed(seed)
    classes, hidden = len(data.class_names), (width,) * layers
    return build("hinton_mlp", num_classes=classes, input_shape=data.input_shape, mean=data.mean, std=data.std, hidden=hidden)
