"""The softmax at a temperature, and how much it tells."""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.objective._checks import check_temperature
from darkknowledge.objective._divergence import exactly, widen


def soften(logits: Tensor, *, temperature: float) -> Tensor:
    r"""Probabilities of logits at a temperature.

    .. math:: q_i = \frac{\exp(z_i / T)}{\sum_j \exp(z_j / T)}

    T = 1 is the usual softmax. A higher temperature gives a softer distribution, uniform in the limit; a lower one tends to the class of the
    largest logit. Networks are trained at a high temperature and used at 1.

    Args:
        logits: (…, C).
        temperature: T, finite and above 0.

    Returns:
        (…, C) in float32 or wider; each row sums to 1.

    Raises:
        UsageError: the temperature is no finite number above 0.

    >>> import torch
    >>> soften(torch.tensor([4.0, 2.0, 0.0]), temperature=1.0)
    tensor([0.8668, 0.1173, 0.0159])
    >>> soften(torch.tensor([4.0, 2.0, 0.0]), temperature=4.0)
    tensor([0.5065, 0.3072, 0.1863])

    Source: Hinton, Vinyals & Dean (2015), equation 1.
    """
    return widen(log_soften(exactly(logits), temperature=temperature).exp(), logits)


def log_soften(logits: Tensor, *, temperature: float) -> Tensor:
    """Natural logarithm of `soften`, finite where the probability itself would round to 0; arguments and errors as there."""
    temperature = check_temperature(temperature)
    return widen(torch.log_softmax(exactly(logits) / temperature, dim=-1), logits)


def entropy(logits: Tensor, *, temperature: float) -> Tensor:
    r"""Entropy in nats of the softened distribution, :math:`H = -\sum_i q_i \log q_i`, from 0 to log C.

    It grows with the temperature; soft targets of high entropy carry more information per case than hard labels, whose entropy is 0.

    Args:
        logits: (…, C).
        temperature: T, finite and above 0.

    Returns:
        (…) in float32 or wider.

    Raises:
        UsageError: the temperature is no finite number above 0.

    >>> import torch
    >>> entropy(torch.tensor([4.0, 2.0, 0.0]), temperature=4.0)
    tensor(1.0202)

    Source: Hinton, Vinyals & Dean (2015), section 1.
    """
    log_q = log_soften(exactly(logits), temperature=temperature)
    return widen(-(log_q.exp() * log_q).sum(-1), logits)


def effective_classes(logits: Tensor, *, temperature: float) -> Tensor:
    """Number of equally likely classes with the same entropy, exp(H): 1 for a certain answer, C for a uniform one; else as `entropy`.

    >>> import torch
    >>> effective_classes(torch.tensor([4.0, 2.0, 0.0]), temperature=4.0)
    tensor(2.7737)
    """
    return entropy(logits, temperature=temperature).exp()
