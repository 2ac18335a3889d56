"""Cross-entropy with hard labels, at temperature 1: what a network is trained on without a teacher."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from darkknowledge.contract import IGNORED
from darkknowledge.objective._checks import check_fraction, check_labels, check_logits, check_pair, check_probabilities
from darkknowledge.objective._divergence import exactly, widen
from darkknowledge.objective._term import Term, labelled, needed


def hard_label(student: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    r"""Cross-entropy of the student with the class of each example, per example, in nats.

    .. math:: -\sum_i y_i \log q_i, \qquad y_i = (1 - \epsilon) [i = \text{label}] + \epsilon / C, \quad q = \operatorname{softmax}(z)

    Args:
        student: logits z (B, C).
        labels: class indices (B,) of an integer dtype; `darkknowledge.contract.IGNORED` (−100) marks an unknown class. For mixed pictures shares y
            (B, C) of a floating-point dtype, each row summing to 1; a row of zeros marks unknown classes.
        label_smoothing: ε in [0, 1], the share of the label that is spread evenly over all classes.

    Returns:
        (B,) in float32 or wider, not negative, 0 for ignored examples.

    Raises:
        UsageError: shapes or dtypes that do not fit, ε outside [0, 1], or (on the CPU) a label that is no class, or a row that holds no shares.

    >>> import torch
    >>> hard_label(torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), torch.tensor([0, -100]))
    tensor([0.4076, 0.0000])
    >>> hard_label(torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 0.0]]))
    tensor([0.6576, 0.0000])

    Source: Hinton, Vinyals & Dean (2015), section 2, the second objective; label smoothing: Szegedy et al. (2016), section 7; mixed pictures:
    Zhang et al. (2018), section 2.
    """
    check_logits(student)
    check_labels(student, labels)
    smoothing = check_fraction("label_smoothing", label_smoothing)
    if labels.is_floating_point():
        shares = (1 - smoothing) * exactly(labels.detach()) + smoothing / labels.shape[1]
        return _cross_entropy(student, shares * labelled(labels)[:, None])
    each = F.cross_entropy(exactly(student), labels.long(), ignore_index=IGNORED, reduction="none", label_smoothing=smoothing)
    return widen(each, student)


def hard_label_from_probabilities(student: Tensor, targets: Tensor) -> Tensor:
    r"""Cross-entropy of the student, at temperature 1, with one probability per class, :math:`-\sum_i y_i \log q_i`, per example, in nats.

    For labels that several people disagree on. For a teacher's soft targets use `hinton` or `soft_cross_entropy`.

    Args:
        student: logits (B, C); the only argument that receives a gradient.
        targets: probabilities y (B, C), each row summing to 1.

    Returns:
        (B,) in float32 or wider.

    Raises:
        UsageError: shapes or dtypes that do not fit, or (on the CPU) a row that is no distribution.

    >>> import torch
    >>> hard_label_from_probabilities(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.5, 0.0]]))
    tensor([0.9076])
    """
    check_pair(student, targets, "target probabilities")
    check_probabilities(targets, "probabilities")
    return _cross_entropy(student, exactly(targets.detach()))


class HardLabel(Term):
    """`hard_label` as a module: the mean over the labelled examples of a batch.

    >>> import torch
    >>> HardLabel()(torch.tensor([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]]), torch.tensor([0, -100]))
    tensor(0.4076)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels"})

    def __init__(self, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = check_fraction("label_smoothing", label_smoothing)

    def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """(B,), from logits (B, C) and labels (B,) or, of mixed pictures, (B, C); the teacher is not looked at."""
        return hard_label(student, needed(labels, "labels"), label_smoothing=self.label_smoothing)

    def formula(self) -> str:
        smooth = self.label_smoothing
        return f"H({1 - smooth:g}·y + {smooth:g}/C, softmax(z))" if smooth else "H(y, softmax(z))"


def _cross_entropy(student: Tensor, targets: Tensor) -> Tensor:
    return widen((targets * -torch.log_softmax(exactly(student), dim=-1)).sum(-1), student)
