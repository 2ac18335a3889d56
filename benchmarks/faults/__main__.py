"""``python -m benchmarks faults``: all benches with their usual numbers, and the page; or one of them by name."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
COUNTS = {
    "kills": {"kills": (1000, "children that are killed"), "full": (100, "full disks"), "real": (50, "dk processes that are killed")},
    "flips": {"flips": (10_000, "bits")},
    "costs": {"repeats": (30, "rounds")},
    "resume": {"steps": (39, "steps of 39 after which a run is stopped, in each of four ways")},
    "starts": {"starts": (20, "trainings at once"), "pairs": (20, "times two on one folder")},
}
"""For each bench how many cases of what."""
ABOUT = {
    "kills": "SIGKILL while training states are saved and a transfer set is recorded; full disks",
    "flips": "single bits in every kind of file",
    "costs": "saving and checking, timed",
    "resume": "runs that are stopped after every step",
    "starts": "many trainings at once, and two on one folder",
    "report": "the tables of README.md, from the records",
}


def main(words: Sequence[str]) -> int:
    """Run benches; 0, or 1 where something was found that must not be."""
    # In time before torch is imported: a forked child can't use its parent's threads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    asked = parser().parse_args(words)
    names = list(COUNTS) if asked.bench is None else [asked.bench]
    codes = [0 if name == "report" else bench(name, asked) for name in names]
    if asked.bench in (None, "report"):
        from benchmarks.faults.report import write

        write(asked.results)
    return max(codes)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    width = max(map(len, ABOUT))
    made = argparse.ArgumentParser(
        prog="python -m benchmarks faults",
        description=__doc__,
        epilog="\n".join(f"  {name:{width}}  {about}" for name, about in ABOUT.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("bench", nargs="?", choices=ABOUT, metavar="BENCH", help="one of those below; without a name all of them")
    for name, options in COUNTS.items():
        for option, (usual, what) in options.items():
            made.add_argument(f"--{option}", type=positive, default=usual, metavar="N", help=f"{name}: {what} ({usual})")
    made.add_argument("--seed", type=int, default=0, help="of what is drawn (0)")
    made.add_argument("--folder", type=Path, help="where to work, for example on another file system (the system's temporary files)")
    made.add_argument("--temporary", type=Path, default=Path("/dev/shm"), metavar="FOLDER", help="TMPDIR of half of those that are killed (/dev/shm)")
    made.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="the records (results)")
    made.add_argument("--quick", action="store_true", help="costs: tiny sizes, to see that it works; writes no record unless --results is given")
    return made


def positive(text: str) -> int:
    """A number of cases."""
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def bench(name: str, asked: argparse.Namespace) -> int:
    """One bench, in a folder of its own."""
    from benchmarks._measuring import Run
    from benchmarks.faults.benches import BENCHES
    from benchmarks.faults.verdicts import faults_of

    out = None if asked.quick and asked.results == RESULTS else asked.results / f"{name}.json"
    asked.results.mkdir(parents=True, exist_ok=True)
    run = Run(f"faults {name}", quick=asked.quick, out=out)
    run.add("asked", {"seed": asked.seed} | {option: getattr(asked, option) for option in COUNTS[name]})
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        BENCHES[name](run, asked, Path(folder))
    found = faults_of(name, run.parts)
    for fault in found:
        run.note(fault, loud=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
