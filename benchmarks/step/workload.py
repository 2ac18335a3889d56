"""What the race is run on: two pairs of networks, pictures of noise, and the work that each step is by count."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from benchmarks.step.peers import Job
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from darkknowledge.data import Dataset, from_tensors
from darkknowledge.model import Network, build

CLASSES = 10


@dataclass(frozen=True, slots=True)
class Workload:
    """A family of networks by name, options of the student and of the teacher, the shape of a picture, and the steps measured at a time."""

    family: str
    student: Mapping[str, Any]
    teacher: Mapping[str, Any]
    shape: tuple[int, int, int]
    steps: int
    batch_size: int = 256
    batches: int = 32
    """Batches of different pictures."""
    skip: int = 2
    """Steps before the measured ones, which warm up."""

    @property
    def planned(self) -> int:
        """Steps of a run: it is ended after the measured ones."""
        return self.skip + self.steps + 1


WORKLOADS = {
    "MLP 784-800-800-10, teacher 784-1200-1200-10": Workload("hinton_mlp", {"hidden": (800, 800)}, {"hidden": (1200, 1200)}, (1, 28, 28), steps=40),
    "ResNet-20, teacher ResNet-56": Workload("cifar_resnet", {"depth": "20"}, {"depth": "56"}, (3, 32, 32), steps=4),
}
QUICK = {
    "MLP 784-32-10, teacher 784-64-10": Workload("hinton_mlp", {"hidden": (32,)}, {"hidden": (64,)}, (1, 28, 28), steps=4, batch_size=16, batches=4),
    "ResNet-8, teacher ResNet-14": Workload("cifar_resnet", {"depth": "8"}, {"depth": "14"}, (3, 8, 8), steps=2, batch_size=16, batches=2),
}


def make_data(workload: Workload) -> Dataset:
    """Pictures of noise: how long a step takes does not depend on what they show."""
    count = workload.batch_size * workload.batches
    images = torch.randint(0, 256, (count, *workload.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_tensors(images, torch.arange(count) % CLASSES, class_names=[str(label) for label in range(CLASSES)], validation=0)


def network(workload: Workload, data: Dataset, options: Mapping[str, Any], *, seed: int = 0) -> Network:
    """One of the pair, untrained: it costs what a trained one costs."""
    torch.manual_seed(seed)
    return build(workload.family, num_classes=CLASSES, input_shape=data.input_shape, mean=data.mean, std=data.std, **options)


def job(workload: Workload, data: Dataset, student: nn.Module, teachers: tuple[nn.Module, ...], *, precision: str) -> Job:
    """The same for the peers; the student is a copy, so that each call begins at the same weights."""
    batch = next(data.train.batches(torch.arange(len(data.train)), batch_size=len(data.train), views=None))
    images = (batch.inputs * 255).round().byte()
    return Job(images, batch.labels, copy.deepcopy(student), teachers, workload.planned, workload.batch_size, precision)


def share(student: nn.Module, teachers: tuple[nn.Module, ...], example: Tensor) -> float:
    """The teachers' forward passes over the student's forward and backward pass, in floating-point operations of ``example`` (1, C, H, W)."""
    with FlopCounterMode(display=False) as training:
        copy.deepcopy(student).eval()(example).sum().backward()
    with torch.no_grad(), FlopCounterMode(display=False) as answering:
        for teacher in teachers:
            teacher.eval()(example)
    return float(answering.get_total_flops() / training.get_total_flops())
