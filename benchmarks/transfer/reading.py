"""Random batches of 1,024 rows of 40 bytes from a million rows: how long a transfer set takes, and how much private memory.

- ``bytes``: `TransferSet.raw` of sets of 1 and of 16 shards, beside one ``np.take`` (40 bytes as one item) from the mapping of the first set.
  ``shard_by_shard`` is what is used where shards can't be mapped side by side; of ``sparse`` sets only every third id is there.
- ``answers``: from ids to logits, beside the same ``np.take``; ``loaded`` has copied the rows into memory.
- ``datasets``: the same rows in Hugging Face `datasets`, as float32 lists of fixed size in a mapped Arrow file, in torch format, asked with a list of
  row numbers; ours is asked with the same list, and with a tensor.
- ``memory``: see reading_memory.py. (Needs Linux.)

Every call reads another batch, made before. All pages have been touched before. One thread.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks._measuring import Comparison, Run, compare
from benchmarks.transfer.reading_memory import growth
from benchmarks.transfer.reading_rows import CLASSES, batches, make_set
from numpy.typing import NDArray

from darkknowledge.transfer import LoadedSet, TransferSet
from darkknowledge.transfer._lookup import gather

ROWS, SPREAD = 1_000_000, 3
ROUNDS, BATCHES = 60, 1000
"""Rounds, and how many batches there are before they come again."""
POWERS, QUICK_POWERS = (4, 5, 6, 7), (3, 4)
Way = tuple[Callable[[Any], object], Callable[[NDArray[np.int64]], Any]]
"""What is timed, and what makes its argument of row numbers (not timed)."""


def measure(run: Run) -> None:
    """Bytes, answers, `datasets` where it is installed, memory."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        sets = make_sets(Path(folder))
        run.add("bytes", compared(bytes_of(sets), run, to="take"))
        run.add("answers", compared(answers_of(sets), run, to="take"))
        if run.peer("datasets", package="datasets") is not None:
            logits = sets["1 shard"].shards[0].answers.view(np.float32)
            run.add("datasets", compared(datasets_of(logits, sets, folder), run, to="datasets"))
    if sys.platform == "linux":
        sizes = [(10**power, spread) for spread in (1, SPREAD) for power in (QUICK_POWERS if run.quick else POWERS)]
        run.add("memory", {"processes": [growth(rows, spread) for rows, spread in sizes]})


def compared(ways: Mapping[str, Way], run: Run, *, to: str) -> Comparison:
    """Seconds a batch."""
    return compare({name: cycling(way) for name, way in ways.items()}, to=to, repeats=run.rounds(ROUNDS))


def cycling(way: Way) -> Callable[[], object]:
    """A call that reads the next batch."""
    work, prepare = way
    asked = itertools.cycle([prepare(batch) for batch in batches(ROWS, BATCHES, np.random.default_rng(0))])
    return lambda: work(next(asked))


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
    return partial(np.take, items), lambda rows: rows


def bytes_of(sets: Mapping[str, TransferSet]) -> dict[str, Way]:
    many = sets["16 shards"]
    columns = [shard.answers.view(f"V{4 * CLASSES}")[:, 0] for shard in many.shards]
    by_shard = partial(gather, columns, shard_rows=many.manifest.shard_rows)
    ways: dict[str, Way] = {name: (found.raw, spread_of(name)) for name, found in sets.items()}
    return {"take": take_of(sets), **ways, "16 shards, shard_by_shard": (by_shard, lambda rows: rows)}


def answers_of(sets: Mapping[str, TransferSet]) -> dict[str, Way]:
    ways: dict[str, Way] = {"take": take_of(sets)}
    for name, found in sets.items():
        ids = partial(ids_of, spread=spread_of(name))
        ways[name] = partial(logits_of, found), ids
        if name.startswith("1 shard"):
            ways[f"{name}, loaded"] = partial(logits_of, found.load()), ids
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
    rows = np.arange(0, len(logits), 997)
    assert torch.equal(theirs[rows.tolist()]["logits"], sets["1 shard"][rows].logits())
    asked: dict[str, Callable[[NDArray[np.int64]], Any]] = {"tensor": torch.from_numpy, "list": np.ndarray.tolist}
    ours: dict[str, Way] = {
        f"{name}, {kind}": (partial(logits_of, sets[name]), of_rows)
        for name, (kind, of_rows) in itertools.product(("1 shard", "16 shards"), asked.items())
    }
    return {"take": take_of(sets), **ours, "datasets": (lambda ids: theirs[ids]["logits"], np.ndarray.tolist)}
