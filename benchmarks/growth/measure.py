"""How time and private memory grow: with examples from 10,000 to a million, with classes from 1,000 to 32,000.

Every point is measured in a process of its own, five times in a shuffled order, and the median counts. An *increment* is what one more example (or
class) costs between two sizes that follow each other. Growth is linear if the increments stay the same; the largest over the smallest says how far
they do, and so does the exponent of a fitted power law, which is 1 (what a start costs is in the smallest sizes and bends it down).
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks._measuring import Run, in_fresh_process
from benchmarks._measuring.process import ROOT
from benchmarks.growth.examples import PHASES
from rich.table import Table

EXAMPLES, QUICK_EXAMPLES = (10_000, 30_000, 100_000, 300_000, 1_000_000), (500, 1000)
CLASSES, QUICK_CLASSES = (1000, 2000, 4000, 8000, 16_000, 32_000), (100, 200)
REPEATS = 5
RECORD = Path(__file__).with_name("results.json")
"""The record whose figures are those of the documentation."""


def measure(run: Run) -> None:
    """Examples, then classes, then the figures."""
    if sys.platform == "linux":
        add(run, "examples", by_examples(run, QUICK_EXAMPLES if run.quick else EXAMPLES))
    else:
        run.note("SKIPPED: growth with examples, because private memory is read from Linux's /proc", loud=True)
    add(run, "classes", by_classes(run, QUICK_CLASSES if run.quick else CLASSES))
    if run.out is not None and run.peer("matplotlib", package="matplotlib") is not None:
        from benchmarks.growth.draw import draw

        folder = ROOT / "docs" if run.out == RECORD else run.out.parent
        for path in draw(run.parts, folder):
            run.note(f"drawn: {path.name}")


def by_examples(run: Run, sizes: Sequence[int]) -> dict[str, dict[str, Any]]:
    """For each phase what it took at every size; a set is recorded anew for each repeat, and then learned from and read."""
    rounds: list[dict[int, dict[str, dict[str, float]]]] = []
    for number in range(run.rounds(REPEATS)):
        rounds.append({size: phases(size) for size in random.Random(number).sample(sizes, len(sizes))})
        run.note(f"examples: round {number + 1} of {run.rounds(REPEATS)}")
    found = {}
    for phase in PHASES:
        for name, unit in (("seconds", "s"), ("peak", "bytes")):
            values = [[of_round[size][phase][name] for size in sizes] for of_round in rounds]
            found[f"{phase}, {'time' if name == 'seconds' else 'private memory'}"] = growth(sizes, values, unit=unit)
    return found


def phases(size: int) -> dict[str, dict[str, float]]:
    """All phases at one size."""
    with tempfile.TemporaryDirectory() as folder:
        return {phase: in_fresh_process(f"benchmarks.growth.examples:{phase}", count=size, folder=str(Path(folder) / "set")) for phase in PHASES}


def by_classes(run: Run, sizes: Sequence[int]) -> dict[str, dict[str, Any]]:
    """For the objective and each codec what a call took at every number of classes."""
    rounds: list[dict[int, dict[str, float]]] = []
    for number in range(run.rounds(REPEATS)):
        shuffled = random.Random(number).sample(sizes, len(sizes))
        rounds.append({size: in_fresh_process("benchmarks.growth.classes:seconds", classes=size) for size in shuffled})
        run.note(f"classes: round {number + 1} of {run.rounds(REPEATS)}")
    names = rounds[0][sizes[0]]
    return {name: growth(sizes, [[of_round[size][name] for size in sizes] for of_round in rounds], unit="s") for name in names}


def growth(sizes: Sequence[int], values: Sequence[Sequence[float]], *, unit: str) -> dict[str, Any]:
    """Medians over the rounds, the increments between sizes, how much they differ, and the exponent of a power law."""
    middle = np.median(np.array(values, dtype=np.float64), axis=0)
    increments = np.diff(middle) / np.diff(sizes)
    positive = middle > 0
    exponent = np.polyfit(np.log(np.array(sizes)[positive]), np.log(middle[positive]), 1)[0] if positive.sum() > 1 else None
    return {
        "unit": unit,
        "sizes": list(sizes),
        "medians": [float(f"{value:.4g}") for value in middle],
        "increments": [float(f"{value:.4g}") for value in increments],
        "largest / smallest increment": float(f"{increments.max() / increments.min():.3g}") if increments.min() > 0 else None,
        "exponent": None if exponent is None else round(float(exponent), 3),
    }


def add(run: Run, part: str, found: dict[str, dict[str, Any]]) -> None:
    """A row for each kind of work: its medians, and what the increments say."""
    sizes = next(iter(found.values()))["sizes"]
    table = Table("", *(f"{size:,}" for size in sizes), "increments differ by", "exponent", title=f"growth with {part}", title_justify="left")
    for name, values in found.items():
        cells = [f"{value:.3g} {values['unit']}" for value in values["medians"]]
        table.add_row(name, *cells, str(values["largest / smallest increment"] or "-"), str(values["exponent"]))
    run.add(part, found, shown=table)
