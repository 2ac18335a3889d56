"""Randomness without state: each number follows from the seed and from where it is needed, so that stopping anywhere changes nothing."""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A well-spread integer in [0, 2⁶³) from any integers (the finaliser of SplitMix64, Steele, Lea & Flood 2014, chained)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state + (number & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


WINDOW = 64
"""Blocks that a block shuffle mixes with each other: what a reader of a mapped file has open at a time."""


def order(count: int, *, seed: int, epoch: int, block: int | None = None) -> Tensor:
    """The positions 0 … count − 1 in the order of one epoch, (count,) int64: a function of the arguments alone.

    With ``block`` the positions are shuffled as consecutive blocks of that size, and within windows of 64 such blocks position by position: nearly
    as random, and a file that does not fit into memory is read a few stretches at a time.
    """
    generator = torch.Generator().manual_seed(mix(seed, epoch, 1))
    if block is None:
        return torch.randperm(count, generator=generator)
    blocks = torch.randperm(-(-count // block), generator=generator)
    parts = []
    for first in range(0, len(blocks), WINDOW):
        window = blocks[first : first + WINDOW]
        positions = (window[:, None] * block + torch.arange(block)).flatten()
        positions = positions[positions < count]
        parts.append(positions[torch.randperm(len(positions), generator=generator)])
    return torch.cat(parts)


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Seed the generators of the processor and of ``device`` for one step, so that its dropout is a function of (seed, step) alone.

    ``torch.manual_seed`` does the same for every kind of device there might be, which takes longer than a small network's optimizer step.
    """
    number = mix(seed, step, 2)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
