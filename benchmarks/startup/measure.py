"""How long the program takes to answer when there is nothing to compute, and what the start of ``dk run`` imports, and why.

Each command runs in a process of its own, 20 times; noted are that process's wall and processor time. The imports come from two
``python -X importtime`` of the smallest ``dk run``, as a user has it and with torchmetrics installed: for every package the time that its own modules
took, without what they import, and who asked for it first.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from typing import Any

from benchmarks._measuring import Run, Seconds, compare
from rich.table import Table

PROGRAM = [sys.executable, "-m", "darkknowledge.cli.main"]
REPEATS = 20
COMMANDS = {
    "dk --help": ["--help"],
    "dk run --help": ["run", "--help"],
    "an unknown stage": ["tran"],
    "an unknown key": ["run", "objective.temperatur=2"],
    "a value out of range": ["distill", "objective.temperature=-1"],
    "dk run --cfg job": ["run", "--cfg", "job"],
}
SMALLEST = ["run", "experiment=null", "seeds=1", "training.steps=1", "teacher.training.steps=1", "teacher.check=false", "logging.progress=false"]
WITHOUT = """
import sys
sys.modules["torchmetrics"] = None
from darkknowledge.cli.main import main
sys.exit(main())
"""
SHOWN = 10


def measure(run: Run) -> None:
    """The commands, and what a run imports."""
    works = {name: partial(time_once, words) for name, words in COMMANDS.items()}
    run.add("commands", compare(works, to="dk --help", repeats=run.rounds(REPEATS)))
    for title, program in {"imports without torchmetrics": ["-c", WITHOUT], "imports with torchmetrics": PROGRAM[1:]}.items():
        found = imports(program)
        run.add(title, found, shown=table(f"{title}: {found['all_seconds']} s", found["packages"]))


def time_once(words: list[str]) -> Seconds:
    """Processor and wall seconds of one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*PROGRAM, *words], capture_output=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def imports(program: list[str]) -> dict[str, Any]:
    """Packages of the smallest ``dk run`` by the time that their own modules took, and which module of another package asked first."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-X", "importtime", *program, *SMALLEST, f"out={folder}/run"]
        lines = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}
        ).stderr.splitlines()
    seconds: dict[str, float] = defaultdict(float)
    asked_by: dict[str, str] = {}
    above: list[str] = []
    # A module is printed after those that it imports, so from the end each one's importer has been seen.
    for match in filter(None, (re.match(r"import time: +(\d+) \| +\d+ \|( +)(\S+)", line) for line in reversed(lines))):
        depth, module = (len(match[2]) - 1) // 2, match[3]
        above[depth:] = [module]
        package = module.partition(".")[0]
        seconds[package] += int(match[1]) / 1e6
        asked_by[package] = next((name for name in reversed(above[:depth]) if name.partition(".")[0] != package), "dk")
    ranked = sorted(seconds, key=lambda package: -seconds[package])
    rows = [{"package": package, "seconds": round(seconds[package], 3), "asked_by": asked_by[package]} for package in ranked[:SHOWN]]
    return {"all_seconds": round(sum(seconds.values()), 2), "packages": rows}


def table(title: str, rows: list[dict[str, Any]]) -> Table:
    """A row for each package."""
    shown = Table("package", "seconds", "asked for by", title=title, title_justify="left")
    for row in rows:
        shown.add_row(row["package"], f"{row['seconds']:.2f}", row["asked_by"])
    return shown
