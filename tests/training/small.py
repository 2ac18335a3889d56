"""Small tasks for the tests of the training room, written against `darkknowledge.contract` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkknowledge.contract import IGNORED, PLAIN, Batch, Loss, Output
from darkknowledge.training.watching import Plan, Record

CLASSES = 3


@dataclass(frozen=True)
class Points:
    """Examples in a plane, three classes around three centres; with ``noise`` a training view moves every point by a function of (id, view)."""

    inputs: Tensor
    labels: Tensor
    noise: float = 0.0
    asked: Callable[[int | None], None] = field(default=lambda view: None)
    """Hears of every pass, by its view."""

    @property
    def transform(self) -> str:
        return f"noise/1({self.noise})" if self.noise else PLAIN

    @property
    def ids(self) -> Tensor:
        return torch.arange(len(self.labels)) + 100

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        self.asked(None if views is None else int(views[0]))
        for start in range(0, len(positions), batch_size):
            some = positions[start : start + batch_size]
            shown = None if views is None else views[start : start + batch_size]
            inputs = self.inputs[some]
            if shown is not None:
                inputs = inputs + self.noise * torch.sin(self.ids[some, None] * 7.0 + shown[:, None] * torch.tensor([1.0, 2.0]))
            yield Batch(self.ids[some], inputs, self.labels[some], shown)


def points(count: int, *, seed: int = 0, noise: float = 0.0, asked: Callable[[int | None], None] = lambda view: None) -> Points:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    return Points(centres[labels] + 0.3 * torch.randn(count, 2, generator=generator), labels, noise, asked)


def mlp(*, seed: int = 0, width: int = 8, dropout: float = 0.0, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    middle: list[nn.Module] = [nn.BatchNorm1d(width)] if norm else []
    return nn.Sequential(nn.Linear(2, width), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, CLASSES))


class Bounded(nn.Module):
    """A network whose weights are constrained after each step, as `HintonMLP` is, with dropout and batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp(dropout=0.3, norm=True)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.body(inputs)
        return logits

    @torch.no_grad()
    def project_(self) -> None:
        for layer in self.body:
            if isinstance(layer, nn.Linear):
                layer.weight.renorm_(p=2, dim=0, maxnorm=0.9)


class CrossEntropy:
    """The mean cross-entropy of the labelled examples, written anew; it notes what it was given."""

    needs = frozenset({"labels"})

    def __init__(self) -> None:
        self.seen: list[tuple[torch.dtype, float]] = []

    def counts(self, labels: Tensor) -> dict[str, Tensor]:
        return {"hard": (labels != IGNORED).sum()}

    def loss(self, student: Tensor, teacher: Output | None, labels: Tensor, *, epoch: float, counts: Any = None) -> Loss:
        self.seen.append((student.dtype, epoch))
        count = (self.counts(labels) if counts is None else counts)["hard"]
        total = F.cross_entropy(student, labels, ignore_index=IGNORED, reduction="sum") / count.clamp(min=1)
        return Loss(total, {"hard": total.detach()})

    def formula(self) -> str:
        return "H"


class Answers:
    """A teacher that answers with a network of its own, and notes the inputs that it was shown."""

    class_names = ("a", "b", "c")

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()
        self.shown: list[Tensor] = []

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Output:
        self.shown.append(batch.inputs)
        return Output.single(self.network(batch.inputs).float())

    def to(self, device: torch.device | str) -> Answers:
        return self


class Notes:
    """A watcher that keeps what it hears, and may act after a step."""

    def __init__(self, after_step: Callable[[int], None] = lambda done: None) -> None:
        self.plans: list[Plan] = []
        self.records: list[Record] = []
        self.steps: list[int] = []
        self.ended = 0
        self.after_step = after_step

    def begin(self, plan: Plan) -> None:
        self.plans.append(plan)

    def step(self, done: int) -> None:
        self.steps.append(done)
        self.after_step(done)

    def record(self, record: Record) -> None:
        self.records.append(record)

    def end(self) -> None:
        self.ended += 1

    def of(self, kind: str) -> list[Record]:
        return [record for record in self.records if record.kind == kind]


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit, through lists and dictionaries."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
