"""Dropout whose numbers cost a processor little."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEVELS = 1 << 16
"""Of a random number here: one draw of 64 bits decides on four units."""


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with the probability rounded to 1/65,536, on a processor.

    Torch draws a double for each unit there, which took a third of a step of the MNIST teacher (1200 units, batches of 256). Anywhere else, and under
    ``torch.compile`` and ``torch.func``, this is torch's own, and so it is for a probability that would round to 0 or 1.

    Source: Hinton et al. (2012, arXiv:1207.0580); what is kept is scaled by 1/(1 − p), so that nothing changes in evaluation.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``input`` of any shape, in training with units dropped."""
        drop = round(self.p * LEVELS)
        if not self.training or self.inplace or not 0 < drop < LEVELS or not _plain(input):
            return super().forward(input)
        draws = input.new_empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        numbers = draws.view(torch.int16)[: input.numel()].view(input.shape)
        # Compared straight into the input's own type: a mask of booleans and its conversion take three times as long.
        kept = torch.ge(numbers, drop - LEVELS // 2, out=input.new_empty(input.shape))
        # Scaled by the rounded probability, so that the mean of each unit is its value.
        return input * kept.mul_(LEVELS / (LEVELS - drop))


def _plain(input: Tensor) -> bool:
    """Numbers on a processor, and nobody who rewrites what is done with them."""
    rewritten = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return input.device.type == "cpu" and input.is_floating_point() and not rewritten
