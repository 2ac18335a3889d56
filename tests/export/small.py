"""A network whose every step NumPy repeats, and what it is for."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from darkknowledge.export import Description
from darkknowledge.model import Network, NetworkSpec, Preprocessing

SHAPE, CLASSES, MEAN, STD = (2, 3, 4), 5, (0.3, 0.6), (0.2, 0.7)
DESCRIPTION = Description(tuple("abcde"), SHAPE, MEAN, STD, training={"temperature": 20.0})


def network() -> Network:
    """Two layers with a rectifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = nn.Sequential(nn.Flatten(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, CLASSES))
    return Network(body, Preprocessing(MEAN, STD), NetworkSpec("own", CLASSES, SHAPE, DESCRIPTION.class_names)).eval()


def by_hand(weights: dict[str, torch.Tensor], pixels: np.ndarray) -> np.ndarray:
    """Its logits in float64."""
    first, second = (f"body.{index}" for index in (1, 3))
    value = {name: tensor.double().numpy() for name, tensor in weights.items()}
    normal = (pixels.astype(np.float64) - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]
    hidden = np.maximum(normal.reshape(len(pixels), -1) @ value[f"{first}.weight"].T + value[f"{first}.bias"], 0)
    return hidden @ value[f"{second}.weight"].T + value[f"{second}.bias"]


def pictures(count: int, seed: int = 1) -> torch.Tensor:
    """Pixels in [0, 1]."""
    return torch.from_numpy(np.random.default_rng(seed).random((count, *SHAPE), dtype=np.float32))
