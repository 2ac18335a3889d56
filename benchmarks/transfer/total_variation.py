"""How far the soft targets of each codec are from the teacher's own: total variation, bytes a row and captured mass.

    python benchmarks/transfer/total_variation.py DATA_ROOT MNIST_RUN CIFAR_ROOT CIFAR_RUN

The first run is a teacher of MNIST in DATA_ROOT, the second one of CIFAR-10 as parquet in CIFAR_ROOT (`dk train data=parquet data.root=…
model=cifar_resnet model.depth=8 training.epochs=2`). Each answers 10,000 of its training pictures, augmented as in its training. For 1,000 classes
there are synthetic logits, 10,000 rows of each of three kinds (see `synthetic`). Compared are the codecs of the transfer sets, and the k largest
logits renormalised, with nothing for the other classes, which is what other caches keep. The total variation of two distributions is half the sum of
the absolute differences.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge import model
from darkknowledge.data import load
from darkknowledge.runs.environment import environment
from darkknowledge.teacher import Frozen
from darkknowledge.transfer.codec import Codec, build as build_codec

ROWS, CLASSES, GROUP = 10_000, 1000, 20
TEMPERATURES = (1.0, 2.0, 4.0, 8.0)
KEPT = {10: (3, 5), 1000: (10, 50, 100, 128)}
RESULTS = Path(__file__).with_suffix(".json")


def main(root: str, mnist_run: str, cifar_root: str, cifar_run: str) -> None:
    torch.set_num_threads(1)
    results: dict[str, Any] = {"rows": ROWS, "environment": environment()}
    for name, logits in {
        "mnist": answers(mnist_run, "mnist", root, "jitter"),
        "cifar10_jpeg": answers(cifar_run, "parquet", cifar_root, "crop_flip"),
        "synthetic_confident": synthetic(scale=1.0, freedom=8),
        "synthetic_smooth": synthetic(scale=0.4, freedom=8),
        "synthetic_heavy_tails": synthetic(scale=1.0, freedom=4),
    }.items():
        results[name] = {"logits": described(logits), "codecs": compared(logits)}
        print(name, json.dumps(results[name]["logits"]), file=sys.stderr, flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def answers(run: str, name: str, root: str, augment: str) -> Tensor:
    """A teacher's logits (R, C) of view 0 of the first training pictures."""
    data = load(name, root=root, validation=5000, augment=augment)
    teacher = Frozen(model.load(Path(run) / "model"), data.class_names)
    batches = data.train.batches(torch.arange(ROWS), batch_size=256, views=torch.zeros(ROWS, dtype=torch.int64))
    return torch.cat([teacher(batch).logits() for batch in batches])


def synthetic(*, scale: float, freedom: int) -> Tensor:
    """Logits (R, 1000) that look like those of a network for ImageNet; the generator's seed is 0.

    The classes are 50 groups of 20. A row belongs to a class drawn evenly. Every logit is 1.5 times a Student t with ``freedom`` degrees of freedom,
    scaled to the standard deviation 1. The other classes of the same group get a normal addition of mean 4 and standard deviation 2, those of three
    more groups, drawn for each row, one of mean 1.5 and standard deviation 1, and the class itself one of mean 12 and standard deviation 3. All is
    multiplied by ``scale``: 0.4 stands for a network trained with label smoothing, whose logits are small.
    """
    generator = torch.Generator().manual_seed(0)

    def normal() -> Tensor:
        return torch.randn(ROWS, CLASSES, generator=generator)

    squares = torch.zeros(ROWS, CLASSES)
    for _ in range(freedom):
        squares += normal().square_()
    logits = 1.5 * normal() / (squares / freedom).sqrt() * math.sqrt((freedom - 2) / freedom)
    label = torch.randint(CLASSES, (ROWS, 1), generator=generator)
    groups = torch.arange(CLASSES) // GROUP
    near = torch.randint(CLASSES // GROUP, (ROWS, 3), generator=generator)
    logits += torch.where((groups[:, None] == near[:, None, :]).any(-1), 1.5 + normal(), 0.0)
    own = torch.where(groups == label // GROUP, 4 + 2 * normal(), 0.0)
    own.scatter_(1, label, 12 + 3 * torch.randn(ROWS, 1, generator=generator))
    logits += own
    return logits * scale


def described(logits: Tensor) -> dict[str, Any]:
    """What kind of logits these are."""
    soft = {f"T={temperature:g}": (logits / temperature).softmax(-1) for temperature in TEMPERATURES}
    return {
        "classes": logits.shape[1],
        "mean_range": (logits.amax(-1) - logits.amin(-1)).mean().item(),
        "mean_sd_in_row": logits.std(-1).mean().item(),
        "mean_largest_probability": {name: p.amax(-1).mean().item() for name, p in soft.items()},
        "mean_entropy_nats": {name: torch.special.entr(p).sum(-1).mean().item() for name, p in soft.items()},
    }


def compared(logits: Tensor) -> dict[str, Any]:
    """Every codec, and beside each top-k one the renormalised top-k."""
    classes = logits.shape[1]
    codecs = {name: build_codec(name, classes) for name in ("float16", "uint8")}
    codecs |= {f"topk k={k}": build_codec("topk", classes, k=k, temperatures=TEMPERATURES) for k in KEPT[classes]}
    found = {name: {"bytes": codec.width, **{f"T={t:g}": of_codec(codec, logits, t) for t in TEMPERATURES}} for name, codec in codecs.items()}
    for k in KEPT[classes]:
        found[f"renormalised k={k}"] = {"bytes": 4 * k, **{f"T={t:g}": renormalised(k, logits, t) for t in TEMPERATURES}}
    return found


def of_codec(codec: Codec, logits: Tensor, temperature: float) -> dict[str, float]:
    parts = []
    mass = []
    for rows in torch.split(logits, 1000):
        encoded = codec.encode(rows)
        target, kept = (values.double().div(temperature).softmax(-1) for values in (rows, codec.decode(encoded, temperature)))
        parts.append((target - kept).abs().sum(-1) / 2)
        if captured := getattr(codec, "captured", None):
            mass.append(captured(encoded, temperature))
    return {**summary(torch.cat(parts)), **({"captured_mass": torch.cat(mass).mean().item()} if mass else {})}


def renormalised(k: int, logits: Tensor, temperature: float) -> dict[str, float]:
    """The k largest as float16 with their ids, and a softmax over these alone."""
    values, ids = logits.topk(k)
    target = (logits.double() / temperature).softmax(-1)
    kept = torch.zeros_like(target).scatter_(1, ids, (values.half().double() / temperature).softmax(-1))
    return {**summary((target - kept).abs().sum(-1) / 2), "captured_mass": target.gather(1, ids).sum(-1).mean().item()}


def summary(distances: Tensor) -> dict[str, float]:
    return {"mean": distances.mean().item(), "99.9 %": distances.quantile(0.999).item(), "largest": distances.max().item()}


if __name__ == "__main__":
    main(*sys.argv[1:])
