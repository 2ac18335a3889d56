"""What the training loop costs beside a bare PyTorch loop of the same steps.

784-800-800-10 on 60,000 pictures of 28×28, batches of 256, one epoch of 235 steps, one thread, float32 and bfloat16. Ours: `fit` with its metric
files and the live progress bar, no validation, its own start and end included. Bare: the loop below, with the same network, order, optimizer and
schedule.
"""

from __future__ import annotations

import io
import math
import tempfile
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from benchmarks._measuring import Run, compare
from benchmarks._pictures import noise, perceptron
from rich.console import Console
from torch import Tensor

from darkknowledge import Recipe
from darkknowledge.data import Dataset
from darkknowledge.objective import build as build_objective
from darkknowledge.training import fit
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.precision import has_bfloat16
from darkknowledge.training.progress import ProgressBar

BATCH, RATE, COUNT = 256, 0.05, 60_000


def measure(run: Run) -> None:
    """An epoch in both precisions."""
    torch.set_num_threads(1)
    data = noise(1024 if run.quick else COUNT)
    (everything,) = data.train.batches(torch.arange(len(data.train)), batch_size=len(data.train), views=None)
    images = (everything.inputs * 255).round().byte()
    for precision in ("fp32", "bf16") if has_bfloat16("cpu") else ("fp32",):
        works = {"ours": partial(ours, data, precision), "bare": partial(bare, data, images, everything.labels, precision)}
        run.add(precision, compare(works, to="bare", repeats=run.repeats))


def ours(data: Dataset, precision: str) -> None:
    """One epoch of `fit` as `dk train` calls it."""
    recipe = Recipe(epochs=1, batch_size=BATCH, learning_rate=RATE, warmup=0, precision=precision, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        bar = ProgressBar(Console(file=io.StringIO(), force_terminal=True, width=120))
        fit(perceptron(data, 800), build_objective("hard_label"), data.train, recipe, watchers=[MetricFiles(Path(folder)), bar])


def bare(data: Dataset, images: Tensor, labels: Tensor, precision: str) -> None:
    """The same epoch as somebody would write it by hand, who looks at the loss every 50 steps."""
    network = perceptron(data, 800).train()
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
