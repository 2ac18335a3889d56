"""The formulas as the papers print them, in NumPy, for one example a row, in the widest float of the machine.

Slow and direct: no formula here is rearranged for accuracy. That is what the width is for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Wide = NDArray[np.longdouble]


def wide(values: ArrayLike) -> Wide:
    return np.asarray(values, dtype=np.longdouble)


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> Wide:
    """Logarithm of equation 1 of Hinton, Vinyals & Dean (2015)."""
    scaled = wide(logits) / wide(temperature)
    scaled = scaled - scaled.max(-1, keepdims=True)
    return scaled - np.log(np.exp(scaled).sum(-1, keepdims=True))


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Wide:
    return np.exp(log_softmax(logits, temperature))


def entropy(logits: ArrayLike, temperature: float) -> Wide:
    return -(softmax(logits, temperature) * log_softmax(logits, temperature)).sum(-1)


def hinton(student: ArrayLike, teacher: ArrayLike, temperature: float) -> Wide:
    """T² Σ p (log p − log q)."""
    log_p, log_q = log_softmax(teacher, temperature), log_softmax(student, temperature)
    return wide(temperature) ** 2 * (np.exp(log_p) * (log_p - log_q)).sum(-1)


def hinton_gradient(student: ArrayLike, teacher: ArrayLike, temperature: float) -> Wide:
    """Equation 2 times T²."""
    return wide(temperature) * (softmax(student, temperature) - softmax(teacher, temperature))


def soft_cross_entropy(student: ArrayLike, teacher: ArrayLike, temperature: float) -> Wide:
    """−T² Σ p log q."""
    return -(wide(temperature) ** 2) * (softmax(teacher, temperature) * log_softmax(student, temperature)).sum(-1)


def logit_matching(student: ArrayLike, teacher: ArrayLike) -> Wide:
    return (wide(student) - wide(teacher)).var(-1) / 2


def logit_matching_gradient(student: ArrayLike, teacher: ArrayLike) -> Wide:
    """Equation 4 times T², with logits made zero-mean first."""
    z, v = wide(student), wide(teacher)
    z, v = z - z.mean(-1, keepdims=True), v - v.mean(-1, keepdims=True)
    return (z - v) / z.shape[-1]


def targets_of(labels: ArrayLike, classes: int, label_smoothing: float) -> Wide:
    """One probability per class; a row of 0 for the label −100."""
    rows = np.asarray(labels)
    one_hot = wide(rows[:, None] == np.arange(classes))
    smooth = (1 - wide(label_smoothing)) * one_hot + wide(label_smoothing) / classes
    return smooth * (rows != -100)[:, None]


def cross_entropy(student: ArrayLike, targets: ArrayLike) -> Wide:
    """−Σ y log q at temperature 1."""
    return -(wide(targets) * log_softmax(student)).sum(-1)


def cross_entropy_gradient(student: ArrayLike, targets: ArrayLike) -> Wide:
    total = wide(targets).sum(-1, keepdims=True)
    return softmax(student) * total - wide(targets)


def gaussian_kl(student_mean: ArrayLike, student_log_variance: ArrayLike, teacher_mean: ArrayLike, teacher_log_variance: ArrayLike) -> Wide:
    """Log(σ_s/σ_t) + (σ_t² + (μ_t − μ_s)²) / (2 σ_s²) − 1/2, summed over the components."""
    student_sd, teacher_sd = np.exp(wide(student_log_variance) / 2), np.exp(wide(teacher_log_variance) / 2)
    distance = wide(teacher_mean) - wide(student_mean)
    each = np.log(student_sd / teacher_sd) + (teacher_sd**2 + distance**2) / (2 * student_sd**2) - wide(0.5)
    return each.reshape(len(each), -1).sum(-1)


def gradient_variance(gradients: ArrayLike) -> Wide:
    """Trace of the covariance matrix between cases."""
    rows = np.asarray(gradients, dtype=np.float64).reshape(len(np.asarray(gradients)), -1)
    return np.trace(np.atleast_2d(np.cov(rows, rowvar=False)))
