"""Where bfloat16 pays on a processor, and what compiling a network costs and brings there: the numbers behind two rules of ``auto``.

Whole optimizer steps of two variants of one network take turns, the first of a pair changing each time; a ratio is the median of the pairs', in
processor time, on one thread. What compiling takes includes the compiler's own processes and depends on what torch finds in its cache, so point
``TORCHINDUCTOR_CACHE_DIR`` at an empty folder. Run: ``uv run python benchmarks/threads/choices.py precision`` or ``… compile`` (some minutes each).
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F

from darkknowledge.model import build
from darkknowledge.training.compiling import CompiledNetwork
from darkknowledge.training.optimizer import make_optimizer
from darkknowledge.training.recipe import Recipe

DIGITS, MNIST, CIFAR = (1, 8, 8), (1, 28, 28), (3, 32, 32)
PRECISION: list[tuple[str, tuple[int, int, int], int, dict[str, Any]]] = [
    ("hinton_mlp", DIGITS, 64, {"hidden": (30,)}),
    ("hinton_mlp", DIGITS, 64, {"hidden": (400, 400)}),
    ("hinton_mlp", MNIST, 64, {"hidden": (30,)}),
    ("hinton_mlp", MNIST, 256, {"hidden": (30,)}),
    ("hinton_mlp", MNIST, 256, {"hidden": (100,)}),
    ("hinton_mlp", MNIST, 256, {"hidden": (800, 800)}),
    ("cifar_resnet", CIFAR, 128, {"depth": "8"}),
    ("cifar_resnet", CIFAR, 128, {"depth": "20"}),
]
COMPILE: list[tuple[str, tuple[int, int, int], int, dict[str, Any]]] = [
    ("hinton_mlp", DIGITS, 64, {"hidden": (30,)}),
    ("hinton_mlp", MNIST, 256, {"hidden": (800, 800)}),
    ("cifar_resnet", CIFAR, 128, {"depth": "20"}),
]


def make_step(case: tuple[str, tuple[int, int, int], int, dict[str, Any]], *, bf16: bool, compiled: bool = False) -> Callable[[], None]:
    """One optimizer step."""
    name, shape, batch, options = case
    torch.manual_seed(0)
    network = build(name, num_classes=10, input_shape=shape, mean=(0.5,) * shape[0], std=(0.25,) * shape[0], **options)
    network.train().to(memory_format=torch.channels_last)
    called = CompiledNetwork(network, sizes=frozenset({batch}), required=True) if compiled else network
    optimizer = make_optimizer(network, Recipe(learning_rate=0.01))
    inputs, labels = torch.rand(batch, *shape), torch.arange(batch) % 10

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = called(inputs)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    """Processor time, that of finished child processes included."""
    before = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    step()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() - before[0] + after.ru_utime + after.ru_stime - before[1].ru_utime - before[1].ru_stime


def ratio(one: Callable[[], None], other: Callable[[], None], *, budget: float) -> tuple[float, float, int]:
    """The median of other / one, the median seconds of one, and the number of pairs, of which as many are taken as ``budget`` seconds allow."""
    for _ in range(3):
        one()
        other()
    pairs: list[tuple[float, float]] = []
    end = time.perf_counter() + budget
    while len(pairs) < 10 or (time.perf_counter() < end and len(pairs) < 300):
        order = (one, other) if len(pairs) % 2 else (other, one)
        found = {step: seconds(step) for step in order}
        pairs.append((found[one], found[other]))
    return median(second / first for first, second in pairs), median(first for first, _ in pairs), len(pairs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["precision", "compile"])
    parser.add_argument("--seconds", type=float, default=20, help="for each network, apart from compiling")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for case in PRECISION if arguments.what == "precision" else COMPILE:
        label = f"{case[0]} {case[3]}, input {case[1]}, batch {case[2]}"
        if arguments.what == "precision":
            found, time_of_one, pairs = ratio(make_step(case, bf16=False), make_step(case, bf16=True), budget=arguments.seconds)
            print(f"{label}: bfloat16 / float32 {found:.3f}, {1e3 * time_of_one:.2f} ms in float32, {pairs} pairs", flush=True)
            continue
        for bf16 in (False, True):
            plain, compiled = make_step(case, bf16=bf16), make_step(case, bf16=bf16, compiled=True)
            first = seconds(compiled)
            found, time_of_one, pairs = ratio(plain, compiled, budget=arguments.seconds)
            told = f"{'bfloat16' if bf16 else 'float32'}: compiled / plain {found:.3f}, {1e3 * time_of_one:.2f} ms plain, {pairs} pairs"
            print(f"{label}, {told}; the first step took {first:.1f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
