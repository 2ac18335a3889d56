"""How the wall time of a training step depends on threads, on busy neighbours, and on how idle threads wait.

Workers, one process for each way of waiting and number of threads, take turns at a few optimizer steps each: beside no other work, then beside
one, then beside two processes that keep one core busy each. A way of waiting is decided when torch is imported, so each has its own process. Every
ratio is of a worker's wall time to that of the worker with one thread in the same round and beside the same neighbours. Run:
``uv run python benchmarks/threads/measure.py``; it prints the ratios and writes results.json beside itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

WAITING: dict[str, dict[str, str]] = {
    "as torch comes": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "short spin": {"GOMP_SPINCOUNT": "10000"},
}
"""What is in the environment before torch is imported, for each way in which idle threads wait."""

NEIGHBOURS = (0, 1, 2)
NETWORKS = {"784-800-800-10, batch 256": ("hinton_mlp", (1, 28, 28), 256, 10), "ResNet-20, batch 32": ("cifar_resnet", (3, 32, 32), 32, 2)}
"""Name, input, batch size, and steps in a turn."""


def make_step(name: str, shape: tuple[int, int, int], batch: int) -> Callable[[], None]:
    """One optimizer step of the network, in float32."""
    import torch

    from darkknowledge import Recipe
    from darkknowledge.model import build
    from darkknowledge.training.optimizer import make_optimizer

    torch.manual_seed(0)
    network = build(name, num_classes=10, input_shape=shape, mean=(0.5,) * shape[0], std=(0.25,) * shape[0])
    network.train().to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, Recipe(learning_rate=0.01))
    inputs, labels = torch.rand(batch, *shape), torch.arange(batch) % 10

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()

    return step


def serve(threads: int) -> None:
    """A worker: for each line ``network`` on its input, that network's steps, and their wall and processor seconds on its output."""
    import torch

    torch.set_num_threads(threads)
    steps = {label: make_step(name, shape, batch) for label, (name, shape, batch, _) in NETWORKS.items()}
    for step in steps.values():
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        step, count = steps[line.strip()], NETWORKS[line.strip()][3]
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            step()
        print(json.dumps([(time.perf_counter() - wall) / count, (time.process_time() - cpu) / count]), flush=True)


@contextmanager
def worker(waiting: str, threads: int) -> Iterator[Callable[[str], list[float]]]:
    """A process that steps when it is asked to."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "MKL_"))}
    words = [sys.executable, __file__, "--serve", str(threads)]
    with subprocess.Popen(words, env=inherited | WAITING[waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, answers = process.stdin, process.stdout
        assert answers.readline() == "ready\n"

        def turn(network: str) -> list[float]:
            print(network, file=to, flush=True)
            found: list[float] = json.loads(answers.readline())
            return found

        yield turn
        to.close()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that keep a core busy each."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(turns: dict[tuple[str, int], Callable[[str], list[float]]], repeats: int) -> list[dict[str, Any]]:
    """Wall and processor seconds of a step, for each repeat, number of neighbours, network and worker, the workers in a new order each time."""
    shuffled, found = random.Random(0), []
    for repeat in range(repeats):
        for neighbours in NEIGHBOURS:
            with busy(neighbours):
                for network in NETWORKS:
                    for waiting, threads in shuffled.sample(sorted(turns), len(turns)):
                        wall, cpu = turns[waiting, threads](network)
                        key = {"repeat": repeat, "neighbours": neighbours, "network": network, "waiting": waiting, "threads": threads}
                        found.append(key | {"wall": wall, "cpu": cpu, "load": os.getloadavg()[0]})
        print(f"round {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
    return found


def ratios(rows: list[dict[str, Any]], network: str, neighbours: int, waiting: str, threads: int) -> list[float]:
    """Wall time beside that of one thread as torch comes, in the same round."""
    here = [row for row in rows if row["network"] == network and row["neighbours"] == neighbours]
    single = {row["repeat"]: row["wall"] for row in here if row["waiting"] == "as torch comes" and row["threads"] == 1}
    return [row["wall"] / single[row["repeat"]] for row in here if (row["waiting"], row["threads"]) == (waiting, threads)]


def main() -> None:
    """Measure, print the ratios and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="beside one")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    several = arguments.threads
    with (
        worker("as torch comes", 1) as one,
        worker("as torch comes", several) as plain,
        worker("passive", several) as passive,
        worker("short spin", several) as short,
    ):
        turns = {("as torch comes", 1): one, ("as torch comes", several): plain, ("passive", several): passive, ("short spin", several): short}
        rows = measure(turns, arguments.repeats)
    summary = []
    for network in NETWORKS:
        for neighbours in NEIGHBOURS:
            for waiting, threads in turns:
                found = sorted(ratios(rows, network, neighbours, waiting, threads))
                entry = {"network": network, "neighbours": neighbours, "waiting": waiting, "threads": threads, "repeats": len(found)}
                summary.append(entry | {"wall": median(found), "quartiles": [found[len(found) // 4], found[-1 - len(found) // 4]]})
                print(f"{network}, {neighbours} neighbours, {threads} threads, {waiting}: {median(found):.2f} of one thread's wall time", flush=True)
    from darkknowledge.runs.environment import environment

    arguments.out.write_text(json.dumps({"summary": summary, "rows": rows, "environment": environment()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
