"""Sets of random rows, made by the functions that write every set, and random batches of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from darkknowledge.contract import PLAIN
from darkknowledge.runs.environment import environment
from darkknowledge.transfer import Identity, Plan, TransferSet
from darkknowledge.transfer._shard import Columns
from darkknowledge.transfer._sidecar import commit, write_shard
from darkknowledge.transfer.codec import build

CLASSES, BATCH = 10, 1024
"""Ten logits of float32 are 40 bytes; with key, label and checksum a row has 60."""


def make_set(folder: Path, rows: int, *, shard_rows: int | None = None, spread: int = 1) -> TransferSet:
    """A set of ``rows`` rows with the ids 0, ``spread``, 2 · ``spread``, …; None stands for the shards that a recording would choose."""
    names = tuple(f"class {index}" for index in range(CLASSES))
    identity = Identity(("random",), "probability", (1.0,), "random", names, PLAIN, 1, build("float32", CLASSES))
    plan = Plan.make(identity, ids=torch.arange(rows) * spread, shard_rows=shard_rows)
    (folder / "shards").mkdir(parents=True)
    generator, written = np.random.default_rng(0), {}
    for number in range(len(plan.shards)):
        keys = plan.shard_keys(number).numpy()
        logits = generator.standard_normal((len(keys), CLASSES), np.float32)
        written[number] = write_shard(folder, plan, number, Columns(keys, keys % CLASSES, keys.astype(np.uint32), logits.view(np.uint8)))
    commit(folder, plan, environment=environment(), written=written)
    return TransferSet.open(folder)


def batches(rows: int, count: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """So many batches of random row numbers, the same one possibly twice."""
    return [generator.integers(0, rows, BATCH) for _ in range(count)]
