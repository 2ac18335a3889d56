"""What the labels of a batch are to the closed form: weights, one logit for each example, and what single classes take off the gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.objective._checks import check_labels
from darkknowledge.objective._closed_form import working_dtype
from darkknowledge.objective._term import labelled


@dataclass(frozen=True, slots=True)
class Target:
    """Labels y, (B,) classes or (B, C) shares, with ε of each spread over all classes.

    ``share`` is the weight of an example, (B, 1) with 0 where there is no label, or a scalar where all have one. ``weights`` is that times the sum of
    y, which for classes is 1 and for shares nearly so.
    """

    labels: Tensor
    share: Tensor
    weights: Tensor
    smoothing: float
    classes: Tensor
    """(B, 1), any class where there is no label; of shares nothing."""

    @classmethod
    def of(cls, student: Tensor, labels: Tensor, weight: Tensor, smoothing: float, *, count: Tensor | None, spread: bool) -> Target:
        """For a weight that ``count`` labelled examples share, by default those that are labelled here; ``spread`` makes a column of a scalar.

        Raises:
            UsageError: the labels do not fit the student's logits.
        """
        if check_labels(student, labels) and not spread:
            share = weight / (max(len(labels), 1) if count is None else count)
            return cls(labels, share, share, smoothing, labels[:, None].long())
        known = labelled(labels)
        share = known[:, None] * (weight / (known.sum() if count is None else count).clamp_min(1))
        if not labels.is_floating_point():
            return cls(labels, share, share, smoothing, labels.clamp_min(0)[:, None].long())
        labels = labels.to(share.dtype)
        return cls(labels, share, share * ((1 - smoothing) * labels.sum(-1, keepdim=True) + smoothing), smoothing, labels)

    def logit(self, student: Tensor) -> Tensor:
        """Σ y z / Σ y (B, 1), for the student's logits z (B, C)."""
        dtype = working_dtype(student.dtype)
        if not self.labels.is_floating_point():
            met = student.gather(1, self.classes).to(dtype)
            return (1 - self.smoothing) * met + self.smoothing * student.mean(-1, keepdim=True, dtype=dtype) if self.smoothing else met
        met, whole = (self.labels * student).sum(-1, keepdim=True), self.labels.sum(-1, keepdim=True)
        if self.smoothing:
            met = (1 - self.smoothing) * met + self.smoothing * student.mean(-1, keepdim=True, dtype=dtype)
            whole = (1 - self.smoothing) * whole + self.smoothing
        return met / torch.where(whole == 0, 1.0, whole)

    def take_off(self, gradient: Tensor) -> None:
        """Subtract the weighted y from the gradient (B, C), in place."""
        if self.labels.is_floating_point():
            gradient.sub_((1 - self.smoothing) * self.share * self.labels)
        else:
            gradient.scatter_add_(1, self.classes, ((self.smoothing - 1) * self.share).expand(len(gradient), 1))
        if self.smoothing:
            gradient.sub_(self.share * (self.smoothing / gradient.shape[1]))
