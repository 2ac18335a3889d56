"""A view is the same in another process. Run as a program, this file prints what its own process draws."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator

import torch
from torchvision.transforms import v2

from darkknowledge.contract import Examples
from darkknowledge.data import ImageExamples, Mixed, Replayable


def views() -> Iterator[Examples]:
    ids = torch.arange(30)
    plain = ImageExamples((torch.arange(30 * 3 * 64) * 7 % 256).byte().view(30, 3, 8, 8), ids, ids % 3)
    strong = plain.augmented(Replayable(v2.Compose([v2.RandAugment(), v2.ColorJitter(0.5)]), meaning="strong/1"), seed=1)
    yield from (plain.augmented("crop_flip_cutout", seed=1), strong)
    yield from (Mixed(strong, kind, alpha=0.4, classes=3, seed=1) for kind in ("mixup", "cutmix"))


def digests() -> list[str]:
    positions = torch.arange(30)
    found = []
    for examples in views():
        batch = next(iter(examples.batches(positions, batch_size=30, views=positions % 4)))
        content = batch.inputs.numpy().tobytes() + batch.labels.numpy().tobytes() + examples.transform.encode()
        found.append(hashlib.sha256(content).hexdigest())
    return found


def test_another_process_draws_the_same() -> None:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=120, check=True)
    found = digests()
    assert done.stdout.split() == found
    assert len(set(found)) == 4


if __name__ == "__main__":
    print(*digests())
