"""What a description of a network may cost while it is built: not much more than the weights that lie beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from darkknowledge.errors import IntegrityError

TIMES, SPARE_NUMBERS, SPARE_TENSORS = 2, 1 << 22, 1 << 10
"""Building a network makes as many numbers and tensors as its weights have (at most 1.1 times, in the families that were tried), and a few in between
that are not kept (16 MB of them)."""
MAKERS = frozenset((torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn))
"""What makes a tensor from its shape, which is the first argument or all of them."""


class Allowance(TorchFunctionMode):
    """While it is entered, no more tensors and numbers are made than a network with these ``weights`` needs.

    A configuration of a hundred bytes can describe a layer of a trillion numbers, or a million layers.

    Raises:
        IntegrityError: more are asked for; before they are made.
    """

    def __init__(self, weights: Mapping[str, Tensor], *, where: str) -> None:
        super().__init__()
        self._numbers = TIMES * sum(value.numel() for value in weights.values()) + SPARE_NUMBERS
        self._tensors = TIMES * len(weights) + SPARE_TENSORS
        self._where = where

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func in MAKERS:
            self._numbers -= math.prod(_shape(args, kwargs))
            self._tensors -= 1
        if self._numbers < 0 or self._tensors < 0:
            raise IntegrityError(
                "the network that is described is far larger than the weights for it",
                where=self._where,
                why="it would fill the memory before the weights are found not to fit",
                fix="do not use a folder that says so; name the network that the weights were saved from",
            )
        return func(*args, **kwargs)


def _shape(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sequence[int]:
    shape: Sequence[Any] = kwargs.get("size", args)
    return shape[0] if shape and isinstance(shape[0], list | tuple) else shape
