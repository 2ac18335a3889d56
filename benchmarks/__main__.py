"""``python -m benchmarks NAME`` measures one thing; without a name the benchmarks are listed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks._registry import ELSEWHERE, TIMED
from darkknowledge.errors import close_match

UNKNOWN = 2


def main(words: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit code."""
    words = list(sys.argv[1:] if words is None else words)
    if words and words[0] in ELSEWHERE and ELSEWHERE[words[0]].command == f"-m benchmarks.{words[0]}":
        return program(words[0], words[1:])
    arguments = parser().parse_args(words)
    if arguments.name is None:
        print(listing())
        return 0
    if arguments.name in ELSEWHERE:
        print(f"{arguments.name} is run by: uv run python {ELSEWHERE[arguments.name].command}", file=sys.stderr)
        return UNKNOWN
    if arguments.name not in TIMED:
        print(f"there is no benchmark {arguments.name!r}; {close_match(arguments.name, TIMED)}", file=sys.stderr)
        return UNKNOWN
    return start(arguments)


def program(name: str, words: list[str]) -> int:
    """What has a command line of its own."""
    from darkknowledge.cli.main import guarded

    return guarded(lambda: import_module(f"benchmarks.{name}.__main__").main(words))  # type: ignore[no-any-return]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("name", nargs="?", help="what to measure")
    made.add_argument("--repeats", type=rounds, help="rounds in which the variants take turns (30, unless it says otherwise)")
    made.add_argument("--quick", action="store_true", help="tiny sizes and 3 rounds, to see that all works; writes no record unless --out is given")
    made.add_argument("--out", type=Path, help="the JSON record (the one beside the benchmark)")
    made.add_argument("--data", type=Path, help="the folder of the data, where a benchmark needs some")
    return made


def start(arguments: argparse.Namespace) -> int:
    """Measure."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when torch is imported: its profiler, which counts memory here, is silent
    from benchmarks._measuring import Run

    chosen = TIMED[arguments.name]
    out = arguments.out or (None if arguments.quick else chosen.path)
    run = Run(arguments.name, repeats=arguments.repeats, quick=arguments.quick, out=out, data=arguments.data)
    module, _, function = chosen.target.partition(":")
    code: int | None = getattr(import_module(f"benchmarks.{module}"), function)(run)
    if out is not None and run.parts:
        run.note(f"written: {out.name}")
    return code or 0


def rounds(text: str) -> int:
    """A number of rounds."""
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def listing() -> str:
    """A line for each."""
    width = max(map(len, (*TIMED, *ELSEWHERE)))
    timed = [f"{name:{width}}  {entry.about}" for name, entry in TIMED.items()]
    others = [f"{name:{width}}  {entry.about}: uv run python {entry.command}" for name, entry in ELSEWHERE.items()]
    return "\n".join([*timed, "", *others])


if __name__ == "__main__":
    sys.exit(main())
