"""Whether the network is compiled, and how it is called then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import FunctionType

import torch
from torch import Tensor, nn

from darkknowledge.errors import ResourceError
from darkknowledge.training.recipe import Recipe

STEPS_WORTH_COMPILING = 20_000
"""On CUDA. Compiling takes about a minute, and must save 3 ms a step to pay within so many: an estimate, not measured yet."""


def compiles_network(recipe: Recipe, device: str, *, steps: int) -> bool:
    """Whether a run of ``steps`` steps in all compiles its network: a function of the run and not of where it was resumed.

    ``auto`` does on CUDA from `STEPS_WORTH_COMPILING` on. On a processor it does not: with torch 2.15 on one thread of an AMD EPYC (AVX512-BF16)
    compiling took 12 s of processor time for 784-800-800-10 (batch 256) and 38 to 62 s for ResNet-20 (batch 128), and a step then took 0.91 (float32)
    and 1.02 (bfloat16) of the time before for the former, 1.04 and 0.88 for the latter. The best of these has paid after 2,000 steps, half of them
    never (``benchmarks/threads/choices.py``).
    """
    if recipe.compile == "auto":
        return device == "cuda" and steps >= STEPS_WORTH_COMPILING
    return recipe.compile == "on"


def piece_sizes(recipe: Recipe) -> frozenset[int]:
    """The sizes of the pieces in which a whole batch is computed."""
    smaller, larger = recipe.batch_size // recipe.accumulate, -(-recipe.batch_size // recipe.accumulate)
    return frozenset({max(smaller, 1), larger})


def called(network: nn.Module, recipe: Recipe, device: str, *, steps: int) -> nn.Module:
    """What a run of ``steps`` steps calls in the network's place while it trains."""
    if not compiles_network(recipe, device, steps=steps):
        return network
    return CompiledNetwork(network, sizes=piece_sizes(recipe), required=recipe.compile == "on")


def compiled(network: nn.Module) -> bool:
    """Whether what was `called` is compiled, and has not given up."""
    return isinstance(network, CompiledNetwork) and bool(network.sizes)


class CompiledNetwork(nn.Module):
    """Calls a network compiled for inputs of ``sizes`` examples; other inputs, such as the last of an epoch, go through it as it is.

    Each size costs a compilation of its own, and which code a batch runs through must not depend on which came first. The network itself is not
    touched: weights keep their names, and what else calls or copies it finds it as it was. Dropout still follows from the generator's state, by other
    numbers than without compilation.

    Raises:
        ResourceError: it cannot be compiled, and that is ``required``. Else it goes on as it is, and a line says so.
    """

    def __init__(self, network: nn.Module, *, sizes: frozenset[int], required: bool) -> None:
        super().__init__()
        self.network, self.sizes, self.required = network, sizes, required
        self._run: Callable[[Tensor], Tensor] = torch.compile(_own_code(lambda inputs: network(inputs)), dynamic=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The network's answer."""
        if len(inputs) in self.sizes:
            from torch._dynamo.exc import TorchDynamoException

            try:
                return self._run(inputs)
            except TorchDynamoException as error:
                self._give_up(error)
        answer: Tensor = self.network(inputs)
        return answer

    def _give_up(self, error: Exception) -> None:
        inner = getattr(error, "inner_exception", error)
        reason = next((line for line in str(inner).splitlines() if line.strip()), type(inner).__name__)
        if self.required:
            raise ResourceError(
                f"the network cannot be compiled here: {reason}",
                fix="install a C++ compiler (g++ or clang++; on a GPU Triton too), or choose training.compile=off",
            ) from error
        self.sizes = frozenset()
        logging.getLogger(__name__).warning("the network is not compiled: %s", reason)


def _own_code(function: FunctionType | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same function with a code object of its own: torch counts compilations by that, and silently stops after eight networks of one process."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__.replace(), function.__globals__, closure=function.__closure__)
