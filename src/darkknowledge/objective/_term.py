"""What a term of an objective is: a formula per example, and the one place where examples become a mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError


class Term(nn.Module, ABC):
    """A thin module over a function per example. Write your own by giving ``needs``, `per_example` and `formula`.

    Called alone it takes the student's logits and then what it needs, teacher logits before labels, and returns the mean over the valid examples.
    A `Mixture` weighs several.
    """

    needs: ClassVar[frozenset[str]]
    """Of {"teacher", "labels"}: what the term compares the student with."""

    temperature: float = 1.0
    """Where a teacher of several members is averaged (`contract.Output.logits`); ``math.inf`` is the limit of a high temperature."""

    def __init__(self) -> None:
        super().__init__()  # without it a term of no options would seem to take the options of every Module

    @abstractmethod
    def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """The term's value (B,) for logits (B, C) and labels (B,), 0 for an example that does not count. What is not needed may be None.

        Only if the data are mixed (``data.mix``) are labels shares (B, C), with a row of zeros for an example without a label.
        """

    @abstractmethod
    def formula(self) -> str:
        """The term in one line of text, with student logits z, teacher logits v and labels y."""

    def count(self, labels: Tensor) -> Tensor:
        """Number of examples that count, a scalar on the labels' device: those with a label if the term needs labels, else all."""
        if "labels" in self.needs:
            return labelled(labels).sum()
        return torch.full((), len(labels), device=labels.device)

    def forward(self, student: Tensor, *targets: Tensor) -> Tensor:
        """Mean over the valid examples, a scalar; 0, with a graph, where there is none.

        Raises:
            UsageError: more or fewer targets than the term needs, or shapes that do not fit.
        """
        names = [name for name in ("teacher", "labels") if name in self.needs]
        if len(targets) != len(names):
            raise UsageError(
                f"{type(self).__name__} got {len(targets)} arguments after the student's logits and takes {len(names)}: {', '.join(names)}",
                fix="DistillationLoss takes teacher logits and labels" if len(targets) == 2 else "",
            )
        given = dict(zip(names, targets, strict=True))
        values = values_of(self, student, given.get("teacher"), given.get("labels"))
        return mean(values, self.count(given.get("labels", values)))

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return self.formula()


def values_of(term: Term, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
    """What a term says of each example, (B,).

    Raises:
        UsageError: it gives something else, of which the mean over a batch would be another number and nobody would notice.
    """
    values = term.per_example(student, teacher, labels)
    if values.shape != student.shape[:1]:
        raise UsageError(
            f"{type(term).__name__}.per_example gives shape {tuple(values.shape)} for {len(student)} examples; ({len(student)},) is expected",
            why="the one mean over the examples is taken afterwards",
            fix="sum over the classes and leave the examples apart, as reduction='none' does",
        )
    return values


def mean(values: Tensor, count: Tensor) -> Tensor:
    """The one reduction: the sum of a term's values over the number of examples that count, which may be those of a larger batch."""
    return values.sum() / count.clamp_min(1)


def labelled(labels: Tensor) -> Tensor:
    """Which examples have a label, (B,) bool: of class indices (B,) those that are not `IGNORED`, of shares (B, C) those that are not all 0."""
    if labels.dtype == torch.uint8:  # in which −100 would be class 156
        return torch.ones_like(labels, dtype=torch.bool)
    return labels != IGNORED if labels.ndim == 1 else (labels != 0).any(-1)


def needed(target: Tensor | None, name: str) -> Tensor:
    """A target that the term cannot do without.

    Raises:
        UsageError: it is None.
    """
    if target is None:
        raise UsageError(f"{name} are needed and None was given")
    return target
