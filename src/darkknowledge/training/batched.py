"""Many small networks of one shape computed as one: every layer is one batched product over the students, where that is faster.

Each parameter of a student becomes its part of one tensor that holds the parameter of all of them, and so does its gradient. Only the forward and the
backward pass know of that: optimizer, constraint, average, records and saved states stay each student's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.func import functional_call

from darkknowledge.contract import Answer, Batch
from darkknowledge.training.learner import Learner

MANY, SMALL = 8, 1 << 21
"""Students from which, and weights times the examples of a piece of a batch up to which, a whole step of all of them is faster as one on a processor:
it took 0.65 to 0.8 of its time one by one there, about 0.9 with 5 students, and forward and backward pass alone 0.9 to 1.6 where the products are
larger (``benchmarks/students``)."""

BATCHABLE = (nn.Sequential, nn.Flatten, nn.Linear, nn.ReLU, nn.GELU, nn.Tanh)
"""Layers of torch that draw no numbers and keep no running statistics, and whose products over students are one call."""


def worth_batching(learners: Sequence[Learner]) -> bool:
    """Whether these runs, which are at the same step of the same batches, are computed as one.

    They are on a processor from `MANY` students on if a step is `SMALL`, all are built alike of fully connected layers without dropout, compute in
    float32 and are not compiled. On CUDA the time of so small a step is that of its launches, so two are enough: an estimate, not measured yet.
    """
    first = learners[0]
    device, recipe = first.fabric.device.type, first.recipe
    piece = -(-recipe.batch_size // recipe.accumulate)
    many = len(learners) >= (2 if device == "cuda" else MANY)
    if not many or sum(parameter.numel() for parameter in first.network.parameters()) * piece > SMALL:
        return False
    return _batchable(first) and all(_alike(first, learner) for learner in learners)


def _batchable(learner: Learner) -> bool:
    """Made of layers that are known, by classes that are: what another's code does inside a batched call nobody knows."""
    modules = list(learner.network.modules())
    leaves = (module for module in modules if not any(True for _ in module.children()))
    known = all(type(module).__module__.partition(".")[0] in ("torch", "darkknowledge") for module in modules)
    trained = all(parameter.requires_grad for parameter in learner.network.parameters())
    return known and trained and all(isinstance(leaf, BATCHABLE) for leaf in leaves)


def _alike(one: Learner, other: Learner) -> bool:
    """Built alike, and computed the same way."""
    buffers = zip(one.network.buffers(), other.network.buffers(), strict=False)
    return (
        other.precision == "fp32"
        and other.called is other.network
        and str(one.network) == str(other.network)
        and [parameter.shape for parameter in one.network.parameters()] == [parameter.shape for parameter in other.network.parameters()]
        and all(torch.equal(mine, theirs) for mine, theirs in buffers)
    )


class Batched:
    """Runs whose networks are computed as one until they are let go (`release`)."""

    def __init__(self, learners: Sequence[Learner]) -> None:
        self.learners = list(learners)
        self._parameters = [dict(learner.network.named_parameters()) for learner in learners]
        self._stacks: dict[str, Tensor] = {}
        for name in self._parameters[0]:
            stack = torch.stack([parameters[name].data for parameters in self._parameters])
            for index, parameters in enumerate(self._parameters):
                parameters[name].data = stack[index]
            self._stacks[name] = stack.requires_grad_()
        self._call = _vectorised(learners[0].network)

    def advance(self, batch: Batch, answered: Sequence[tuple[Batch, Answer | None]]) -> None:
        """`Learner.advance` for all, up to its `Learner.finish_step`."""
        begun = [learner.begin_step(batch) for learner in self.learners]
        for piece, answer in answered:
            losses = []
            for learner, counts, logits in zip(self.learners, begun, self._call(self._stacks, piece.inputs).unbind(), strict=True):
                losses.append(learner.objective.loss(logits, answer, piece.labels, epoch=learner.epoch, counts=counts))
                learner.note(losses[-1])
            # Each total depends on the parameters of its own student alone, so the gradient of the sum holds that of each.
            torch.autograd.backward(reduce(add, (loss.total for loss in losses)))
        for name, stack in self._stacks.items():
            assert stack.grad is not None
            for parameters, gradient in zip(self._parameters, stack.grad.unbind(), strict=True):
                parameters[name].grad = gradient
            stack.grad = None

    def release(self) -> None:
        """Give every network its parameters back."""
        for parameters in self._parameters:
            for parameter in parameters.values():
                parameter.data = parameter.data.clone()


def _vectorised(network: nn.Module) -> Callable[[dict[str, Tensor], Tensor], Tensor]:
    """The logits (S, B, C) of S networks like this one, from their stacked parameters and inputs that they share."""
    shape = deepcopy(network).train()

    def one(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
        logits: Tensor = functional_call(shape, parameters, (inputs,))
        return logits

    return torch.func.vmap(one, in_dims=(0, None))
