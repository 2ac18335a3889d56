"""A teacher's answer as log p (B, C): checked, exact, finite and without a graph. What kind of answer it is, the caller says; nothing is guessed."""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.objective._checks import check_pair, check_probabilities
from darkknowledge.objective._divergence import exactly


def from_logits(teacher: Tensor, temperature: float, *, student: Tensor) -> Tensor:
    """Log p of logits, softened at the temperature.

    Raises:
        UsageError: shapes or dtypes that do not fit the student's.
    """
    check_pair(student, teacher)
    return torch.log_softmax(exactly(teacher.detach()) / temperature, dim=-1)


def from_log_probabilities(teacher: Tensor, *, student: Tensor) -> Tensor:
    """Log p of log-probabilities that are already softened; −inf stands for a probability of 0.

    Raises:
        UsageError: shapes or dtypes that do not fit the student's, or (on the CPU) a row that is no distribution.
    """
    check_pair(student, teacher, "teacher log-probabilities")
    check_probabilities(teacher.exp(), "log-probabilities")
    return _normalised(exactly(teacher.detach()))


def from_probabilities(teacher: Tensor, *, student: Tensor) -> Tensor:
    """Log p of probabilities that are already softened.

    Raises:
        UsageError: shapes or dtypes that do not fit the student's, or (on the CPU) a row that is no distribution.
    """
    check_pair(student, teacher, "teacher probabilities")
    check_probabilities(teacher, "probabilities")
    return _normalised(exactly(teacher.detach()).log())


def _normalised(log_p: Tensor) -> Tensor:
    """−inf becomes a number whose exponential is 0 as well, so that no 0 × ∞ arises, and rounding in a row's sum is taken off."""
    return torch.log_softmax(log_p.clamp_min(-1e30), dim=-1)
