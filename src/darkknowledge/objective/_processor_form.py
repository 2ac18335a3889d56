"""The closed form for a processor that does not compile: the same formula, in few passes because values are looked at.

Looking costs nothing on a processor, and spares what most batches do not need: the far classes, of which the student holds e⁴⁰ times as much as the
formula's centre, and the series, which only a high temperature needs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.objective._closed_form import Found, dense_form, shifted, working_dtype

FAR = 40.0
"""p e^y is q (1 + s) to the last digit up to here, as p has not come near the smallest number yet."""

SERIES = 0.05
"""Up to this abs(y), four terms give e^y − 1 − y to the last digit, where the difference itself would have lost three."""


def processor_form(
    student: Tensor,
    values: Tensor,
    scale: Tensor | None,
    temperature: Tensor,
    soft: Tensor,
    hard: Tensor | None,
    labelled: Tensor | None,
    *,
    entropy: bool,
) -> Found:
    """As `dense_form`: s = Σ p (e^y − 1 − y), KL = log(1 + s) and q − p = p (e^y − 1 − s) / (1 + s)."""
    z, highest = shifted(student, working_dtype(student.dtype))
    v = shifted(values, z.dtype)[0]
    v = v if scale is None else v.mul_(scale)
    rate = temperature.reciprocal()
    y = (z - v).mul_(rate)
    p = v.mul_(rate).exp_()
    p *= p.sum(-1, keepdim=True).reciprocal_()
    y -= torch.linalg.vecdot(p, y)[:, None]
    low, high = map(float, y.aminmax())
    if not high < FAR:
        return dense_form(student, values, scale, temperature, soft, hard, labelled, entropy=entropy)
    grown = y.expm1()
    s = torch.linalg.vecdot(p, _series(y) if max(-low, high) < SERIES else grown - y)[:, None]
    divergence = s.log1p()
    if entropy:
        divergence = divergence + torch.special.entr(p).sum(-1, keepdim=True)
    gradient = grown.sub_(s).mul_(p).mul_(soft * temperature / (1 + s))
    if hard is None or labelled is None:
        return Found((soft * divergence).sum() * temperature.square(), None, gradient)
    e = z.exp_()
    total = e.sum(-1, keepdim=True)
    gradient.addcmul_(e, hard / total)
    return Found((soft * divergence).sum() * temperature.square(), (hard * (total.log() - (labelled - highest))).sum(), gradient)


def _series(y: Tensor) -> Tensor:
    """e^y − 1 − y."""
    return y.square() * (0.5 + y * (1 / 6 + y * (1 / 24 + y / 120)))
