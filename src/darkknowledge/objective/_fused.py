"""The labels + soft mixture as one private operation: its forward pass finds total, terms and gradient, its backward pass only scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from darkknowledge.contract import Answer, Dense, Loss, Sparse
from darkknowledge.errors import UsageError
from darkknowledge.objective._checks import check_labels, check_logits, check_same_shape
from darkknowledge.objective._closed_form import Found, dense_form, pass_over, sparse_form, working_dtype
from darkknowledge.objective._evaluation import Evaluation
from darkknowledge.objective._schedule import Schedule
from darkknowledge.objective._term import Term, labelled
from darkknowledge.objective.hard_label import HardLabel
from darkknowledge.objective.hinton import Hinton
from darkknowledge.objective.soft_cross_entropy import SoftCrossEntropy

Work = Callable[[Tensor], Found]
"""From student logits to the two weighted terms and the gradient."""


class Entry(Protocol):
    """A term of a mixture and its weight."""

    @property
    def term(self) -> Term: ...
    @property
    def weight(self) -> Schedule: ...


@dataclass(frozen=True, slots=True)
class Fused:
    """A soft term, perhaps with a hard one, each under its name."""

    soft: tuple[str, Entry]
    hard: tuple[str, Entry] | None

    @classmethod
    def of(cls, terms: Mapping[str, Entry]) -> Fused | None:
        """The fused form of a mixture's terms; None where there is none, because there are others among them or more than one of a kind."""
        kinds: dict[str, tuple[str, Entry]] = {}
        for name, entry in terms.items():
            kind = {Hinton: "soft", SoftCrossEntropy: "soft", HardLabel: "hard"}.get(type(entry.term))
            if kind is None or kind in kinds:
                return None
            kinds[kind] = (name, entry)
        return cls(kinds["soft"], kinds.get("hard")) if "soft" in kinds else None

    def loss(
        self,
        student: Tensor,
        teacher: Answer,
        labels: Tensor,
        *,
        epoch: float,
        counts: Mapping[str, Tensor] | None,
        evaluation: Evaluation,
        plain: Callable[[Tensor], Tensor],
    ) -> Loss:
        """As `Mixture.loss`; ``plain`` gives the total of student logits by plain autograd, for a second derivative."""
        check_logits(student)
        name, entry = self.soft
        answer = teacher.compact(entry.term.temperature) if hasattr(teacher, "compact") else Dense(teacher.logits(entry.term.temperature))
        _check(student, answer)
        dtype = working_dtype(student.dtype)
        temperature = _scalar(entry.term.temperature, dtype, student.device)
        one = _scalar(float(max(len(student), 1)), dtype, student.device)
        soft = _scalar(entry.weight(epoch), dtype, student.device) / (one if counts is None else counts[name].clamp_min(1))
        target = None
        if self.hard is not None:
            given = None if counts is None else counts[self.hard[0]]
            target = _Target.of(student, labels, self.hard[1].weight(epoch), cast(HardLabel, self.hard[1].term).label_smoothing, count=given)

        def work(detached: Tensor) -> Found:
            return _evaluate(detached, answer, temperature, soft, target, evaluation, entropy=type(entry.term) is SoftCrossEntropy)

        total, soft_value, hard_value = _ClosedForm.apply(student, work, plain)
        return Loss(total, {name: soft_value} if self.hard is None else {name: soft_value, self.hard[0]: hard_value})


