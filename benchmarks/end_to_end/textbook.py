"""What both programs written by hand have in common: networks, the teacher's weights, the textbook loss, saving, the command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

ALPHA, RATE, MOMENTUM, BATCH, VALIDATION = 0.5, 0.05, 0.9, 256, 5000
STUDENT, TEACHER = 800, 1200
MEAN, STD = 0.1307, 0.3081
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What a program is asked for."""

    data: Path
    teacher: Path
    out: Path
    epochs: int
    jitter: bool
    temperatures: tuple[float, ...]


def options(words: Sequence[str] | None = None) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds MNIST/raw")
    parser.add_argument("--teacher", type=Path, required=True, help="the teacher's weights, a safetensors file")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the students")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--jitter", action="store_true", help="shift each picture by at most two pixels")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 2.0, 4.0, 8.0, 16.0])
    found = parser.parse_args(words)
    return Options(found.data, found.teacher, found.out, found.epochs, found.jitter, tuple(found.temperatures))


def mlp(width: int) -> nn.Sequential:
    """784-width-width-10."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )  # fmt: skip


def load_run(path: Path) -> nn.Sequential:
    """The network of our run's weights: the teacher, whose dropout is off when it answers."""
    weights = load_file(path)
    names = sorted((name for name in weights if name.endswith("weight")), key=lambda name: int(name.split(".")[1]))
    teacher = mlp(len(weights[names[0]]))
    for layer, name in zip((layer for layer in teacher if isinstance(layer, nn.Linear)), names, strict=True):
        layer.load_state_dict({"weight": weights[name], "bias": weights[name.replace("weight", "bias")]})
    return teacher.eval()


def loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """The loss that one finds everywhere, with the divergence computed right."""
    soft = F.kl_div(
        F.log_softmax(student / temperature, dim=1), F.log_softmax(teacher / temperature, dim=1), reduction="batchmean", log_target=True
    )  # fmt: skip
    return ALPHA * temperature**2 * soft + (1 - ALPHA) * F.cross_entropy(student, labels)


def optimizing(student: nn.Module, *, epochs: int, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """SGD with Nesterov momentum as torch chooses to run it; the rate rises for an epoch, at most half of all, then a cosine."""
    optimizer = torch.optim.SGD(student.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True)
    warmup, whole = min(steps, epochs * steps / 2), epochs * steps

    def factor(step: int) -> float:
        return max(step / warmup, 0.01) if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (whole - warmup)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def save(student: nn.Module, folder: Path, temperature: float) -> None:
    """The student's weights in a file."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(student.state_dict(), folder / f"{temperature:g}.pt")
