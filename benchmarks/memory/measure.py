"""What a training step saves when freed memory is kept for the next one, beside the C library's defaults; every measurement in a fresh process."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial

import torch
from benchmarks._measuring import Run, Seconds, compare, in_fresh_process
from torch.nn import functional as F

from darkknowledge.model import build
from darkknowledge.training.memory import freed_memory_kept
from darkknowledge.training.precision import has_bfloat16

KINDS = {
    "784-800-800-10, batch 256": {"name": "hinton_mlp", "shape": (1, 28, 28), "batch": 256, "options": {"hidden": (800, 800)}, "steps": 60},
    "ResNet-20, batch 128": {"name": "cifar_resnet", "shape": (3, 32, 32), "batch": 128, "options": {"depth": 20}, "steps": 8},
}


def measure(run: Run) -> None:
    """Both networks, in float32 and, where the processor multiplies it, in bfloat16."""
    for kind in list(KINDS)[: 1 if run.quick else None]:
        for half in (False, True)[: 1 + has_bfloat16("cpu")]:
            works = {name: partial(_of_a_process, kind, half, keep) for name, keep in (("kept", True), ("given back", False))}
            run.add(f"{kind}, {'bfloat16' if half else 'float32'}", compare(works, to="given back", repeats=run.rounds(15)))


def _of_a_process(kind: str, half: bool, keep: bool) -> Seconds:
    return Seconds(*in_fresh_process("benchmarks.memory.measure:steps", kind=kind, half=half, keep=keep))


def steps(kind: str, half: bool, keep: bool) -> tuple[float, float]:
    """Processor and wall seconds of one step, in the middle of a plain loop."""
    torch.set_num_threads(1)
    chosen = KINDS[kind]
    channels = chosen["shape"][0]
    network = build(
        chosen["name"], num_classes=10, input_shape=chosen["shape"], mean=(0.5,) * channels, std=(0.5,) * channels, **chosen["options"]
    ).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, fused=True)
    inputs, labels = torch.rand(chosen["batch"], *chosen["shape"]), torch.arange(chosen["batch"]) % 10

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = network(inputs)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    with freed_memory_kept() if keep else nullcontext():
        for _ in range(3):
            step()
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(chosen["steps"]):
            step()
        return (time.process_time() - processor) / chosen["steps"], (time.perf_counter() - wall) / chosen["steps"]