@lru_cache(maxsize=256)
def _scalar(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number on the device, made once."""
    return torch.full((), value, dtype=dtype, device=device)


@dataclass(frozen=True, slots=True)
class _Target:
    """The hard term's labels, (B,) classes or (B, C) shares; the weight of each example, (B, 1) with 0 where there is no label, or a scalar where all
    have one; and ε. y are the labels with ε spread over all classes.
    """

    labels: Tensor
    weights: Tensor
    smoothing: float
    classes: Tensor
    """(B, 1), any class where there is no label; of shares nothing."""

    @classmethod
    def of(cls, student: Tensor, labels: Tensor, weight: float, smoothing: float, *, count: Tensor | None) -> _Target:
        """For examples of ``count`` labelled ones, by default those that are labelled here.

        Raises:
            UsageError: the labels do not fit the student's logits.
        """
        all_labelled = check_labels(student, labels)
        total = _scalar(weight, working_dtype(student.dtype), student.device)
        if all_labelled:
            return cls(labels, total / (len(labels) if count is None else count), smoothing, labels[:, None].long())
        known = labelled(labels)
        weights = known[:, None] * (total / (known.sum() if count is None else count).clamp_min(1))
        return cls(labels, weights, smoothing, labels if labels.is_floating_point() else labels.clamp_min(0)[:, None].long())

    def logit(self, student: Tensor) -> Tensor:
        """Σ y z / Σ y (B, 1)."""
        if self.labels.is_floating_point():
            met = (self.labels * student).sum(-1, keepdim=True) / self.labels.sum(-1, keepdim=True).clamp_min(1e-30)
        else:
            met = student.gather(1, self.classes)
        return (1 - self.smoothing) * met + self.smoothing * student.mean(-1, keepdim=True) if self.smoothing else met

    def take_off(self, gradient: Tensor) -> None:
        """Subtract the weighted y from the gradient (B, C), in place."""
        if self.labels.is_floating_point():
            gradient.sub_((1 - self.smoothing) * self.weights * self.labels)
        else:
            gradient.scatter_add_(1, self.classes, ((self.smoothing - 1) * self.weights).expand(len(gradient), 1))
        if self.smoothing:
            gradient.sub_(self.weights * (self.smoothing / gradient.shape[1]))


def _check(student: Tensor, answer: Dense | Sparse) -> None:
    if isinstance(answer, Dense):
        check_same_shape(student, answer.values)
        if answer.scale is None:
            check_logits(answer.values, "teacher logits")
    elif len(answer.ids) != len(student):
        raise UsageError(f"student logits are {len(student)} rows and the teacher's answers {len(answer.ids)}", fix="give both the same batch")


def _evaluate(
    student: Tensor, answer: Dense | Sparse, temperature: Tensor, soft: Tensor, hard: _Target | None, evaluation: Evaluation, *, entropy: bool
) -> Found:
    """Gradient (B, C), and the weighted terms."""
    weights, logit = (None, None) if hard is None else (hard.weights, hard.logit(student))
    if isinstance(answer, Dense):
        found = evaluation(dense_form, student, answer.values, answer.scale, temperature, soft, weights, logit, entropy=entropy)
    else:
        passed = evaluation(pass_over, student, answer.log_rest.exp(), temperature, soft, weights)
        found = sparse_form(passed, student.gather(1, answer.ids), answer, temperature, soft, weights, logit, entropy=entropy)
    if hard is not None:
        hard.take_off(found.gradient)
    return found


class _ClosedForm(torch.autograd.Function):
    """Student logits (B, C) to total and detached terms by ``work``, which finds the gradient too; ``plain`` is the total by plain autograd."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, work: Work, plain: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        with _without_autocast(student.device.type):
            soft, hard, gradient = work(student)
        # float16 cannot hold the small parts of a mean before they are scaled; bfloat16 has the range.
        ctx.gradient, ctx.plain = gradient if student.dtype == torch.float16 else gradient.to(student.dtype), plain
        ctx.save_for_backward(student)
        ctx.mark_non_differentiable(*(part for part in (soft, hard) if part is not None))
        return soft.clone() if hard is None else soft + hard, soft, hard

    @staticmethod
    def backward(ctx: Any, scale: Tensor, *terms: Any) -> tuple[Tensor, None, None]:
        (student,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants derivatives of this one
            with _without_autocast(student.device.type):
                (gradient,) = torch.autograd.grad(ctx.plain(student), student, scale, create_graph=True)
            return gradient, None, None
        gradient = ctx.gradient
        if _graph_is_kept():
            return (gradient * scale).to(student.dtype), None, None
        del ctx.gradient  # nobody else needs it, so it is scaled where it is
        if not scale.is_cpu or scale.item() != 1:  # elsewhere looking would make the host wait
            gradient.mul_(scale)
        return gradient.to(student.dtype), None, None


def _without_autocast(device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, enabled=False) if _has_autocast(device) and torch.is_autocast_enabled(device) else nullcontext()


@lru_cache
def _has_autocast(device: str) -> bool:
    return torch.amp.is_autocast_available(device)


def _graph_is_kept() -> bool:
    """Whether this backward pass runs with retain_graph, so that another may follow; where torch doesn't tell, as if it did."""
    tells = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return True if tells is None else bool(tells())
