"""A set that is read takes no private memory of its size."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from darkknowledge.transfer import Plan, TransferSet
from darkknowledge.transfer._shard import Columns
from darkknowledge.transfer._sidecar import commit, write_shard
from transfer.small import Linear, identity_of, points

STATUS = Path("/proc/self/status")


def written(folder: Path, rows: int) -> Path:
    """A set of random logits with the ids from 0."""
    plan = Plan.make(identity_of(Linear(), points()), ids=torch.arange(rows))
    (folder / "shards").mkdir(parents=True)
    written = {}
    for number in range(len(plan.shards)):
        keys = plan.shard_keys(number).numpy()
        logits = np.random.default_rng(number).random((len(keys), 10), np.float32)
        written[number] = write_shard(folder, plan, number, Columns(keys, keys % 10, keys.astype(np.uint32), logits.view(np.uint8)))
    commit(folder, plan, environment={}, written=written)
    return folder


def private_kib() -> int:
    """Memory of this process that no file stands behind."""
    (found,) = re.findall(r"RssAnon:\s+(\d+) kB", STATUS.read_text())
    return int(found)


def grown(folder: Path, rows: int) -> int:
    """KiB of private memory that opening a set and reading 300 random batches of it takes."""
    before = private_kib()
    found = TransferSet.open(folder)
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        found[torch.randint(rows, (1024,), generator=generator)].logits().sum()
    return private_kib() - before


@pytest.mark.skipif(not STATUS.is_file() or "RssAnon" not in STATUS.read_text(), reason="needs /proc")
def test_a_hundred_times_the_rows_take_no_more_private_memory(tmp_path: Path) -> None:
    sizes = (10_000, 1_000_000)
    folders = [written(tmp_path / str(rows), rows) for rows in sizes]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        few, many = fresh.map(grown, folders, sizes)
    assert many < few + 2048  # the answers of the large set are 39,063 KiB
