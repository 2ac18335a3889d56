"""What every measurement starts from: the logits and labels of the labelled examples, checked, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.errors import DataError, UsageError


def labelled(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of ``logits`` (N, C) and ``labels`` (N,) whose label is not `IGNORED`, the logits as float64 without a graph.

    Raises:
        UsageError: the shapes don't fit, or the labels are no integers.
        DataError: a label is not a class, a logit is not finite, or no example is labelled.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise UsageError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} don't fit",
            fix="pass logits (N, C) and one label per row (N,), the batches concatenated",
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise UsageError(f"labels are {labels.dtype}", fix="pass class indices as integers")
    known = labels != IGNORED
    rows, classes = logits.detach()[known].double(), labels.detach()[known].long()
    if not len(rows):
        raise DataError(f"none of the {len(labels)} examples is labelled", why="there is nothing to measure against")
    wrong = (classes < 0) | (classes >= logits.shape[1])
    if wrong.any():
        raise DataError(
            f"label {int(classes[wrong][0])} is not a class", why=f"the logits have {logits.shape[1]} classes, 0 to {logits.shape[1] - 1}"
        )
    if not rows.isfinite().all():
        row = int((~logits.isfinite().all(-1) & known).nonzero()[0])
        raise DataError(f"the logits of example {row} are not finite", why="every mean over the examples would be NaN")
    return rows, classes
