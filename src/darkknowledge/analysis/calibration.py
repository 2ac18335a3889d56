r"""How far a network's probabilities can be believed.

Two proper scores (the negative log-likelihood and the Brier score), the expected calibration error over bins of equal width and of equal mass, and
the one temperature that repairs most of it. Everything is computed in float64, over all examples at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from darkknowledge.analysis._labelled import labelled
from darkknowledge.errors import UsageError

BINS = 15
"""The number of bins of Guo et al. (2017) and of most tables since."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Some examples of like confidence (the largest probability): their number, mean confidence and accuracy, and the bin's ends."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """NLL in nats, the Brier score in [0, 2], both calibration errors in [0, 1], and the equal-width bins of a reliability diagram."""

    nll: float
    brier: float
    ece: float
    ece_equal_mass: float
    reliability: tuple[Bin, ...]


def measure_calibration(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> Calibration:
    """Every measure of this file for ``logits`` (N, C) and ``labels`` (N,); examples labelled `IGNORED` are left out.

    Raises:
        UsageError: ``bins`` < 1, or shapes that don't fit.
        DataError: labels that are no classes, logits that are not finite, nothing labelled.
    """
    reliability = equal_width_bins(logits, labels, bins=bins)
    return Calibration(
        nll=nll(logits, labels),
        brier=brier(logits, labels),
        ece=ece(reliability),
        ece_equal_mass=ece(equal_mass_bins(logits, labels, bins=bins)),
        reliability=reliability,
    )


def nll(logits: Tensor, labels: Tensor) -> float:
    r"""Mean negative log-likelihood :math:`-\log p_y` of the labels, in nats.

    >>> round(nll(torch.zeros(2, 10), torch.tensor([3, 7])), 6)  # log 10
    2.302585
    """
    return F.cross_entropy(*labelled(logits, labels)).item()


def brier(logits: Tensor, labels: Tensor) -> float:
    r"""Mean of :math:`\sum_k (p_k - [k = y])^2`: the sum over all classes, from 0 to 2 (Brier, 1950), not the mean over them.

    >>> round(brier(torch.zeros(1, 2), torch.tensor([0])), 6)
    0.5
    """
    logits, labels = labelled(logits, labels)
    return (logits.softmax(-1) - F.one_hot(labels, logits.shape[1])).square().sum(-1).mean().item()


def ece(bins: tuple[Bin, ...]) -> float:
    r"""Expected calibration error :math:`\sum_b \frac{n_b}{N} \lvert \mathrm{acc}_b - \mathrm{conf}_b \rvert` of bins made below.

    Source: Guo, Pleiss, Sun & Weinberger (2017), equation 3.
    """
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / sum(one.count for one in bins)


def equal_width_bins(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Examples sorted into [0, 1/b), …, [1 − 1/b, 1] by confidence; a confidence of exactly 1 belongs to the last bin. Empty bins are left out."""
    confidence, right = _top(logits, labels, bins=bins)
    edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype, device=confidence.device)
    index = torch.bucketize(confidence, edges[1:-1], right=True)
    members = [(one, index == one) for one in range(bins)]
    return tuple(_bin(confidence[here], right[here], low=one / bins, high=(one + 1) / bins) for one, here in members if here.any())


def equal_mass_bins(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> tuple[Bin, ...]:
    """Examples in order of confidence, cut into ``bins`` parts whose sizes differ by at most one; a bin's ends are its extreme confidences.

    Where equal confidences straddle a cut, each example counts with the accuracy of its ties, so that the order of the examples does not matter.
    """
    confidence, right = _top(logits, labels, bins=bins)
    values, tie, count = torch.unique(confidence, return_inverse=True, return_counts=True)
    accuracy = torch.zeros_like(values).scatter_add_(0, tie, right) / count
    order = confidence.argsort()
    parts = zip(confidence[order].tensor_split(bins), accuracy[tie][order].tensor_split(bins), strict=True)
    return tuple(_bin(part, hits, low=part[0].item(), high=part[-1].item()) for part, hits in parts if len(part))


def _top(logits: Tensor, labels: Tensor, *, bins: int) -> tuple[Tensor, Tensor]:
    if bins < 1:
        raise UsageError(f"{bins} bins", fix="choose at least one bin; 15 is usual")
    logits, labels = labelled(logits, labels)
    # Two probabilities may round to the same value where their logits differ, so the prediction is read from the logits.
    return logits.softmax(-1).amax(-1), (logits.argmax(-1) == labels).double()


def _bin(confidence: Tensor, right: Tensor, *, low: float, high: float) -> Bin:
    return Bin(low, high, len(confidence), confidence.mean().item(), right.mean().item())
