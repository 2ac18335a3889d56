"""Matching of logits: what the soft term becomes when the temperature is high."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor

from darkknowledge.objective._checks import check_pair
from darkknowledge.objective._divergence import exactly, widen
from darkknowledge.objective._term import Term, needed


def logit_matching(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Half the variance of the logit gap over the classes, per example, in squared logits.

    .. math:: \lim_{T \to \infty} T^2 \, \mathrm{KL}(p \,\|\, q) = \frac{1}{2N} \sum_i (g_i - \bar g)^2, \qquad g = z - v

    over N classes. Its gradient is :math:`(g_i - \bar g)/N`, the zero-mean form of the paper's derivative times T². Taking off the mean gap is
    what makes this the limit of a divergence between softmaxes, for which a constant added to all logits means nothing.

    Args:
        student: logits z (B, C); the only argument that receives a gradient.
        teacher: logits v (B, C).

    Returns:
        (B,) in float32 or wider, not negative.

    Raises:
        UsageError: shapes or dtypes that do not fit.

    >>> import torch
    >>> logit_matching(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]]))
    tensor([0.7778])

    Source: Hinton, Vinyals & Dean (2015), section 2.1, equations 3 and 4; Buciluă, Caruana & Niculescu-Mizil (2006) for the matching of logits.
    """
    check_pair(student, teacher)
    gap = exactly(student) - exactly(teacher.detach())
    return widen((gap - gap.mean(-1, keepdim=True)).square().mean(-1) / 2, student)


class LogitMatching(Term):
    """`logit_matching` as a module: the mean over a batch, from student and teacher logits.

    >>> import torch
    >>> LogitMatching()(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]]))
    tensor(0.7778)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"teacher"})
    temperature = math.inf

    def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """(B,), from logits (B, C) of both; the labels are not looked at."""
        return logit_matching(student, needed(teacher, "teacher logits"))

    def formula(self) -> str:
        return "½ Var(z − v)"
