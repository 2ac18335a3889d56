"""Rows of the k largest logits, for a vocabulary of classes, with what the others weigh at declared temperatures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from darkknowledge.contract import Sparse
from darkknowledge.errors import UsageError
from darkknowledge.transfer.codec.float16 import LARGEST

TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
LEAST_TAIL = 1e-7
"""The tail's smallest share: less is lost in the rounding of the sum of the others."""


@dataclass(frozen=True, slots=True)
class TopK:
    r"""The ids of the k largest logits (ascending; uint16 up to 65,536 classes, else uint32), those logits v_i as float16, and for each declared
    temperature T a float32 log-partition.

    At T class i of the k has :math:`p_i = \exp(v_i / T - \log Z_T)`. The tail, :math:`1 - \sum_i p_i`, is spread evenly over the C − k others. The
    log-partition is that of all C logits, shifted by what rounding to float16 moved the k largest, so that the tail keeps its exact share:
    :math:`\log Z_T = \operatorname{logsumexp}_{i \le k}(\tilde v_i / T) - \log c_T`, with c_T the share of the k before rounding.

    Raises:
        UsageError: k is not in [2, C], or the temperatures are not positive, finite, ascending numbers.

    >>> codec = TopK(4, k=2, temperatures=(1.0,))
    >>> codec.decode(codec.encode(torch.tensor([[3.0, 0.0, 2.0, 1.0]]).log_softmax(-1)), 1.0).softmax(-1)
    tensor([[0.6440, 0.0596, 0.2368, 0.0596]])
    """

    classes: int
    k: int = 128
    temperatures: tuple[float, ...] = TEMPERATURES
    name: ClassVar[str] = "topk"

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperatures", _temperatures(self.temperatures))
        if type(self.k) is not int or not 2 <= self.k <= self.classes:
            raise UsageError(f"k={self.k!r} of {self.classes} classes", where="codec=topk", fix=f"choose a whole number from 2 to {self.classes}")

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return self.k * (self._id_bytes + 2) + 4 * len(self.temperatures)

    def options(self) -> Mapping[str, Any]:
        """How many are kept, and the declared temperatures."""
        return {"k": self.k, "temperatures": list(self.temperatures)}

    def unfit(self, logits: Tensor) -> Tensor:
        """Rows with one of the k largest logits beyond ±65504."""
        return logits.topk(self.k).values.abs().amax(-1) > LARGEST

    def encode(self, logits: Tensor) -> Tensor:
        """The bytes (R, width) of logits (R, C)."""
        ids = logits.topk(self.k).indices.sort(dim=-1).values
        exact = logits.gather(1, ids).double()
        stored = exact.half()
        columns = []
        for temperature in self.temperatures:
            captured = (exact / temperature).logsumexp(-1) - (logits.double() / temperature).logsumexp(-1)
            columns.append((stored.double() / temperature).logsumexp(-1) - captured)
        partition = torch.stack(columns, dim=1).float()
        small = ids.to(torch.int32).view(torch.uint8).view(len(ids), self.k, 4)[:, :, : self._id_bytes]
        return torch.cat((small.reshape(len(ids), -1), stored.view(torch.uint8), partition.view(torch.uint8)), dim=1)

    def decode(self, rows: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits (R, C) float32 whose softmax at ``temperature`` has the k recorded shares and an even tail.

        Raises:
            UsageError: the temperature was not declared when the set was recorded.
        """
        known = self.sparse(rows, temperature)
        each = temperature * known.log_rest
        return each.expand(-1, self.classes).scatter(1, known.ids, temperature * known.log_p)

    def sparse(self, rows: Tensor, temperature: float) -> Sparse:
        """The soft target at ``temperature``: the k recorded shares and an even tail; errors as `decode`."""
        ids, logits, partition = self._parts(rows, temperature)
        log_p = logits / temperature - partition
        tail = 1 - log_p.exp().sum(-1, keepdim=True)
        return Sparse(ids, log_p, (tail.clamp_min(LEAST_TAIL) / max(self.classes - self.k, 1)).log())

    def captured(self, rows: Tensor, temperature: float) -> Tensor:
        """The share (R,) of the k recorded classes in the soft target at ``temperature``; errors as `decode`."""
        _, logits, partition = self._parts(rows, temperature)
        return (logits / temperature - partition).exp().sum(-1).clamp_max(1.0)

    def extremes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest of the k logits of each row."""
        low, high = self._logits(rows).aminmax(dim=-1)
        return low, high

    def broken(self, rows: Tensor) -> Tensor:
        """Rows with ids that are out of range or don't ascend, or with a number that is not finite."""
        ids = self._ids(rows)
        numbers = torch.cat((self._logits(rows), self._partitions(rows)), dim=1)
        return (ids[:, -1] >= self.classes) | (ids[:, 1:] <= ids[:, :-1]).any(-1) | ~numbers.isfinite().all(-1)

    @property
    def _id_bytes(self) -> int:
        return 2 if self.classes <= 1 << 16 else 4

    def _parts(self, rows: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        if temperature not in self.temperatures:
            raise undeclared(temperature, self.temperatures)
        column = self.temperatures.index(temperature)
        return self._ids(rows), self._logits(rows), self._partitions(rows)[:, column, None]

    def _ids(self, rows: Tensor) -> Tensor:
        signed = _copied(rows[:, : self.k * self._id_bytes]).view(torch.int16 if self._id_bytes == 2 else torch.int32).long()
        return signed & (0xFFFF if self._id_bytes == 2 else 0xFFFFFFFF)

    def _logits(self, rows: Tensor) -> Tensor:
        start = self.k * self._id_bytes
        return _copied(rows[:, start : start + 2 * self.k]).view(torch.float16).float()

    def _partitions(self, rows: Tensor) -> Tensor:
        return _copied(rows[:, self.width - 4 * len(self.temperatures) :]).view(torch.float32)


def _copied(columns: Tensor) -> Tensor:
    """Bytes that lie alone, as numbers of several bytes must; ``contiguous`` leaves a single row where it is."""
    return columns.clone(memory_format=torch.contiguous_format)


def undeclared(temperature: float, declared: Sequence[float]) -> UsageError:
    """The message for a temperature at which the tail of a top-k row is unknown."""
    known = ", ".join(f"{known:g}" for known in declared)
    return UsageError(
        f"this transfer set holds no tail for temperature {temperature:g}",
        why="of each row it keeps the largest logits alone, and what the others weigh at the temperatures declared when it was recorded",
        fix=f"use one of {known}, or record the set again with this temperature declared or with codec=uint8",
    )


def _temperatures(given: Sequence[float]) -> tuple[float, ...]:
    try:
        found = tuple(float(temperature) for temperature in given)
    except (TypeError, ValueError, OverflowError):
        found = ()
    if not found or not all(math.isfinite(temperature) and temperature > 0 for temperature in found) or list(found) != sorted(set(found)):
        raise UsageError(f"temperatures {given!r}", where="codec=topk", fix="give positive, ascending numbers, such as 1, 2, 4, 8")
    return found
