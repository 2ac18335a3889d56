"""From the bytes of rows to what a teacher says: decoded as late as can be, so that an objective reads the bytes themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from darkknowledge.contract import Answer, Average, Dense, Output, Sparse
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer.codec import Codec, DenseCodec
from darkknowledge.transfer.codec.topk import TopK


@dataclass(frozen=True, slots=True)
class DenseOutput:
    """The answer of a set that keeps one row of every class's logit for each example: ``rows`` (B, width) uint8."""

    rows: Tensor
    weights: Tensor
    average: Average
    codec: DenseCodec

    def decoded(self) -> Output:
        """The same answer in float32."""
        return Output(self.codec.decode(self.rows)[None], self.weights, self.average)

    def logits(self, temperature: float = 1.0) -> Tensor:
        """Logits (B, C), the same for every temperature."""
        return self.codec.decode(self.rows)

    def compact(self, temperature: float) -> Dense:
        """The numbers as they are stored."""
        return self.codec.stored(self.rows)


@dataclass(frozen=True, slots=True)
class TopKOutput:
    """The answer of a set that keeps the largest logits alone: ``rows`` (B, M, width) uint8 of M members, decoded at the temperature in question.

    ``weights`` and ``average`` are those of `Output`.
    """

    rows: Tensor
    weights: Tensor
    average: Average
    codec: TopK

    def logits(self, temperature: float = 1.0) -> Tensor:
        """Logits (B, C) whose softmax at ``temperature`` is the averaged soft target.

        Raises:
            UsageError: the temperature was not declared when the set was recorded.
        """
        return Output(members_of(self.rows, self.codec, temperature=temperature), self.weights, self.average).logits(temperature)

    def compact(self, temperature: float) -> Dense | Sparse:
        """The kept classes, of a single member; the classes of several members differ, so their average has every class. Errors as `logits`."""
        if self.rows.shape[1] == 1:
            return self.codec.sparse(self.rows[:, 0], temperature)
        return Dense(self.logits(temperature))


def members_of(rows: Tensor, codec: Codec, *, temperature: float = 1.0) -> Tensor:
    """The logits (M, B, C) in rows (B, M, width) uint8."""
    batch, members, width = rows.shape
    return codec.decode(rows.view(batch * members, width), temperature).view(batch, members, codec.classes).transpose(0, 1)


def answer_of(rows: Tensor, identity: Identity, weights: Tensor) -> Answer:
    """The answer in rows (B, M · width) uint8."""
    codec = identity.codec
    split = rows.view(len(rows), identity.members, codec.width)
    if isinstance(codec, TopK):
        return TopKOutput(split, weights, identity.average, codec)
    if identity.members == 1:
        return DenseOutput(rows, weights, identity.average, cast(DenseCodec, codec))  # what keeps no largest logits keeps them all
    return Output(members_of(split, codec), weights, identity.average)


def weights_of(identity: Identity, device: torch.device | str = "cpu") -> Tensor:
    """The members' shares (M,), of those members that are stored."""
    return torch.tensor(identity.weights if identity.members > 1 else (1.0,), device=device)
