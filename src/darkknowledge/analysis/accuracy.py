"""How often a network is right."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.analysis._labelled import labelled
from darkknowledge.errors import UsageError


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares lie in [0, 1]; ``top5`` is None with five classes or fewer, ``per_class`` has None for a class without an example."""

    examples: int
    errors: int
    top1: float
    top5: float | None
    per_class: tuple[float | None, ...]


def measure_accuracy(logits: Tensor, labels: Tensor) -> Accuracy:
    """Accuracy of ``logits`` (N, C) against ``labels`` (N,); examples labelled `IGNORED` are left out.

    Raises:
        UsageError, DataError: as `labelled`: shapes that don't fit, labels that are no classes, logits that are not finite, nothing labelled.

    >>> measure_accuracy(torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 1, 1]))
    Accuracy(examples=3, errors=1, top1=0.6666666666666666, top5=None, per_class=(1.0, 0.5))
    """
    logits, labels = labelled(logits, labels)
    right = _rank(logits, labels) == 0
    return Accuracy(
        examples=len(labels),
        errors=int((~right).sum()),
        top1=right.double().mean().item(),
        top5=top_k_accuracy(logits, labels, k=5) if logits.shape[1] > 5 else None,
        per_class=_per_class(right, labels, classes=logits.shape[1]),
    )


def top_k_accuracy(logits: Tensor, labels: Tensor, *, k: int = 1) -> float:
    """Share of the labelled examples whose class is among the ``k`` largest logits; among equal logits the lower class index comes first.

    Raises:
        UsageError: ``k`` is not between 1 and the number of classes; and as `measure_accuracy`.
    """
    logits, labels = labelled(logits, labels)
    if not 1 <= k <= logits.shape[1]:
        raise UsageError(f"top-{k} accuracy of {logits.shape[1]} classes", fix=f"choose k between 1 and {logits.shape[1]}")
    return (_rank(logits, labels) < k).double().mean().item()


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """For each labelled example, in order, whether its largest logit is its label's: (N,) bool. What `mcnemar` pairs."""
    return _rank(*labelled(logits, labels)) == 0


def _rank(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the label. Counting, unlike ``topk``, leaves no order of equal logits to chance."""
    own = logits.gather(1, labels[:, None])
    lower = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & lower)).sum(1)


def _per_class(right: Tensor, labels: Tensor, *, classes: int) -> tuple[float | None, ...]:
    totals = torch.bincount(labels, minlength=classes).tolist()
    rights = torch.bincount(labels[right], minlength=classes).tolist()
    return tuple(hits / total if total else None for hits, total in zip(rights, totals, strict=True))
