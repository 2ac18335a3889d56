"""What the training loop costs beside a bare PyTorch loop of the same steps.

784-800-800-10 on 60,000 pictures of 28×28, batches of 256, one epoch of 235 steps, one thread, float32 and bfloat16. Ours: `fit` with its metric
files and the live progress bar, no validation, its own start and end included. Bare: the loop below, with the same network, order, optimizer and
schedule. The two take turns, the first of a pair changing each time. Run: ``uv run python benchmarks/loop/measure.py`` (about ten minutes on a
quiet core); it prints the ratios and writes results.json beside itself.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console

from darkknowledge import Recipe
from darkknowledge.contract import Batch
from darkknowledge.data import Dataset, from_tensors
from darkknowledge.model import Network, build
from darkknowledge.objective import build as build_objective
from darkknowledge.runs.environment import environment
from darkknowledge.training import fit
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.precision import has_bfloat16
from darkknowledge.training.progress import ProgressBar

BATCH, RATE = 256, 0.05


def make_data(count: int) -> Dataset:
    """Pictures of noise: how long a step takes does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 10
    return from_tensors(images, labels, class_names=[str(digit) for digit in range(10)], validation=0)


def make_network(data: Dataset) -> Network:
    """The paper's student."""
    torch.manual_seed(0)
    return build("hinton_mlp", num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, hidden=(800, 800))


def ours(data: Dataset, precision: str) -> None:
    """One epoch of `fit` as `dk train` calls it."""
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=RATE, warmup=0, precision=precision, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        bar = ProgressBar(Console(file=io.StringIO(), force_terminal=True, width=120))
        fit(make_network(data), build_objective("hard_label"), data.train, recipe, watchers=[MetricFiles(Path(folder)), bar])


def bare(data: Dataset, images: torch.Tensor, labels: torch.Tensor, precision: str) -> None:
    """The same epoch as somebody would write it by hand, who looks at the loss every 50 steps."""
    network = make_network(data).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, nesterov=True)
    steps = math.ceil(len(images) / BATCH)
    positions = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    for step in range(steps):
        rows = positions[step * BATCH : (step + 1) * BATCH]
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(images[rows].float() / 255)
        loss = F.cross_entropy(logits.float(), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 49:
            loss.item()


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def interval(ratios: list[float], resamples: int = 10_000) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the median."""
    values = torch.tensor(ratios, dtype=torch.float64)
    draws = values[torch.randint(len(ratios), (resamples, len(ratios)), generator=torch.Generator().manual_seed(0))]
    low, high = draws.median(dim=1).values.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def compare(data: Dataset, precision: str, pairs: int) -> dict[str, object]:
    """The ratios ours / bare of interleaved pairs."""
    images, labels = (torch.cat(parts) for parts in zip(*((b.inputs, b.labels) for b in _all(data)), strict=True))
    images = (images * 255).round().byte()
    runs = {"ours": lambda: ours(data, precision), "bare": lambda: bare(data, images, labels, precision)}
    for work in runs.values():
        work()
    ratios: dict[str, list[float]] = {"cpu": [], "wall": []}
    for pair in range(pairs):
        found = {name: timed(runs[name]) for name in (sorted(runs) if pair % 2 else sorted(runs, reverse=True))}
        for index, kind in enumerate(ratios):
            ratios[kind].append(found["ours"][index] / found["bare"][index])
    summary = {kind: {"median": median(values), "interval": interval(values), "ratios": values} for kind, values in ratios.items()}
    for kind, values in ratios.items():
        low, high = interval(values)
        print(f"{precision} {kind}: ratio {median(values):.4f} (95 % interval of the median {low:.4f} to {high:.4f}, {pairs} pairs)", flush=True)
    return {"pairs": pairs, **summary}


def _all(data: Dataset) -> list[Batch]:
    return list(data.train.batches(torch.arange(len(data.train)), batch_size=8192, views=None))


def main() -> None:
    """Measure both precisions and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--count", type=int, default=60_000, help="pictures in an epoch")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = make_data(arguments.count)
    precisions = ["fp32", "bf16"] if has_bfloat16("cpu") else ["fp32"]
    results = {precision: compare(data, precision, arguments.pairs) for precision in precisions}
    arguments.out.write_text(json.dumps({**results, "environment": environment()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
