"""What the rooms hand each other. Nothing here knows a file, a network or a formula.

Inputs travel as floats in [0, 1]; every network normalises them itself, with the mean, standard deviation and size that it was made for, so a
teacher and a student with different expectations see the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from darkknowledge.errors import UsageError

IGNORED = -100
"""The label of an example whose class is unknown or hidden (the value that ``torch.nn.functional.cross_entropy`` ignores)."""

PLAIN = "plain"
"""The transform that leaves every picture as it is."""

Average = Literal["probability", "logit"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some examples: ``ids`` (B,) int64, ``inputs`` (B, …) float32 in [0, 1], ``labels`` (B,) int64 with `IGNORED` where unknown.

    Mixed pictures have labels (B, C) float32, a share for each class, and a row of zeros where unknown. ``views`` (B,) int64 numbers the augmented
    view of each example; None stands for the plain pictures.
    """

    ids: Tensor
    inputs: Tensor
    labels: Tensor
    views: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """The same examples on another device."""
        return self._map(lambda part: part.to(device, non_blocking=True))

    def split(self, pieces: int) -> list[Batch]:
        """The same examples in at most ``pieces`` consecutive batches of nearly equal size."""
        pieces = min(pieces, len(self))
        views = [None] * pieces if self.views is None else self.views.tensor_split(pieces)
        columns = (part.tensor_split(pieces) for part in (self.ids, self.inputs, self.labels))
        return [Batch(*parts) for parts in zip(*columns, views, strict=True)]

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        views = None if self.views is None else change(self.views)
        return Batch(change(self.ids), change(self.inputs), change(self.labels), views)


@dataclass(frozen=True, slots=True)
class Dense:
    """A teacher's logits, a number for each class, perhaps as they are stored.

    ``values`` (B, C) of any real dtype, times ``scale`` (B, 1) where there is one, are the logits up to a constant in each row, which a softmax
    does not see.
    """

    values: Tensor
    scale: Tensor | None = None

    def logits(self, temperature: float = 1.0) -> Tensor:
        """Those logits, the same for every temperature: it is an `Answer` of its own."""
        return self.values if self.scale is None else self.values * self.scale

    def compact(self, temperature: float) -> Dense:
        """Itself."""
        return self


@dataclass(frozen=True, slots=True)
class Sparse:
    """The soft target at one temperature of a teacher of whom a few classes are known: log p of those, and of each other class.

    ``ids`` (B, k) int64, none twice in a row; ``log_p`` (B, k) and ``log_rest`` (B, 1) float32.
    """

    ids: Tensor
    log_p: Tensor
    log_rest: Tensor

    def to(self, dtype: torch.dtype) -> Sparse:
        """The same in another floating-point dtype."""
        return Sparse(self.ids, self.log_p.to(dtype), self.log_rest.to(dtype))


class Answer(Protocol):
    """What a teacher says of a batch, at any temperature."""

    def logits(self, temperature: float = 1.0) -> Tensor:
        """Logits (B, C) whose softmax at ``temperature`` is the soft target."""

    def compact(self, temperature: float) -> Dense | Sparse:
        """The same soft target in the form in which it is cheapest to read."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a teacher answers for a batch: the raw logits of its members, and how to make one answer of them.

    ``members`` is (M, B, C), ``weights`` (M,) and sums to 1. A single network is an ensemble of one.
    """

    members: Tensor
    weights: Tensor
    average: Average = "probability"

    @classmethod
    def single(cls, logits: Tensor) -> Output:
        """The answer of one network, ``logits`` (B, C)."""
        return cls(logits[None], torch.ones(1, device=logits.device))

    @classmethod
    def of(cls, answer: Answer) -> Output:
        """The answer itself, for whoever needs the members' raw logits.

        Raises:
            UsageError: it holds none, such as that of a transfer set which keeps a few classes of each example.
        """
        if isinstance(answer, cls):
            return answer
        if isinstance(answer, Stored):
            return answer.decoded()
        raise UsageError(
            f"{type(answer).__name__} holds no raw logits of its members",
            why="an ensemble, and the look at a teacher before the first step, are made of those",
            fix="use the teacher itself, or a transfer set that keeps every class",
        )

    def logits(self, temperature: float = 1.0) -> Tensor:
        r"""Logits v (B, C) whose softmax at ``temperature`` is the averaged soft target.

        With members v_m and weights w_m the probability average is, up to a constant in each row,
        :math:`v = T \log \sum_m w_m \operatorname{softmax}(v_m / T)`, and the logit average :math:`v = \sum_m w_m v_m`, to which the former tends
        as T grows; ``temperature=inf`` gives that limit.

        Source: Hinton, Vinyals & Dean (2015), section 1: the arithmetic or geometric mean of the individual predictive distributions.
        """
        if len(self.members) == 1:
            return self.members[0]
        # In float64, because the logarithm of a nearly uniform average has few digits to lose; Apple's GPUs have no such numbers.
        members = self.members.float() if self.members.device.type == "mps" else self.members.double()
        weights = self.weights.to(members.dtype)[:, None, None]
        if self.average == "logit" or math.isinf(temperature):
            return (weights * members).sum(0).float()
        log_p = torch.logsumexp(torch.log_softmax(members / temperature, dim=-1) + weights.log(), dim=0)
        return (temperature * (log_p - log_p.mean(-1, keepdim=True))).float()

    def compact(self, temperature: float) -> Dense:
        """Those logits."""
        return Dense(self.logits(temperature))


