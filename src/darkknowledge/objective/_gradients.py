r"""Derivatives of one example's loss with respect to the student's logits, in closed form.

Here are the bare derivatives of one example's cross-entropy: without the factor T² of `hinton` and `soft_cross_entropy` and without the 1/B of a
mean. Multiply by T² to compare them with what training sees. They explain why soft targets teach more per example; the derivation is in
``docs/gradients.md``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError
from darkknowledge.objective._checks import check_labels, check_logits, check_pair, check_temperature
from darkknowledge.objective._divergence import exactly, widen


def soft_target_gradient(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""Exact derivative of one example's soft cross-entropy, without T² and without 1/B.

    .. math:: \frac{\partial C}{\partial z_i} = \frac1T (q_i - p_i)
              = \frac1T \left( \frac{e^{z_i/T}}{\sum_j e^{z_j/T}} - \frac{e^{v_i/T}}{\sum_j e^{v_j/T}} \right)

    Args:
        student: logits z (B, C).
        teacher: logits v (B, C).
        temperature: T, finite and above 0.

    Returns:
        (B, C) in float32 or wider, without a graph; each row sums to 0.

    Raises:
        UsageError: shapes or dtypes that do not fit, or a temperature that makes no sense.

    >>> import torch
    >>> soft_target_gradient(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]]), temperature=1.0)
    tensor([[-0.2813,  0.1976,  0.0837]])

    Source: Hinton, Vinyals & Dean (2015), equation 2.
    """
    temperature = check_temperature(temperature)
    z, v = _pair(student, teacher)
    return widen((torch.softmax(z / temperature, -1) - torch.softmax(v / temperature, -1)) / temperature, student)


def high_temperature_gradient(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""`soft_target_gradient` with each exponential replaced by 1 + its argument, for a temperature that is high beside the logits.

    .. math:: \frac{\partial C}{\partial z_i} \approx \frac1T \left( \frac{1 + z_i/T}{N + \sum_j z_j/T} - \frac{1 + v_i/T}{N + \sum_j v_j/T} \right)

    Arguments, result and errors as there; N is the number of classes. The relative error falls as 1/T.

    Source: Hinton, Vinyals & Dean (2015), equation 3.
    """
    temperature = check_temperature(temperature)
    z, v = _pair(student, teacher)
    near_q, near_p = 1 + z / temperature, 1 + v / temperature
    return widen((near_q / near_q.sum(-1, keepdim=True) - near_p / near_p.sum(-1, keepdim=True)) / temperature, student)


def zero_mean_gradient(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    r"""`high_temperature_gradient` for logits whose mean over the classes is 0: the two are matched.

    .. math:: \frac{\partial C}{\partial z_i} \approx \frac{1}{N T^2} (z_i - v_i)

    The mean of each row is taken off first, as the paper assumes. Times T² it is the derivative of `logit_matching`, at every temperature.
    Arguments, result and errors as in `soft_target_gradient`. The relative error falls as 1/T.

    >>> import torch
    >>> 10.0**2 * zero_mean_gradient(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 1.0, -3.0]]), temperature=10.0)
    tensor([[-0.3333, -0.3333,  0.6667]])

    Source: Hinton, Vinyals & Dean (2015), equation 4.
    """
    temperature = check_temperature(temperature)
    z, v = _pair(student, teacher)
    gap = z - v
    return widen((gap - gap.mean(-1, keepdim=True)) / (gap.shape[-1] * temperature**2), student)


def hard_label_gradient(student: Tensor, labels: Tensor) -> Tensor:
    r"""Derivative of one example's cross-entropy with its class, without 1/B: :math:`\partial C / \partial z_i = q_i - [i = \text{label}]`.

    Its only zero is certainty; the derivative for a soft target vanishes where the student agrees with the teacher.

    Args:
        student: logits z (B, C).
        labels: class indices (B,), `darkknowledge.contract.IGNORED` where unknown.

    Returns:
        (B, C) in float32 or wider, without a graph; rows of ignored examples are 0.

    Raises:
        UsageError: shapes or dtypes that do not fit, or (on the CPU) a label that is no class.

    >>> import torch
    >>> hard_label_gradient(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([0]))
    tensor([[-0.3348,  0.2447,  0.0900]])
    """
    check_logits(student)
    check_labels(student, labels)
    valid = (labels != IGNORED)[:, None]
    q = torch.softmax(exactly(student.detach()), dim=-1)
    one_hot = torch.zeros_like(q).scatter(-1, labels.long()[:, None].clamp_min(0), 1.0)
    return widen(torch.where(valid, q - one_hot, 0.0), student)


def gradient_variance(gradients: Tensor) -> Tensor:
    r"""Total variance between cases: the trace of the covariance of their gradients.

    .. math:: \operatorname{tr} \operatorname{Cov} = \frac{1}{B-1} \sum_b \lVert g_b - \bar g \rVert^2, \qquad \bar g = \frac1B \sum_b g_b

    The gradient of a mini-batch of n cases misses the full gradient by this over n, in expected squared length: half the variance does with half
    the cases. Soft targets have less of it than hard labels. To compare temperatures multiply the gradients by T² first, and the
    result by what the mean gradient's squared length demands.

    Args:
        gradients: one gradient for each case (B, …), with respect to logits, as the functions above give, or to parameters.

    Returns:
        A scalar in float32 or wider, not negative; the unit is that of the gradient, squared.

    Raises:
        UsageError: fewer than two cases, or no floating-point tensor.

    >>> import torch
    >>> gradient_variance(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    tensor(2.)

    Source: Hinton, Vinyals & Dean (2015), section 1, "much less variance in the gradient between training cases".
    """
    if gradients.ndim < 1 or len(gradients) < 2 or not gradients.is_floating_point():
        raise UsageError(
            f"gradients have shape {tuple(gradients.shape)} and dtype {gradients.dtype}; floating-point (B, …) with B ≥ 2 is expected",
            why="a variance between cases needs two of them",
        )
    return widen(exactly(gradients.detach()).reshape(len(gradients), -1).var(0).sum(), gradients)


def _pair(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    check_pair(student, teacher)
    return exactly(student.detach()), exactly(teacher.detach())
