r"""KL(p ‖ q) that keeps its digits at every temperature.

At a high temperature p and q nearly agree, and the textbook sum of p (log p − log q) is a small difference of large numbers: at T = 10⁴ nothing of
it is left in float32. Two things cure that. The sums are computed in float64. And since p and q both sum to 1, the same divergence is

.. math:: \sum_i q_i - p_i - p_i r_i = \sum_i p_i (e^{r_i} - 1 - r_i), \qquad r_i = \log q_i - \log p_i,

in which no term is negative, so that nothing cancels between classes, and an error that all r_i share has no effect to first order.
"""

from __future__ import annotations

import torch
from torch import Tensor


def divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(p ‖ q) of each row in nats (…), from log-probabilities (…, C) that are exact (`exactly`) and finite.

    Both forms of a class's share are the same number: the first has its digits where q is near p, the second cannot overflow where q is larger.
    """
    p, ratio = log_p.exp(), log_q - log_p
    near = p * (torch.expm1(ratio.clamp(max=1.0)) - ratio)
    larger = log_q.exp() - p - p * ratio
    return torch.where(ratio < 1, near, larger).sum(-1)


def exactly(tensor: Tensor) -> Tensor:
    """The tensor in the dtype that sums over classes are computed in."""
    return tensor.to(exact_dtype(tensor.device))


def exact_dtype(device: torch.device) -> torch.dtype:
    """The dtype float64; float32 on Apple's GPUs, which have nothing wider: there digits are lost where p and q are near."""
    return torch.float32 if device.type == "mps" else torch.float64


def widen(tensor: Tensor, like: Tensor) -> Tensor:
    """A result for an argument ``like``: in that argument's dtype, or in float32 if that is narrower."""
    return tensor.to(torch.promote_types(like.dtype, torch.float32))
