"""The test error of a saved student, whoever trained it: the same pictures, the same arithmetic."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from benchmarks.end_to_end.matched import normalised
from benchmarks.end_to_end.textbook import STUDENT, load_run, mlp
from torch import Tensor, nn
from torchvision.datasets import MNIST


@torch.no_grad()
def percent_wrong(saved: Path, data: Path) -> float:
    """Percent of the 10,000 test pictures; ``saved`` is one of our runs or a file of weights."""
    images, labels = test_pictures(data)
    return round(100 * (network(saved)(normalised(images)).argmax(1) != labels).float().mean().item(), 2)


def network(saved: Path) -> nn.Module:
    """The trained network in eval mode; ours and theirs are the same layers."""
    if saved.suffix != ".pt":
        return load_run(saved / "model" / "model.safetensors")
    student = mlp(STUDENT)
    student.load_state_dict(torch.load(saved, weights_only=True))
    return student.eval()


@cache
def test_pictures(data: Path) -> tuple[Tensor, Tensor]:
    """(10000, 28, 28) uint8 and the labels."""
    source = MNIST(str(data), train=False)
    return source.data, source.targets
