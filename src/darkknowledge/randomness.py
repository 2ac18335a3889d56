"""Random numbers that depend on what they are for, and on nothing else.

A number is a hash of (seed, example id, view, stream), so it is the same for any batch size, order, worker count and device, and a view of an
example can be made again years later. The hash is SplitMix64: the word of an id is the output number ``id`` of that generator, whose
starting state is hashed from the other three.

Source: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA; constants of Stafford's variant 13.
"""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Tensor

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Stream(IntEnum):
    """What a random number is for. Two uses with different streams are independent; a value never changes its meaning."""

    SHIFT_DOWN = 0
    SHIFT_RIGHT = 1
    FLIP = 2
    CUTOUT_ROW = 3
    CUTOUT_COLUMN = 4
    PHOTO = 5
    MIX_PARTNER = 6
    MIX_SHARE = 7
    MIX_ROW = 8
    MIX_COLUMN = 9
    TEST = 16
    VALIDATION = 17
    FRACTION = 18
    LABELLED = 19
    VIEW = 20


def uniform(seed: int, ids: Tensor, views: Tensor | int, stream: int) -> Tensor:
    """Independent uniform numbers in [0, 1), multiples of 2⁻²⁴, one for each id.

    Args:
        seed: any integer.
        ids: (N,) int64, the examples' stable ids.
        views: the number of the augmented view, one for all or (N,) int64.
        stream: what the number is for, a `Stream`.

    Returns:
        (N,) float32 on the device of ``ids``.

    >>> import torch
    >>> uniform(0, torch.tensor([7, 8]), 3, Stream.FLIP)
    tensor([0.0092, 0.4929])
    """
    return ((bits(seed, ids, views, stream) >> 40) & 0xFFFFFF).float() * 2.0**-24


def bits(seed: int, ids: Tensor, views: Tensor | int, stream: int) -> Tensor:
    """The 64 random bits behind `uniform`, (N,) int64: a sort key, or the seed of another generator."""
    state = ids.new_zeros(())
    for word in (_signed(seed & _WORD), views, stream):
        state = _mixed(state + word + _signed(_GOLDEN))
    return _mixed(ids * _signed(_GOLDEN) + state)


def view_of(ids: Tensor, *, epoch: int, views: int | None) -> Tensor:
    """The number of the view that each example shows in an epoch, (N,) int64 for ``ids`` (N,).

    With ``views`` V per example it is (epoch + hash(id)) mod V, so that every epoch mixes the views and V epochs in a row show an example all of
    its own. ``None`` stands for a view of its own in every epoch: the epoch's number.

    >>> import torch
    >>> [view_of(torch.tensor([0, 1, 2, 3]), epoch=epoch, views=3).tolist() for epoch in range(2)]
    [[1, 0, 2, 1], [2, 1, 0, 2]]
    """
    if views is None:
        return torch.full_like(ids, epoch)
    return (_shift_right(bits(0, ids, 0, Stream.VIEW), 3) + epoch) % views


def _mixed(word: Tensor) -> Tensor:
    word = (word ^ _shift_right(word, 30)) * _signed(_FIRST)
    word = (word ^ _shift_right(word, 27)) * _signed(_SECOND)
    return word ^ _shift_right(word, 31)


def _signed(word: int) -> int:
    """The int64 with the same bits; products and sums of int64 tensors wrap, so the arithmetic is that of unsigned words."""
    return word - (1 << 64) if word >> 63 else word


def _shift_right(word: Tensor, places: int) -> Tensor:
    """The logical shift: that of int64 tensors would drag the sign along."""
    return (word >> places) & ((1 << (64 - places)) - 1)
