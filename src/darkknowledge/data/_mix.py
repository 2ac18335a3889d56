"""Mixup and CutMix whose partner, share and box belong to the example and the view, never to the batch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from numbers import Real

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, PLAIN, Batch
from darkknowledge.data._augment import within
from darkknowledge.data._beta import LARGEST_ALPHA, WHOLE, shares
from darkknowledge.data._pictures import Pictures
from darkknowledge.errors import UsageError, close_match
from darkknowledge.randomness import Stream, bits, uniform

USUAL_ALPHA = {"mixup": 0.2, "cutmix": 1.0}
"""The ways of mixing, each with the α of its paper's experiments on ImageNet."""


@dataclass(frozen=True, slots=True)
class Mixed:
    r"""Examples each of whose views is mixed with the same-numbered view of a partner from among these very examples.

    ``mixup`` shows :math:`\lambda a + (1 - \lambda) b` of the pictures a and b. ``cutmix`` shows a with a box of b, of the area 1 − λ around a
    uniform centre; what falls outside the picture is cut off, and λ becomes the share of a that is left. λ is drawn from Beta(α, α), and all
    shares are multiples of 2⁻¹⁶. The label is λ of one class and 1 − λ of the other, (B, C) float32, and a row of zeros where a class that shows
    is unknown. The plain pictures (``views=None``) are not mixed and keep their labels (B,).

    The partner is the ⌊uN⌋-th of the N sorted ids; u, λ and the centre are functions of (seed, id, view), the same on every device. Pictures are
    of 8 bits a pixel; each is read twice, once as a partner.

    Args:
        examples: what is mixed; a partner is never looked for elsewhere.
        kind: ``mixup`` or ``cutmix``.
        alpha: α above 0 and at most 100.
        classes: the number of classes C.
        seed: of all that is drawn here.

    Raises:
        UsageError: an unknown kind, or α out of its range.

    Sources: Zhang, Cissé, Dauphin & Lopez-Paz (2018), "mixup", section 2; Yun et al. (2019), "CutMix", section 3.1, equations 1 and 2.
    """

    examples: Pictures
    kind: str
    alpha: float = field(kw_only=True)
    classes: int = field(kw_only=True)
    seed: int = field(kw_only=True)
    _order: Tensor = field(init=False, repr=False, compare=False)
    """Positions (N,) by ascending id, found once and not for every batch."""

    def __post_init__(self) -> None:
        chosen_alpha(self.kind, self.alpha)
        object.__setattr__(self, "_order", self.ids.argsort(stable=True))

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def ids(self) -> Tensor:
        """(N,) int64."""
        return self.examples.ids

    @property
    def labels(self) -> Tensor:
        """(N,) int64, `IGNORED` where hidden: those of the plain pictures."""
        return self.examples.labels

    @property
    def resident_bytes(self) -> int | None:
        """What `to` moves; see `contract.Examples`."""
        size: int | None = getattr(self.examples, "resident_bytes", None)
        return None if size is None else size + self._order.nbytes

    @property
    def transform(self) -> str:
        """What a view shows; see `contract.Examples`. Which examples may be partners belongs to it."""
        partners = hashlib.sha256(self.ids[self._order].cpu().numpy().astype("<i8").tobytes()).hexdigest()[:12]
        before = "" if self.examples.transform == PLAIN else f"{self.examples.transform} "
        return f"{before}{self.kind}/1(alpha={float(self.alpha)!r}) partners={partners} seed={self.seed}"

    def to(self, device: torch.device | str) -> Mixed:
        """The same examples on another device, where they can lie there."""
        return replace(self, examples=self.examples.to(device))

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        """Batches of the examples at ``positions``; see `contract.Examples`."""
        if views is None:
            yield from self.examples.batches(positions, batch_size=batch_size, views=None)
            return
        positions, views = positions.to(self.ids.device), views.to(self.ids.device)
        partners = self.partners(self.ids[positions], views)
        both, shown = _interleaved(positions, partners, batch_size), _interleaved(views, views, batch_size)
        pairs = self.examples.batches(both, batch_size=2 * batch_size, views=shown)
        for pair, part in zip(pairs, torch.split(views, batch_size), strict=False):  # of no positions there is one empty piece and no batch
            own, partner = pair.split(2)
            yield self._mix(own, partner, part)

    def partners(self, ids: Tensor, views: Tensor) -> Tensor:
        """Positions (B,) of the partners of the examples with these ``ids`` (B,) in their ``views`` (B,)."""
        word = (bits(self.seed, ids, views, Stream.MIX_PARTNER) >> 32) & 0xFFFFFFFF
        return self._order[(word * len(self)) >> 32]

    def _mix(self, own: Batch, partner: Batch, views: Tensor) -> Batch:
        kept = shares((bits(self.seed, own.ids, views, Stream.MIX_SHARE) >> 40) & 0xFFFFFF, self.alpha)
        if self.kind == "mixup":
            inputs = _blend(own.inputs, partner.inputs, kept)
        else:
            box = self._box(own.inputs, own.ids, views, WHOLE - kept)
            inputs, kept = torch.where(box, partner.inputs, own.inputs), _outside(box)
        return Batch(own.ids, inputs, _labels(own.labels, partner.labels, kept, self.classes), views)

    def _box(self, inputs: Tensor, ids: Tensor, views: Tensor, area: Tensor) -> Tensor:
        """(B, 1, H, W), true inside boxes of the share ``area`` (B,) of the picture, counted in 2⁻¹⁶."""
        height, width = inputs.shape[2:]
        row, column = (uniform(self.seed, ids, views, stream) for stream in (Stream.MIX_ROW, Stream.MIX_COLUMN))
        return within(row, _side(area, height), height)[:, None, :, None] & within(column, _side(area, width), width)[:, None, None, :]


