"""Divergence of two normal distributions: distillation of regression networks that answer with a mean and a variance."""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.errors import UsageError
from darkknowledge.objective._divergence import exactly, widen


def gaussian_kl(student_mean: Tensor, student_log_variance: Tensor, teacher_mean: Tensor, teacher_log_variance: Tensor) -> Tensor:
    r"""Divergence of the student's normal distribution from the teacher's, per example, in nats, summed over the components.

    .. math:: \mathrm{KL}(\mathcal{N}(\mu_t, \sigma_t^2) \,\|\, \mathcal{N}(\mu_s, \sigma_s^2))
              = \frac12 \left( e^{\delta} - 1 - \delta + \frac{(\mu_t - \mu_s)^2}{\sigma_s^2} \right), \qquad
              \delta = \log \sigma_t^2 - \log \sigma_s^2

    Networks give the logarithm of the variance because it may take any value. The soft targets here are the teacher's mean and its doubt; a
    student that matches both learns more from an example than from one measured number.

    Args:
        student_mean: μ_s (B, …), one normal distribution for each component.
        student_log_variance: log σ_s² (B, …).
        teacher_mean: μ_t (B, …), receives no gradient.
        teacher_log_variance: log σ_t² (B, …), receives no gradient.

    Returns:
        (B,) in float32 or wider, not negative, 0 where mean and variance agree.

    Raises:
        UsageError: the four differ in shape, have no dimension or are not floating-point.

    >>> import torch
    >>> mean, log_variance = torch.tensor([[0.0]]), torch.tensor([[0.0]])
    >>> gaussian_kl(mean, log_variance, mean + 1, log_variance)
    tensor([0.5000])

    Source: Kullback & Leibler (1951) for the divergence; the normal case is a textbook identity, Bishop (2006), exercise 1.30.
    """
    given = (student_mean, student_log_variance, teacher_mean, teacher_log_variance)
    shapes = [tuple(tensor.shape) for tensor in given]
    if len(set(shapes)) > 1 or not shapes[0] or not all(tensor.is_floating_point() for tensor in given):
        raise UsageError(
            f"student mean, student log-variance, teacher mean and teacher log-variance have shapes {', '.join(map(str, shapes))} "
            f"and dtypes {', '.join(str(tensor.dtype) for tensor in given)}",
            why="each component needs all four; nothing is broadcast",
            fix="give four floating-point tensors of one shape (B, …)",
        )
    log_ratio = exactly(teacher_log_variance.detach()) - exactly(student_log_variance)
    distance = (exactly(teacher_mean.detach()) - exactly(student_mean)).square() * (-exactly(student_log_variance)).exp()
    each = torch.expm1(log_ratio) - log_ratio + distance
    return widen(each.reshape(len(each), -1).sum(-1) / 2, student_mean)
