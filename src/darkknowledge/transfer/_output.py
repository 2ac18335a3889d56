"""From the bytes of rows to what a teacher says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.contract import Answer, Average, Output
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer.codec import Codec


@dataclass(frozen=True, slots=True)
class TopKOutput:
    """The answer of a set that keeps the largest logits alone: ``rows`` (B, M, width) uint8 of M members, decoded at the temperature in question.

    ``weights`` and ``average`` are those of `Output`.
    """

    rows: Tensor
    weights: Tensor
    average: Average
    codec: Codec

    def logits(self, temperature: float = 1.0) -> Tensor:
        """Logits (B, C) whose softmax at ``temperature`` is the averaged soft target.

        Raises:
            UsageError: the temperature was not declared when the set was recorded.
        """
        return Output(members_of(self.rows, self.codec, temperature=temperature), self.weights, self.average).logits(temperature)


def members_of(rows: Tensor, codec: Codec, *, temperature: float = 1.0) -> Tensor:
    """The logits (M, B, C) in rows (B, M, width) uint8."""
    batch, members, width = rows.shape
    return codec.decode(rows.view(batch * members, width), temperature).view(batch, members, codec.classes).transpose(0, 1)


def answer_of(rows: Tensor, identity: Identity, weights: Tensor) -> Answer:
    """The answer in rows (B, M · width) uint8."""
    codec = identity.codec
    if codec.temperatures is None and identity.members == 1:
        return Output(codec.decode(rows)[None], weights, identity.average)
    split = rows.view(len(rows), identity.members, codec.width)
    if codec.temperatures is None:
        return Output(members_of(split, codec), weights, identity.average)
    return TopKOutput(split, weights, identity.average, codec)


def weights_of(identity: Identity, device: torch.device | str = "cpu") -> Tensor:
    """The members' shares (M,), of those members that are stored."""
    return torch.tensor(identity.weights if identity.members > 1 else (1.0,), device=device)