@runtime_checkable
class Stored(Protocol):
    """An answer that is kept in fewer bytes than its logits take."""

    def decoded(self) -> Output:
        """The same answer with the raw logits of its members."""


class Examples(Protocol):
    """One split of a data set. Positions 0 … N−1 index it; the ids are stable across splits, fractions and runs.

    Examples that may live on a device have a method ``to(device)`` and an attribute ``resident_bytes``, what that moves (None: better not).
    """

    @property
    def ids(self) -> Tensor:
        """(N,) int64."""

    @property
    def labels(self) -> Tensor:
        """(N,) int64, `IGNORED` where hidden."""

    def __len__(self) -> int: ...

    @property
    def transform(self) -> str:
        """What a view shows, in words whose meaning never changes; `PLAIN` where every view is the plain picture."""

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        """Batches of the examples at ``positions`` (N,), in that order, the last one possibly shorter.

        ``views`` (N,) int64 numbers the augmented view of each; None gives the plain pictures. What an example looks like depends on ``transform``,
        its id and the view's number alone.
        """


class Teacher(Protocol):
    """Whoever answers: a frozen network, an ensemble, a recorded transfer set.

    One that looks its answers up by the ids of the examples has an attribute ``needs_ids`` that is true, so that nobody asks it without them.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def __call__(self, batch: Batch) -> Answer:
        """The answers for a batch, without a graph."""

    def to(self, device: torch.device | str) -> Teacher:
        """The same teacher, its networks moved to a device."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The scalar to minimise, and its named terms: weighted, detached scalars that sum to it."""

    total: Tensor
    terms: Mapping[str, Tensor]


class Objective(Protocol):
    """What a network is trained for."""

    @property
    def needs(self) -> frozenset[str]:
        """Of {"teacher", "labels"}: what must be there before the first step."""

    def counts(self, labels: Tensor) -> Mapping[str, Tensor]:
        """For each term the number of valid examples in a batch with these labels: what its sum is divided by."""

    def loss(self, student: Tensor, teacher: Answer | None, labels: Tensor, *, epoch: float, counts: Mapping[str, Tensor] | None = None) -> Loss:
        """The loss of student logits (B, C). ``epoch`` (fractional, from 0) drives schedules.

        ``counts`` are those of the whole batch when this is a piece of one, so that the pieces' losses add up to the batch's.
        """

    def formula(self) -> str:
        """The objective in one line of text."""


Report = Callable[[str], None]
"""Where a room sends a line meant for the user."""


def check_nothing_to_train(name: str, part: object) -> None:
    """No part of an objective has parameters that want a gradient.

    Raises:
        UsageError: this one has; the message calls it ``name``.
    """
    if isinstance(part, nn.Module) and any(parameter.requires_grad for parameter in part.parameters()):
        why = "a run trains, clips and saves the student's parameters alone"
        raise UsageError(f"{name} has parameters to train, which no objective can have yet", why=why, fix="freeze them with requires_grad_(False)")
