"""``python -m benchmarks.hinton2015 run --data FOLDER``; README.md says the rest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.hinton2015.jobs import Place
from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.runner import run_all
from benchmarks.hinton2015.selection import STAGES

HERE = Path(__file__).parent


def main(words: list[str]) -> int:
    """Run experiments, or the selection before them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hinton2015", description=__doc__)
    parser.add_argument(
        "rows", nargs="*", default=list(ROWS), choices=[*ROWS, *STAGES, []], help="rows, or stages of the selection; all rows by default"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder with MNIST")
    parser.add_argument("--work", type=Path, default=Path("runs/hinton2015"), help="where run folders and transfer sets go (gigabytes)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the records go")
    parser.add_argument("--processes", type=int, default=2, help="of one thread each")
    given = parser.parse_args(words)
    place = Place(given.data.resolve(), given.work.resolve(), given.results.resolve())
    try:
        failed = run_all(jobs(given.rows), place, processes=given.processes)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
