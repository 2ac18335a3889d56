"""The kinds of steps: networks, number of classes, and how the teacher answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset, from_tensors
from darkknowledge.model import Network, build, fingerprint
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Frozen
from darkknowledge.training import Recipe, fit
from darkknowledge.training.watching import Watcher
from darkknowledge.transfer import Identity, Plan, RecordedTeacher, build as record
from darkknowledge.transfer.codec import build as build_codec

TEMPERATURE, ALPHA = 4.0, 0.9
PLANNED = 5000
"""Steps of the run: what is worth its start in a long run is done."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A step: ``codec`` of the recorded answers, None for a live teacher; ``steps`` are watched."""

    student: Mapping[str, Any]
    teacher: Mapping[str, Any]
    codec: str | None
    precision: str = "fp32"
    family: str = "hinton_mlp"
    shape: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    batch_size: int = 256
    batches: int = 8
    steps: int = 20
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the codec."""


MLP, TEACHER = {"hidden": (800, 800)}, {"hidden": (1200, 1200)}
SMALL, WIDE = {"hidden": (256, 256)}, {"hidden": (64, 64)}
RESNET: dict[str, Any] = {"family": "cifar_resnet", "shape": (3, 32, 32), "steps": 3}
KINDS = {
    "784-800-800-10, recorded, fp32": Kind(MLP, TEACHER, "float16"),
    "784-800-800-10, recorded, bf16": Kind(MLP, TEACHER, "float16", "bf16"),
    "784-800-800-10, live, fp32": Kind(MLP, TEACHER, None),
    "784-800-800-10, live, bf16": Kind(MLP, TEACHER, None, "bf16"),
    "784-800-800-1000, recorded as uint8, fp32": Kind(MLP, TEACHER, "uint8", classes=1000, batch_size=1024),
    "784-256-256-32000, recorded as the 64 largest, fp32": Kind(SMALL, WIDE, "topk", classes=32_000, batches=4, steps=5, options={"k": 64}),
    "ResNet-20, recorded, fp32": Kind({"depth": "20"}, {"depth": "20"}, "float16", **RESNET),
    "ResNet-20, recorded, bf16": Kind({"depth": "20"}, {"depth": "20"}, "float16", "bf16", **RESNET),
}
QUICK = {
    "784-16-10, recorded": Kind({"hidden": (16,)}, {"hidden": (16,)}, "float16", batch_size=16, steps=3),
    "784-16-200, the 8 largest": Kind({"hidden": (16,)}, {"hidden": (16,)}, "topk", classes=200, batch_size=16, steps=3, options={"k": 8}),
}


def starting(kind: Kind, folder: Path) -> Callable[[Watcher], object]:
    """A function that starts the run of a kind with somebody who watches."""
    data = noise(kind)
    teacher = answering(kind, data, folder)
    recipe = Recipe(epochs=-(-PLANNED // kind.batches), steps=PLANNED, batch_size=kind.batch_size, learning_rate=1e-3,
                    precision=kind.precision, device="cpu", threads=1, views=1)  # type: ignore[arg-type]  # fmt: skip

    def start(watcher: Watcher) -> object:
        objective = build_objective("distillation", temperature=TEMPERATURE, alpha=ALPHA)
        return fit(network(kind, data, kind.student), objective, data.train, recipe, teacher=teacher, watchers=[watcher])

    return start


def noise(kind: Kind) -> Dataset:
    """Pictures of noise: how long a step takes does not depend on what they show."""
    count = kind.batch_size * kind.batches
    images = torch.randint(0, 256, (count, *kind.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_tensors(images, torch.arange(count) % kind.classes, class_names=list(map(str, range(kind.classes))), validation=0)


def network(kind: Kind, data: Dataset, options: Mapping[str, Any]) -> Network:
    """The student or the teacher, untrained: it costs what a trained one costs."""
    torch.manual_seed(0)
    return build(kind.family, num_classes=kind.classes, input_shape=data.input_shape, mean=data.mean, std=data.std, **options)


def answering(kind: Kind, data: Dataset, folder: Path) -> Teacher:
    """The teacher, live or recorded in memory."""
    live = Frozen(network(kind, data, kind.teacher), data.class_names)
    if kind.codec is None:
        return live
    codec = build_codec(kind.codec, kind.classes, **kind.options)
    prints = tuple(map(fingerprint, live.networks))
    identity = Identity(prints, live.average, live.weights, data.fingerprint, data.class_names, data.train.transform, 1, codec)
    made = record(folder / "set", Plan.make(identity, ids=data.train.ids), teacher=live, examples=data.train)
    assert made is not None
    return RecordedTeacher(made.load())
