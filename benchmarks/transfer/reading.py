"""Random batches of 1,024 rows of 40 bytes from a million rows: how long a transfer set takes, and how much private memory.

    uv run --with datasets python benchmarks/transfer/reading.py

- ``bytes``: `TransferSet.raw` of sets of 1 and of 16 shards, beside one ``np.take`` (40 bytes as one item) from the mapping of the first set.
  ``shard_by_shard`` is what is used where shards can't be mapped side by side; of ``sparse`` sets only every third id is there.
- ``answers``: from ids to logits, beside the same ``np.take``; ``loaded`` has copied the rows into memory.
- ``datasets``: the same rows in Hugging Face `datasets`, as float32 lists of fixed size in a mapped Arrow file, in torch format, asked with a list of
  row numbers; ours is asked with the same list, and with a tensor.
- ``memory``: see reading_memory.py. (Needs Linux.)

The ways take turns, in another order each round, each with fresh batches. All pages have been touched before. One thread.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from reading_memory import growth
from reading_rows import BATCH, CLASSES, batches, make_set

from darkknowledge.runs.environment import environment
from darkknowledge.transfer import LoadedSet, TransferSet
from darkknowledge.transfer._lookup import gather

RESULTS = Path(__file__).with_suffix(".json")
ROWS, SPREAD = 1_000_000, 3
ROUNDS, PER_ROUND, SLOW = 60, 300, 4
"""Rounds, batches of each way in a round, and of `datasets`."""
KINDS = ("cpu", "wall")
Way = tuple[Callable[[Any], object], Callable[[NDArray[np.int64]], Any], int]
"""What is timed, what makes its argument of row numbers (not timed), and the batches a round."""


def main() -> None:
    torch.set_num_threads(1)
    results: dict[str, Any] = {"environment": environment(), "rows": ROWS, "batch": BATCH, "rounds": ROUNDS, "batches_per_round": PER_ROUND}
    with tempfile.TemporaryDirectory() as folder:
        sets = make_sets(Path(folder))
        logits = sets["1 shard"].shards[0].answers.view(np.float32)
        parts: dict[str, Mapping[str, Way]] = {"bytes": bytes_of(sets), "answers": answers_of(sets), "datasets": datasets_of(logits, sets, folder)}
        for name, ways in parts.items():
            results[name] = compared(ways)
            write(name, results)
    sizes = [(10**power, spread) for spread in (1, SPREAD) for power in (4, 5, 6, 7)]
    results["memory"] = [growth(rows, spread) for rows, spread in sizes] if sys.platform == "linux" else None
    write("memory", results)


def write(name: str, results: Mapping[str, Any]) -> None:
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    shown = results[name] if name == "memory" else {key: value for key, value in results[name].items() if key != "microseconds"}
    print(name, json.dumps(shown, indent=1), file=sys.stderr, flush=True)


def make_sets(folder: Path) -> dict[str, TransferSet]:
    """The sets by name, all of their pages touched."""
    sets = {
        f"{count} shard{'s' if count > 1 else ''}{', sparse' if spread > 1 else ''}": make_set(
            folder / f"{count}-{spread}", ROWS, shard_rows=ROWS if count == 1 else None, spread=spread
        )
        for count in (1, 16)
        for spread in (1, SPREAD)
    }
    for name, found in sets.items():
        assert len(found.shards) == int(name.split()[0])
        found.raw(found.keys().numpy())
    return sets


def take_of(sets: Mapping[str, TransferSet]) -> Way:
    """The measure: one ``np.take`` from one mapping."""
    items = sets["1 shard"].shards[0].answers.view(f"V{4 * CLASSES}")[:, 0]
    return partial(np.take, items), lambda rows: rows, PER_ROUND


def bytes_of(sets: Mapping[str, TransferSet]) -> dict[str, Way]:
    many = sets["16 shards"]
    columns = [shard.answers.view(f"V{4 * CLASSES}")[:, 0] for shard in many.shards]
    by_shard = partial(gather, columns, shard_rows=many.manifest.shard_rows)
    ways: dict[str, Way] = {name: (found.raw, spread_of(name), PER_ROUND) for name, found in sets.items()}
    return {"take": take_of(sets), **ways, "16 shards, shard_by_shard": (by_shard, lambda rows: rows, PER_ROUND)}


def answers_of(sets: Mapping[str, TransferSet]) -> dict[str, Way]:
    ways: dict[str, Way] = {"take": take_of(sets)}
    for name, found in sets.items():
        ids = partial(ids_of, spread=spread_of(name))
        ways[name] = partial(logits_of, found), ids, PER_ROUND
        if name.startswith("1 shard"):
            ways[f"{name}, loaded"] = partial(logits_of, found.load()), ids, PER_ROUND
    return ways


def logits_of(found: TransferSet | LoadedSet, ids: torch.Tensor) -> torch.Tensor:
    return found.answer(ids).logits()


def spread_of(name: str) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    return (lambda rows: rows * SPREAD) if "sparse" in name else lambda rows: rows


def ids_of(rows: NDArray[np.int64], *, spread: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> torch.Tensor:
    return torch.from_numpy(spread(rows))


def datasets_of(logits: NDArray[np.float32], sets: Mapping[str, TransferSet], folder: str) -> dict[str, Way]:
    """The same rows in both."""
    import pyarrow as pa
    from datasets import Dataset, Features, List, Value, load_from_disk

    column = pa.FixedSizeListArray.from_arrays(pa.array(logits.reshape(-1)), CLASSES)
    features = Features({"logits": List(Value("float32"), length=CLASSES)})
    Dataset(pa.table({"logits": column}).cast(features.arrow_schema)).save_to_disk(f"{folder}/datasets")
    theirs = load_from_disk(f"{folder}/datasets", keep_in_memory=False).with_format("torch")
    rows = np.arange(0, ROWS, 997)
    assert torch.equal(theirs[rows.tolist()]["logits"], sets["1 shard"][rows].logits())
    asked: dict[str, Callable[[NDArray[np.int64]], Any]] = {"tensor": torch.from_numpy, "list": np.ndarray.tolist}
    ours: dict[str, Way] = {
        f"{name}, {kind}": (partial(logits_of, sets[name]), of_rows, PER_ROUND)
        for name, (kind, of_rows) in itertools.product(("1 shard", "16 shards"), asked.items())
    }
    return {"take": take_of(sets), **ours, "datasets": (lambda ids: theirs[ids]["logits"], np.ndarray.tolist, SLOW)}


def compared(ways: Mapping[str, Way]) -> dict[str, Any]:
    """Microseconds a batch, round by round; ratios to `take` of the same round, and of `datasets` to ours."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    generator, names = np.random.default_rng(0), list(ways)
    for turn in range(ROUNDS + 1):
        random.Random(turn).shuffle(names)
        for name in names:
            measured = timed(ways[name], generator)
            if turn:  # the first is to warm up
                seconds[name].append(measured)
    found: dict[str, Any] = {"microseconds": {name: dict(zip(KINDS, zip(*pairs, strict=True), strict=True)) for name, pairs in seconds.items()}}
    found["over_take"] = {name: ratio(pairs, seconds["take"]) for name, pairs in seconds.items() if name != "take"}
    if "datasets" in seconds:
        found["datasets_over"] = {name: ratio(seconds["datasets"], pairs) for name, pairs in seconds.items() if name not in ("datasets", "take")}
    return found


def timed(way: Way, generator: np.random.Generator) -> tuple[float, float]:
    """CPU and wall microseconds a batch."""
    work, prepare, count = way
    asked = [prepare(rows) for rows in batches(ROWS, count, generator)]
    cpu, wall = time.process_time(), time.perf_counter()
    for each in asked:
        work(each)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return round(cpu / count * 1e6, 2), round(wall / count * 1e6, 2)


def ratio(ours: Sequence[tuple[float, float]], theirs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """For CPU and wall time the median ratio of the rounds, with a 95 % bootstrap interval."""
    found = {}
    for kind, of_ours, of_theirs in zip(KINDS, np.array(ours).T, np.array(theirs).T, strict=True):
        ratios = of_ours / of_theirs
        draws = np.median(np.random.default_rng(0).choice(ratios, (10_000, len(ratios))), axis=1)
        low, high = np.quantile(draws, (0.025, 0.975)).round(4).tolist()
        found[kind] = {"median": round(float(np.median(ratios)), 4), "interval": [low, high]}
    return found


if __name__ == "__main__":
    main()
