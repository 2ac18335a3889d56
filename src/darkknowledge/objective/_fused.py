"""The labels + soft mixture as one private operation: its forward pass finds total, terms and gradient, its backward pass only scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from darkknowledge.contract import Answer, Dense, Loss, Sparse
from darkknowledge.errors import UsageError
from darkknowledge.objective._checks import check_labels, check_logits, check_pair
from darkknowledge.objective._closed_form import Rows, dense_form, sparse_form
from darkknowledge.objective._divergence import exact_dtype
from darkknowledge.objective._evaluation import Evaluation
from darkknowledge.objective._schedule import Schedule
from darkknowledge.objective._term import Term, labelled
from darkknowledge.objective.hard_label import HardLabel
from darkknowledge.objective.hinton import Hinton
from darkknowledge.objective.soft_cross_entropy import SoftCrossEntropy

Work = Callable[[Tensor], tuple[Tensor, Tensor, Tensor | None]]
"""From detached student logits to the gradient and the two weighted terms."""


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
        counts: Mapping[str, Tensor],
        evaluation: Evaluation,
        plain: Callable[[Tensor], Tensor],
    ) -> Loss:
        """As `Mixture.loss`; ``plain`` gives the total of student logits by plain autograd, for a second derivative."""
        check_logits(student)
        name, entry = self.soft
        answer = teacher.compact(entry.term.temperature) if hasattr(teacher, "compact") else Dense(teacher.logits(entry.term.temperature))
        _check(student, answer)
        dtype = torch.promote_types(student.dtype, torch.float32)
        temperature = torch.full((), entry.term.temperature, dtype=dtype, device=student.device)
        soft = torch.full((len(student), 1), entry.weight(epoch), dtype=dtype, device=student.device) / counts[name].clamp_min(1)
        hard = None
        if self.hard is not None:
            check_labels(student, labels)
            share = self.hard[1].weight(epoch) / counts[self.hard[0]].clamp_min(1).to(dtype)
            hard = _Hard.of(labels, share, cast(HardLabel, self.hard[1].term).label_smoothing)

        def work(detached: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            return _evaluate(detached, answer, temperature, soft, hard, evaluation, entropy=type(entry.term) is SoftCrossEntropy)

        total, soft_value, hard_value = _ClosedForm.apply(student, work, plain)
        values = {name: soft_value} if self.hard is None else {name: soft_value, self.hard[0]: hard_value}
        return Loss(total, values)


@dataclass(frozen=True, slots=True)
class _Hard:
    """The hard term's labels, (B,) classes or (B, C) shares, its weights (B, 1), 0 where there is no label, what the smoothed labels of each
    example sum to times that (B, 1), and ε.
    """

    labels: Tensor
    weight: Tensor
    whole: Tensor
    smoothing: float

    @classmethod
    def of(cls, labels: Tensor, share: Tensor, smoothing: float) -> _Hard:
        """For a weight of each labelled example, a scalar."""
        weight = labelled(labels)[:, None] * share
        if not labels.is_floating_point():
            return cls(labels, weight, weight, smoothing)
        return cls(labels, weight, weight * ((1 - smoothing) * labels.sum(-1, keepdim=True) + smoothing), smoothing)


def _check(student: Tensor, answer: Dense | Sparse) -> None:
    if isinstance(answer, Dense):
        check_pair(student, answer.values)
    elif len(answer.ids) != len(student):
        raise UsageError(f"student logits are {len(student)} rows and the teacher's answers {len(answer.ids)}", fix="give both the same batch")


def _evaluate(
    student: Tensor, answer: Dense | Sparse, temperature: Tensor, soft: Tensor, hard: _Hard | None, evaluation: Evaluation, *, entropy: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradient (B, C), and the weighted terms."""
    weights = (temperature, soft, None if hard is None else hard.whole)
    if isinstance(answer, Dense):
        rows = evaluation(dense_form, student, (answer.values.detach(), answer.scale), *weights, entropy=entropy)
        gradient = rows.gradient
    else:
        kept = student.gather(1, answer.ids)
        rows = evaluation(sparse_form, student, (kept, answer.log_p, answer.log_rest), *weights, entropy=entropy)
        gradient = rows.gradient.scatter_add_(1, answer.ids, soft * temperature * (answer.log_rest.exp() - answer.log_p.exp()))
    value = temperature.square() * _summed(soft * rows.soft)
    return gradient, value, None if hard is None else _hard_part(student, hard, rows)


def _hard_part(student: Tensor, hard: _Hard, rows: Rows) -> Tensor:
    """The hard term's value, Σ h (log Σ exp(z) − Σ y z); what the labels y add to the gradient is added in place."""
    assert rows.log_partition is not None
    assert rows.highest is not None
    if hard.labels.is_floating_point():
        rows.gradient.sub_((1 - hard.smoothing) * hard.weight * hard.labels)
        met = (hard.labels * (student - rows.highest)).sum(-1, keepdim=True)
    else:
        classes = hard.labels.clamp_min(0)[:, None].long()
        rows.gradient.scatter_add_(1, classes, (hard.smoothing - 1) * hard.weight)
        met = student.gather(1, classes) - rows.highest
    if hard.smoothing:
        rows.gradient.sub_(hard.weight * hard.smoothing / student.shape[1])
        met = (1 - hard.smoothing) * met + hard.smoothing * (student - rows.highest).mean(-1, keepdim=True)
    return _summed(hard.whole * rows.log_partition - hard.weight * met)


def _summed(column: Tensor) -> Tensor:
    """The sum of (B, 1), added up in `exact_dtype`."""
    return column.sum(dtype=exact_dtype(column.device)).to(column.dtype)


class _ClosedForm(torch.autograd.Function):
    """Student logits (B, C) to total and detached terms by ``work``, which finds the gradient too; ``plain`` is the total by plain autograd."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, work: Work, plain: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        with _without_autocast(student.device.type):
            gradient, soft, hard = work(student.detach())
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
        if not _graph_is_kept():
            del ctx.gradient  # nobody else needs it, so it is scaled where it is
            return gradient.mul_(scale).to(student.dtype), None, None
        return (gradient * scale).to(student.dtype), None, None


def _without_autocast(device: str) -> AbstractContextManager[object]:
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _graph_is_kept() -> bool:
    """Whether this backward pass runs with retain_graph, so that another may follow; where torch doesn't tell, as if it did."""
    tells = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return True if tells is None else bool(tells())
