"""Write mutmut's mutants of the project in the current folder, and draw some: ``python -m benchmarks.mutants.writing FOLDER COUNT SEED``."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from mutmut.__main__ import collect_source_file_mutation_data, create_mutants
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir


def write(folder: Path, count: int, seed: int) -> None:
    """The number of mutants into ``all.json``; the names of those drawn, with the lines that change, into ``draw.json``."""
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    copy_src_dir()
    copy_also_copy_files()
    create_mutants(1)
    found, _ = collect_source_file_mutation_data(mutant_names=())
    names = sorted((name, str(mutated.path)) for mutated, name, _ in found)
    chosen = random.Random(seed).sample(names, min(count, len(names)))
    (folder / "all.json").write_text(json.dumps(len(names)))
    (folder / "draw.json").write_text(json.dumps({name: changed(name, path) for name, path in chosen}))


def changed(mutant: str, path: str) -> list[str]:
    """The lines that the mutant takes away and puts in their place."""
    return [line for line in get_diff_for_mutant(mutant, path=path).splitlines() if line[:1] in "+-" and line[:3] not in ("---", "+++")]


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
