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
from darkknowledge.objective import _checks
from darkknowledge.objective._closed_form import Found, dense_form, hard_form, pass_over, sparse_form, working_dtype
from darkknowledge.objective._evaluation import Evaluation
from darkknowledge.objective._schedule import Schedule
from darkknowledge.objective._target import Target
from darkknowledge.objective._term import Term
from darkknowledge.objective.hard_label import HardLabel
from darkknowledge.objective.hinton import Hinton
from darkknowledge.objective.soft_cross_entropy import SoftCrossEntropy

Work = Callable[[Tensor], Found]
"""From student logits to the weighted terms and the gradient."""


class Entry(Protocol):
    """A term of a mixture and its weight."""

    @property
    def term(self) -> Term: ...
    @property
    def weight(self) -> Schedule: ...


@dataclass(frozen=True, slots=True)
class Fused:
    """A soft term, a hard one, or both, each under its name."""

    soft: tuple[str, Entry] | None
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
        return cls(kinds.get("soft"), kinds.get("hard"))

    def loss(
        self,
        student: Tensor,
        teacher: Answer | None,
        labels: Tensor,
        *,
        epoch: float,
        counts: Mapping[str, Tensor] | None,
        evaluation: Evaluation,
        plain: Callable[[Tensor], Tensor],
    ) -> Loss:
        """As `Mixture.loss`; ``plain`` gives the total of student logits by plain autograd, for a second derivative."""
        _checks.check_logits(student)
        compiled = evaluation.begin(student)
        soft, target = None, None
        if self.soft is not None:
            soft = _Soft.of(*self.soft, student, teacher, epoch=epoch, counts=counts)
        if self.hard is not None:
            name, entry = self.hard
            weight = _scalar(entry.weight(epoch), working_dtype(student.dtype), student.device)
            given, smoothing = None if counts is None else counts[name], cast(HardLabel, entry.term).label_smoothing
            target = Target.of(student, labels, weight, smoothing, count=given, spread=compiled)

        def work(detached: Tensor) -> Found:
            return _evaluate(detached, soft, target, evaluation)

        total, *values = _ClosedForm.apply(student, work, plain)
        return Loss(total, {named[0]: value for named, value in zip((self.soft, self.hard), values, strict=True) if named is not None})


@dataclass(frozen=True, slots=True)
class _Soft:
    """The soft term: the teacher's answer, the temperature, the weight of an example (scalars both), and whether the entropy of p is in its value."""

    answer: Dense | Sparse
    temperature: Tensor
    weight: Tensor
    entropy: bool

    @classmethod
    def of(cls, name: str, entry: Entry, student: Tensor, teacher: Answer | None, *, epoch: float, counts: Mapping[str, Tensor] | None) -> _Soft:
        temperature = _checks.check_temperature(entry.term.temperature)
        if teacher is None:
            raise UsageError(f"the objective's term {name!r} needs a teacher, and there is none")
        answer = teacher.compact(temperature) if hasattr(teacher, "compact") else Dense(teacher.logits(temperature))
        _check(student, answer)
        dtype, device = working_dtype(student.dtype), student.device
        count = max(len(student), 1) if counts is None else counts[name].clamp_min(1)
        weight = _scalar(entry.weight(epoch), dtype, device) / count
        return cls(answer, _scalar(temperature, dtype, device), weight, entropy=type(entry.term) is SoftCrossEntropy)


@lru_cache(maxsize=256)
def _made_once(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full((), value, dtype=dtype, device=device)


def _scalar(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A number on the device, made once; anew where somebody watches or replaces what torch does, as that is no number to keep."""
    watched = torch._C._len_torch_dispatch_stack() > 0
    return torch.full((), value, dtype=dtype, device=device) if watched else _made_once(value, dtype, device)


def _check(student: Tensor, answer: Dense | Sparse) -> None:
    if isinstance(answer, Dense):
        _checks.check_same_shape(student, answer.values)
        if answer.scale is None:
            _checks.check_logits(answer.values, "teacher logits")
    elif len(answer.ids) != len(student):
        raise UsageError(f"student logits are {len(student)} rows and the teacher's answers {len(answer.ids)}", fix="give both the same batch")
    else:
        _checks.check_known_classes(answer, student.shape[1])


def _evaluate(student: Tensor, soft: _Soft | None, hard: Target | None, evaluation: Evaluation) -> Found:
    """Gradient (B, C), and the weighted terms."""
    weights, logit = (None, None) if hard is None else (hard.weights, hard.logit(student))
    if soft is None:
        found = evaluation(hard_form, student, weights, logit)
    elif isinstance(soft.answer, Dense):
        answer = soft.answer
        found = evaluation(dense_form, student, answer.values, answer.scale, soft.temperature, soft.weight, weights, logit, entropy=soft.entropy)
    else:
        known = soft.answer.to(working_dtype(student.dtype))
        passed = evaluation(pass_over, student, known.log_rest.exp(), soft.temperature, soft.weight, weights)
        kept = student.gather(1, known.ids)
        found = sparse_form(passed, kept, known, soft.temperature, soft.weight, weights, logit, entropy=soft.entropy)
    if hard is not None:
        hard.take_off(found.gradient)
    return found


class _ClosedForm(torch.autograd.Function):
    """Student logits (B, C) to total and detached terms by ``work``, which finds the gradient too; ``plain`` is the total by plain autograd."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, work: Work, plain: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        with _without_autocast(student.device.type):
            soft, hard, gradient = work(student)
        # float16 cannot hold the small parts of a mean before they are scaled; bfloat16 has the range.
        ctx.gradient, ctx.plain = gradient if student.dtype == torch.float16 else gradient.to(student.dtype), plain
        ctx.save_for_backward(student)
        there = [part for part in (soft, hard) if part is not None]
        ctx.mark_non_differentiable(*there)
        return there[0].clone() if len(there) == 1 else there[0] + there[1], soft, hard

    @staticmethod
    def backward(ctx: Any, scale: Tensor, *terms: Any) -> tuple[Tensor, None, None]:
        (student,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants derivatives of this one
            with _without_autocast(student.device.type):
                alias = student.view_as(student)  # the hooks of the logits themselves are called when this returns
                (gradient,) = torch.autograd.grad(ctx.plain(alias), alias, scale, create_graph=True)
            return gradient, None, None
        gradient = ctx.gradient
        if _graph_is_kept():
            return (gradient * scale).to(student.dtype), None, None
        del ctx.gradient  # nobody else needs it, so it is scaled where it is
        if not (_checks.can_look(scale) and scale.item() == 1):
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
