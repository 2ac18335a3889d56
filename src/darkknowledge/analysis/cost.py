"""What a network costs: size, work and time. An ensemble costs what its networks cost together, one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from darkknowledge.errors import UsageError

BATCH_SIZES = (1, 256)


@dataclass(frozen=True, slots=True)
class Latency:
    """Median and quartiles of the wall time of one forward pass, in seconds, over ``repeats`` passes with ``threads`` threads on ``device``.

    ``runtime`` is what computes it: ``pytorch`` or ``onnxruntime``.
    """

    batch_size: int
    median: float
    first_quartile: float
    third_quartile: float
    repeats: int
    threads: int
    device: str
    runtime: str = "pytorch"


@dataclass(frozen=True, slots=True)
class Cost:
    """Learned numbers, multiply-adds for one example, bytes of the weight files (None if none was given), and latencies."""

    parameters: int
    macs: int
    file_bytes: int | None
    latency: tuple[Latency, ...]


def measure_cost(
    networks: Sequence[nn.Module], example: Tensor, *, files: Sequence[Path] = (), batch_sizes: Sequence[int] = BATCH_SIZES, seconds: float = 0.5
) -> Cost:
    """The cost of ``networks`` on ``example`` (1, …), a batch of one on their device; ``seconds`` bounds the measuring of each batch size.

    The networks run in eval mode without a graph and are left in the mode they came in.

    Raises:
        UsageError: no network, a single network outside a sequence, or ``example`` is not a batch of one.
    """
    if isinstance(networks, nn.Module):  # an nn.Sequential would pass for a sequence of networks
        raise UsageError(f"the cost of networks is asked for {type(networks).__name__}, a single one", fix="pass [network]")
    if not networks or example.shape[:1] != (1,):
        raise UsageError(f"cost of {len(networks)} networks on an example {tuple(example.shape)}", fix="pass the networks and a batch of one (1, …)")
    return Cost(
        parameters=count_parameters(networks),
        macs=count_macs(networks, example),
        file_bytes=sum(path.stat().st_size for path in files) if files else None,
        latency=tuple(measure_latency(networks, example, batch_size=size, seconds=seconds) for size in batch_sizes),
    )


def count_parameters(networks: Sequence[nn.Module]) -> int:
    """Learned numbers of all networks; a shared parameter counts once, buffers do not count."""
    return sum(parameter.numel() for parameter in nn.ModuleList(networks).parameters())


def count_macs(networks: Sequence[nn.Module], example: Tensor) -> int:
    """Multiply-adds of matrix products, convolutions and attention for ``example`` (1, …).

    PyTorch's counter gives floating-point operations, two to a multiply-add. Operators without a formula there count 0: everything element by
    element, normalisation and pooling, and recurrent layers on the CPU.
    """
    from torch.utils.flop_counter import FlopCounterMode  # its first use imports torch._dynamo, which takes seconds

    with _evaluating(networks), _unfused(), FlopCounterMode(display=False) as counter:
        _forward(networks, example)
    return int(counter.get_total_flops()) // 2


def measure_latency(networks: Sequence[nn.Module], example: Tensor, *, batch_size: int, seconds: float = 0.5) -> Latency:
    """Time of passes of all ``networks``, one after another; otherwise as `time_passes`."""
    with _evaluating(networks):
        return time_passes(partial(_forward, networks), example, batch_size=batch_size, seconds=seconds)


def time_passes(forward: Callable[[Tensor], object], example: Tensor, *, batch_size: int, seconds: float = 0.5, runtime: str = "pytorch") -> Latency:
    """Time of passes over ``example`` (1, …) repeated ``batch_size`` times, computed by ``forward`` with as many threads as torch has.

    A fifth of ``seconds``, at least one pass, warms up caches and clocks; then passes are timed until ``seconds`` are over, at least one, each ending
    when the device has finished.
    """
    inputs = example.repeat(batch_size, *(1 for _ in example.shape[1:]))
    _passes(forward, inputs, seconds=seconds / 5)
    times = torch.tensor(_passes(forward, inputs, seconds=seconds * 4 / 5), dtype=torch.float64)
    first, median, third = times.quantile(torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    return Latency(batch_size, median, first, third, len(times), torch.get_num_threads(), str(inputs.device), runtime)


def _passes(forward: Callable[[Tensor], object], inputs: Tensor, *, seconds: float) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        forward(inputs)
        if inputs.device.type != "cpu":
            torch.accelerator.synchronize(inputs.device)
        times.append(time.perf_counter() - start)
    return times


def _forward(networks: Sequence[nn.Module], inputs: Tensor) -> None:
    for network in networks:
        network(inputs)


@contextmanager
def _evaluating(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Eval mode, no graph; afterwards every module is in the mode it came in."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        with torch.no_grad():
            for network in networks:
                network.eval()
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _unfused() -> Iterator[None]:
    """Without the single operator that ``nn.TransformerEncoderLayer`` becomes in eval mode: the counter has no formula for it."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
