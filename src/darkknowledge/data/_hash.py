"""Random numbers that depend on what they are for, and on nothing else.

A number is a hash of (seed, example id, view, stream), so it is the same for any batch size, order, worker count and device, and a view of an
example can be made again years later. The hash is SplitMix64: the word of an id is the output number ``id`` of that generator, whose
starting state is hashed from the other three.

Source: Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA; constants of Stafford's variant 13.
"""

from __future__ import annotations

from enum import IntEnum

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
    TEST = 16
    VALIDATION = 17
    FRACTION = 18
    LABELLED = 19


def uniform(seed: int, ids: Tensor, view: int, stream: int) -> Tensor:
    """Independent uniform numbers in [0, 1), multiples of 2⁻²⁴, one for each id.

    Args:
        seed: any integer.
        ids: (N,) int64, the examples' stable ids.
        view: the number of the augmented view (the epoch).
        stream: what the number is for, a `Stream`.

    Returns:
        (N,) float32 on the device of ``ids``.

    >>> import torch
    >>> uniform(0, torch.tensor([7, 8]), 3, Stream.FLIP)
    tensor([0.0092, 0.4929])
    """
    return ((bits(seed, ids, view, stream) >> 40) & 0xFFFFFF).float() * 2.0**-24


def bits(seed: int, ids: Tensor, view: int, stream: int) -> Tensor:
    """The 64 random bits behind `uniform`, (N,) int64: a sort key, or the seed of another generator."""
    word = ids * _signed(_GOLDEN) + _signed(_start(seed, view, stream))
    word = (word ^ _shift_right(word, 30)) * _signed(_FIRST)
    word = (word ^ _shift_right(word, 27)) * _signed(_SECOND)
    return word ^ _shift_right(word, 31)


def _start(*words: int) -> int:
    state = 0
    for word in words:
        state = (state + word + _GOLDEN) & _WORD
        state = ((state ^ state >> 30) * _FIRST) & _WORD
        state = ((state ^ state >> 27) * _SECOND) & _WORD
        state ^= state >> 31
    return state


def _signed(word: int) -> int:
    """The int64 with the same bits; products and sums of int64 tensors wrap, so the arithmetic is that of unsigned words."""
    return word - (1 << 64) if word >> 63 else word


def _shift_right(word: Tensor, places: int) -> Tensor:
    """The logical shift: that of int64 tensors would drag the sign along."""
    return (word >> places) & ((1 << (64 - places)) - 1)
