"""How long the program takes to answer when there is nothing to compute, and what the start of ``dk run`` imports, and why.

Each command runs in a process of its own, 20 times; wall and processor time are noted. The imports come from two ``python -X importtime`` of the
smallest ``dk run``, as a user has it and with torchmetrics installed: for every package the time that its own modules took, without what they
import, and who asked for it first. Run: ``uv run python benchmarks/startup/measure.py`` (about a minute on a quiet core); it prints the tables and
writes results.json beside itself.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from darkknowledge.runs.environment import environment

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


def time_once(words: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*PROGRAM, *words], capture_output=True, check=False)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def time_commands() -> dict[str, dict[str, float]]:
    """Median and worst of the repeats, which take turns so that a busy moment hits all commands alike."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _ in range(REPEATS):
        for name, words in COMMANDS.items():
            found[name].append(time_once(words))
    rows = {}
    for name, times in found.items():
        wall, processor = zip(*times, strict=True)
        rows[name] = {
            "wall_median": round(median(wall), 3),
            "wall_worst": round(max(wall), 3),
            "processor_median": round(median(processor), 3),
            "processor_worst": round(max(processor), 3),
        }
    return rows


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


def main() -> None:
    """Measure, print, write down."""
    found = {"imports_without_torchmetrics": imports(["-c", WITHOUT]), "imports_with_torchmetrics": imports(PROGRAM[1:])}
    results = {"commands": time_commands(), "repeats": REPEATS, **found, "load": os.getloadavg(), "environment": environment()}
    Path(__file__).with_name("results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, row in results["commands"].items():
        print(f"{name:22} wall {row['wall_median']:.2f} s (worst {row['wall_worst']:.2f}), processor {row['processor_median']:.2f} s")
    for title, imported in found.items():
        print(f"{title}: {imported['all_seconds']} s")
        for row in imported["packages"]:
            print(f"{row['package']:22} {row['seconds']:6.2f} s, asked for by {row['asked_by']}")


if __name__ == "__main__":
    main()
