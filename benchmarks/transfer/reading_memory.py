"""Private memory of a fresh process that opens a set and reads random batches of it.

Pages of mapped files are shared with whoever else reads them and can be dropped
at any time. Private are those that were written to (``Private_Dirty``) and those without a file behind them (``RssAnon``).
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks._measuring import in_fresh_process
from benchmarks.transfer.reading_rows import batches, make_set

from darkknowledge.transfer import TransferSet

READ = 500


def private() -> dict[str, int]:
    """KiB of this process."""
    found = {}
    for name, file in (("Private_Dirty", "smaps_rollup"), ("RssAnon", "status"), ("RssFile", "status")):
        (value,) = re.findall(rf"^{name}:\s+(\d+) kB$", Path("/proc/self", file).read_text(), re.MULTILINE)
        found[name] = int(value)
    return found


def read(folder: str) -> dict[str, dict[str, int]]:
    """KiB before the set is opened, then, and after `READ` batches."""
    torch.set_num_threads(1)
    before = private()
    found = TransferSet.open(folder)
    opened = private()
    spread = int(found.shards[0].keys[1])  # the first id is 0
    for rows in batches(len(found), READ, np.random.default_rng(0)):
        found[torch.from_numpy(rows * spread)].logits().sum()
    return {"before": before, "opened": opened, "read": private()}


def growth(rows: int, spread: int) -> dict[str, Any]:
    """What a process says about a set that is made for it and removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        made = make_set(Path(folder) / "set", rows, spread=spread)
        megabytes = sum(size for size, _ in made.manifest.files.values()) / 1e6
        values = in_fresh_process("benchmarks.transfer.reading_memory:read", folder=str(made.path))
        shards = len(made.shards)
    grown = {name: values["read"][name] - values["before"][name] for name in values["before"]}
    return {"rows": rows, "id_every": spread, "shards": shards, "MB": round(megabytes, 1), "KiB": values, "KiB_grown": grown}
