"""The MNIST experiments of Hinton, Vinyals & Dean (2015): whatever is not done yet. README.md says the rest."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.hinton2015.jobs import Job, Place
from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.processes import log_file
from benchmarks.hinton2015.runner import needed, run_all
from benchmarks.hinton2015.selection import STAGES
from darkknowledge.cli.main import guarded
from darkknowledge.errors import DataError, UsageError, close_match

HERE = Path(__file__).parent
ABOUT = {
    "P1": "teachers with dropout, bounded weights and shifts",
    "P2": "students on labels alone",
    "P3": "students on soft targets and labels",
    "P3b-views": "the same on 32 recorded shifts of each picture",
    "P2b-jitter": "students on labels and shifts",
    "P4": "temperatures of a student with 300 units a layer",
    "P5": "temperatures of a student with 30",
    "P8": "few cases, or few labels, with soft targets or without",
    "P12-sizes": "students of 30, 100 and 300 units a layer",
    "P12-grid": "temperature and weights, on validation",
    "P12-views": "one recorded shift of each picture up to 32, on validation",
    "P12-epochs": "P3 and P3b-views three times as long, on validation",
    "P2b": "students on labels with dropout, smoothed labels, or both with shifts (shifts alone are P2b-jitter)",
    "ensemble": "ten teachers, and what they are together",
    "P3b-ten": "students on the soft targets of ten teachers",
    "P3b-ten-views": "the same on 32 recorded shifts of each picture",
    "select-teacher": "dropout, learning rate and initial weights of the teacher, 50 epochs",
    "select-teacher-long": "the two best of them, 150 epochs",
    "select-students": "three learning rates for each arm",
    "select-few": "four learning rates and two warm-ups for each arm of P8",
}
"""Row, or stage of the selection, to what it is."""
GRADIENTS = "P11, gradients of networks that were trained here, is a program of its own: python -m benchmarks.hinton2015.gradients --help"


def main(words: list[str]) -> int:
    """Run experiments, or the selection before them; the exit code.

    Raises:
        UsageError: there is no such row.
        DataError: there is no MNIST.
        IntegrityError: a record or a folder is of another recipe.
        BusyError: another runner works in the same folder.
        Interrupted: a signal came.
    """
    given = parser().parse_args(words)
    for row in given.rows:
        if row not in ABOUT:
            raise UsageError(f"there is no row {row!r}", fix=close_match(row, ABOUT))
    place = Place(given.data.resolve(), given.work.resolve(), given.results.resolve())
    chosen = jobs(given.rows or ROWS)
    todo = needed(chosen, place)
    if not todo:
        count = sum(job.kind != "record" for job in chosen.values())
        print(f"all {count} jobs have their records in {given.results}", file=sys.stderr)
        print("to run them yourself, give --results and --work folders of your own", file=sys.stderr)
        return 0
    require_data(place)
    failed = run_all(todo, place, processes=given.processes)
    tell(failed, chosen, place)
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    width = max(map(len, ABOUT))
    rows, stages = ([f"  {name:{width}}  {ABOUT[name]}" for name in names] for names in (ROWS, STAGES))
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.hinton2015",
        usage="%(prog)s [ROW …] [--data FOLDER] [--work FOLDER] [--results FOLDER] [--processes N]",
        description=__doc__,
        epilog="\n".join(["rows (what they need comes first):", *rows, "", "the selection before them, on validation:", *stages, "", GRADIENTS]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("rows", nargs="*", metavar="ROW", help="what to run (see below); without a name every row")
    made.add_argument("--data", type=Path, metavar="FOLDER", default=Path("data"), help="where MNIST lies (data)")
    made.add_argument("--work", type=Path, metavar="FOLDER", default=Path("runs/hinton2015"), help="run folders, answers, logs (runs/hinton2015)")
    made.add_argument("--results", type=Path, metavar="FOLDER", default=HERE / "results", help="the records (those beside this program)")
    made.add_argument("--processes", type=positive, metavar="N", default=2, help="jobs at a time, each with one thread (2)")
    return made


def positive(text: str) -> int:
    """A number of processes."""
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def require_data(place: Place) -> None:
    """Refuse once what every job would refuse."""
    from darkknowledge.data import load

    try:
        load("mnist", root=place.data)
    except DataError as error:
        raise DataError(error.what, where=error.where, why=error.why, fix="name the folder that holds MNIST with --data FOLDER") from error


def tell(failed: dict[str, str], chosen: dict[str, Job], place: Place) -> None:
    """What went wrong in full, and where more is said."""
    for name, error in failed.items():
        log = log_file(chosen[name], place)
        print(f"failed: {name}: {error}" + (f"\n  log: {log}" if log.exists() else ""), file=sys.stderr)
    if failed:
        print(f"{len(failed)} jobs failed, the others are done; the same command tries these again", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
