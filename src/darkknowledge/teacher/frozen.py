"""One network that answers and never changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from darkknowledge.contract import Average, Batch, Output
from darkknowledge.errors import IntegrityError


class Frozen:
    """A `Teacher` of one finished network (B, …) → logits (B, C), in the order of ``class_names``.

    The network is taken over: in eval mode, so that BatchNorm uses its stored statistics and leaves them alone and dropout is off, and with no
    parameter that wants a gradient. Both are asserted again at every call, because ``train()`` on something that holds the network would undo them.
    This class is no ``nn.Module``, so a student that keeps its teacher as an attribute neither trains, saves nor counts it.
    """

    def __init__(self, network: nn.Module, class_names: Sequence[str]) -> None:
        # Convolutions are faster this way round, and other layers don't notice.
        self._network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._class_names = tuple(class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by index."""
        return self._class_names

    @property
    def average(self) -> Average:
        """Of one member, either is the same."""
        return "probability"

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of the only member."""
        return (1.0,)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The network, as a tuple of one: what it costs is measured on it."""
        return (self._network,)

    def __call__(self, batch: Batch) -> Output:
        """The network's logits for a batch.

        Raises:
            IntegrityError: they are not (B, C) with one column per class name.
        """
        network = self._network.eval().requires_grad_(False)
        with torch.no_grad():  # not inference_mode: the student's loss must be able to save these tensors for its backward pass
            logits = network(batch.inputs)
        self._check(logits, len(batch))
        return Output.single(logits)

    def to(self, device: torch.device | str) -> Frozen:
        """The same teacher, its network moved to ``device``."""
        self._network.to(device)
        return self

    def __repr__(self) -> str:
        return f"Frozen({type(self._network).__name__}, classes={len(self._class_names)})"

    def _check(self, logits: object, examples: int) -> None:
        if isinstance(logits, Tensor) and logits.shape == (examples, len(self._class_names)):
            return
        answer = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise IntegrityError(
            f"the teacher {type(self._network).__name__} answers {answer} for {examples} examples of {len(self._class_names)} classes",
            why="a teacher gives one logit per example and class",
            fix="choose a network made for these classes, or wrap it so that it returns its logits alone",
        )
