"""The one composer: a weighted sum of named terms. A paper's recipe is a configuration of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from darkknowledge.contract import Answer, Loss, check_nothing_to_train
from darkknowledge.errors import UsageError
from darkknowledge.objective._evaluation import Compile, Evaluation
from darkknowledge.objective._fused import Fused
from darkknowledge.objective._schedule import Constant, Schedule, Weight, schedule
from darkknowledge.objective._term import Term, mean, values_of

RESERVED = frozenset(("kind", "step", "epoch", "loss", "learning_rate", "validation_accuracy", "validation_nll"))
"""What a run's records hold beside the terms: a term of that name would overwrite it."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A term and how much it counts."""

    term: Term
    weight: Schedule


class Mixture:
    r"""The objective :math:`\sum_k w_k(\text{epoch}) \, L_k`, each :math:`L_k` the mean of one term over the examples that count for it.

    Soft terms count every example, hard terms those with a label, so a batch may mix labelled and unlabelled ones. A term whose weight is always
    0 is left out and needs nothing.

    Args:
        terms: for each name a term and its weight: a number, a schedule, or the plain data for one (`schedule`).
        compile: as for `DistillationLoss`; other terms than a soft and a hard one are plain autograd.

    Raises:
        UsageError: no term with a weight above 0, a weight or a term that is none, a term with parameters to train (nothing would train them), or
            a name that a run's records use for something else.

    >>> import torch
    >>> from darkknowledge.contract import Output
    >>> from darkknowledge.objective import HardLabel, Hinton
    >>> objective = Mixture({"soft": (Hinton(temperature=4), 0.9), "hard": (HardLabel(), 0.1)})
    >>> objective.formula()
    '0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z))'
    >>> student, teacher = torch.tensor([[2.0, 1.0, 0.0]]), Output.single(torch.tensor([[4.0, 1.0, -1.0]]))
    >>> objective.loss(student, teacher, torch.tensor([0]), epoch=0).terms
    {'soft': tensor(0.6943), 'hard': tensor(0.0408)}
    """

    def __init__(self, terms: Mapping[str, tuple[Term, Weight]], *, compile: Compile = "auto") -> None:
        weighted = {name: _weighted(name, *entry) for name, entry in terms.items()}
        self.terms = {name: entry for name, entry in weighted.items() if not (isinstance(entry.weight, Constant) and entry.weight.value == 0)}
        self._fused, self._evaluation = Fused.of(self.terms), Evaluation(compile)
        if not self.terms:
            raise UsageError(f"no term has a weight above 0 ({', '.join(weighted) or 'there is none'})", fix="give at least one term a weight")

    @property
    def needs(self) -> frozenset[str]:
        """Of {"teacher", "labels"}: what must be there before the first step."""
        return frozenset().union(*(entry.term.needs for entry in self.terms.values()))

    def counts(self, labels: Tensor) -> Mapping[str, Tensor]:
        """For each term the number of examples that count, a scalar on the labels' device."""
        return {name: entry.term.count(labels) for name, entry in self.terms.items()}

    def loss(self, student: Tensor, teacher: Answer | None, labels: Tensor, *, epoch: float, counts: Mapping[str, Tensor] | None = None) -> Loss:
        """The weighted sum for student logits (B, C) and labels (B,) or, of mixed pictures, (B, C), and each weighted term, detached, under its name.

        ``epoch`` (fractional, from 0) drives schedules. ``counts`` are those of the whole batch when this is a piece of one, so that the
        pieces' losses add up to the batch's. Nothing here waits for the device.

        Raises:
            UsageError: a term needs a teacher and there is none, or shapes that do not fit.
        """
        if self._fused is None or _is_transformed():
            return self._plain(student, teacher, labels, epoch, counts or self.counts(labels))

        def plain(logits: Tensor) -> Tensor:
            return self._plain(logits, teacher, labels, epoch, counts or self.counts(labels)).total

        return self._fused.loss(student, teacher, labels, epoch=epoch, counts=counts, evaluation=self._evaluation, plain=plain)

    def _plain(self, student: Tensor, teacher: Answer | None, labels: Tensor, epoch: float, counts: Mapping[str, Tensor]) -> Loss:
        """By the terms' own functions, which torch differentiates."""
        values = {}
        for name, entry in self.terms.items():
            logits = _answer(name, entry.term, teacher)
            values[name] = entry.weight(epoch) * mean(values_of(entry.term, student, logits, labels), counts[name])
        return Loss(reduce(add, values.values()), {name: value.detach() for name, value in values.items()})

    def prepare(self, *, examples: int, compile: Compile) -> None:
        """Say how many examples will come in all, so that the usual mixture, a soft and a hard term or one of them, knows whether to compile itself.

        Unless this is called, it begins to when it has seen so many that compiling would have paid. A mixture made with ``compile`` on or off stays
        with that.
        """
        self._evaluation.expect(examples, compile)

    def formula(self) -> str:
        """The objective in one line, with student logits z, teacher logits v and labels y."""
        return " + ".join(f"{entry.weight} × {entry.term.formula()}" for entry in self.terms.values())


def mixture(*, terms: Mapping[str, Mapping[str, Any]]) -> Mixture:
    """A `Mixture` from plain data, as a configuration holds it.

    Args:
        terms: for each name of a term the ``name`` of its choice, its ``weight`` (1 if not given) and its options.

    Raises:
        UsageError: an unknown choice or option, or a choice that is no single term.

    >>> mixture(terms={"soft": {"name": "hinton", "weight": 0.9, "temperature": 4}, "hard": {"name": "hard_label", "weight": 0.1}}).formula()
    '0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z))'
    """
    from darkknowledge.objective._build import build_term  # the choices name this module

    if not isinstance(terms, Mapping):
        raise UsageError(f"terms={terms!r} is no mapping from a name to a term")
    return Mixture({name: build_term(name, entry) for name, entry in terms.items()})


def _weighted(name: str, term: Term, weight: Weight) -> Weighted:
    if not isinstance(term, Term):
        raise UsageError(f"{name!r} is no Term but {type(term).__name__}", fix="derive your class from darkknowledge.objective.Term")
    if not term.needs <= {"teacher", "labels"}:
        raise UsageError(f"{name!r} needs {', '.join(sorted(term.needs))}", why="only 'teacher' and 'labels' can be given")
    if not name.isprintable():
        raise UsageError(f"a term cannot be called {name!r}", why="a run records its values under that name", fix="choose one that can be printed")
    if name in RESERVED:
        raise UsageError(f"a term cannot be called {name!r}", why="a run records something else under that name", fix="choose another name")
    check_nothing_to_train(repr(name), term)
    return Weighted(term, schedule(weight))


def _is_transformed() -> bool:
    """Whether somebody compiles or transforms (torch.func) what calls us; then plain functions are what they can look into."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _answer(name: str, term: Term, teacher: Answer | None) -> Tensor | None:
    if "teacher" not in term.needs:
        return None
    if teacher is None:
        raise UsageError(f"the objective's term {name!r} needs a teacher, and there is none")
    return teacher.logits(term.temperature)