def chosen_alpha(kind: str | None, alpha: float | None) -> float:
    """``alpha``, or the usual one of ``kind``.

    Raises:
        UsageError: there is no such kind, α is out of its range, or α is given and nothing is mixed.
    """
    if kind is None and alpha is not None:
        raise UsageError(f"mix_alpha={alpha!r} is given and nothing is mixed", where="mix_alpha", fix="give mix=mixup or mix=cutmix too")
    if kind is not None and kind not in USUAL_ALPHA:
        raise UsageError(f"there is no way of mixing {kind!r}", where="mix", fix=close_match(kind, USUAL_ALPHA))
    value = USUAL_ALPHA.get(kind or "", 1.0) if alpha is None else alpha
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value <= LARGEST_ALPHA or math.isnan(value):
        raise UsageError(f"mix_alpha must be a number above 0 and at most {LARGEST_ALPHA:g}, not {value!r}", where="mix_alpha")
    return float(value)


def _interleaved(first: Tensor, second: Tensor, size: int) -> Tensor:
    """Pieces of ``size`` in turn from each, so that batches of twice that size hold one of each."""
    return torch.cat([piece for pair in zip(torch.split(first, size), torch.split(second, size), strict=True) for piece in pair])


def _blend(own: Tensor, partner: Tensor, kept: Tensor) -> Tensor:
    """λ a + (1 − λ) b. The sum is of integers below 2²⁴, exact in float32, so only the last product is rounded: alike on every device."""
    share = kept.float()[:, None, None, None]
    first, second = ((255 * pixels).round() for pixels in (own, partner))
    return (share * first + (WHOLE - share) * second) * (1 / (255 * WHOLE))


def _side(area: Tensor, size: int) -> Tensor:
    """⌊size · √(area / 2¹⁶)⌋, (B,) int64: the number of lengths from 1 to ``size`` that fit."""
    lengths = torch.arange(1, size + 1, device=area.device)
    return (WHOLE * lengths.square() <= size * size * area[:, None]).sum(1)


def _outside(box: Tensor) -> Tensor:
    """The share of each picture outside of its box, (B,) int64, counted in 2⁻¹⁶."""
    pixels = box[0].numel()
    return (WHOLE * (pixels - box.flatten(1).sum(1)) + pixels // 2) // pixels


def _labels(own: Tensor, partner: Tensor, kept: Tensor, classes: int) -> Tensor:
    """(B, C) float32, a row of zeros where a label that counts is unknown."""
    known = ((own != IGNORED) | (kept == 0)) & ((partner != IGNORED) | (kept == WHOLE))
    share = (kept.float() / WHOLE)[:, None]
    index = torch.arange(classes, device=own.device)
    rows = share * (own[:, None] == index) + (1 - share) * (partner[:, None] == index)
    return rows * known[:, None]
