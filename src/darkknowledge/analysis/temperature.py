r"""One temperature for a finished network, chosen on held-out labels.

Dividing logits by a temperature moves their confidence and leaves their order, so the accuracy stays and the calibration changes. This is the
repair of a network that is over- or under-confident, and no part of distillation: there the temperature is chosen before training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from darkknowledge.analysis._labelled import labelled
from darkknowledge.analysis.calibration import nll

COLDEST, HOTTEST = 0.01, 100.0
"""Where the search ends. A network that makes no error has its optimum at 0, one that knows nothing at infinity."""


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """The best temperature and the NLL (nats) of the logits it was fitted on, before and after. At an end of the range it is no optimum."""

    temperature: float
    nll_before: float
    nll_after: float


def fit_temperature(logits: Tensor, labels: Tensor) -> TemperatureFit:
    r"""The temperature in [0.01, 100] that minimises the NLL of ``logits`` (N, C) / T against ``labels`` (N,).

    In the inverse temperature :math:`\beta = 1/T` the mean of :math:`\log \sum_k e^{\beta z_k} - \beta z_y` is convex, and its slope, the mean of
    :math:`E_{p_\beta}[z] - z_y`, never falls. Halving the range in log T around the root of the slope therefore finds the optimum, from any start
    and at any scale of the logits, to eight digits.

    Raises:
        UsageError, DataError: shapes that don't fit, labels that are no classes, logits that are not finite, nothing labelled.

    Source: Guo, Pleiss, Sun & Weinberger (2017), section 4.2, temperature scaling.
    """
    rows, classes = labelled(logits, labels)
    own = rows.gather(1, classes[:, None]).mean()
    cold, hot = COLDEST, HOTTEST
    if _slope(rows, own, temperature=hot) >= 0:
        cold = hot
    if _slope(rows, own, temperature=cold) <= 0:
        hot = cold
    while hot / cold > 1 + 1e-8:
        middle = math.sqrt(cold * hot)
        cold, hot = (middle, hot) if _slope(rows, own, temperature=middle) > 0 else (cold, middle)
    temperature = math.sqrt(cold * hot)
    return TemperatureFit(temperature, nll(rows, classes), nll(rows / temperature, classes))


def _slope(rows: Tensor, own: Tensor, *, temperature: float) -> float:
    """Derivative of the NLL with respect to the inverse temperature; ``own`` is the mean logit of the labels."""
    return (((rows / temperature).softmax(-1) * rows).sum(-1).mean() - own).item()
