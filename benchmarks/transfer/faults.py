"""What recording survives: kills at random and at exact moments, flipped bits, spoiled files, full and closed disks, signals, two at a time.

    python benchmarks/transfer/faults.py

A small teacher of the digits is trained first, in a temporary folder. Some parts mount a file system of one megabyte, so it is run as root. All of it
takes about half an hour on two busy cores; faults.json is written as the results come, and ``faults.py PART …`` does some parts anew.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faults_damage
import faults_disk
import faults_kills
import faults_programs
import torch
from faults_world import World

from darkknowledge.runs.environment import environment

RESULTS = Path(__file__).with_suffix(".json")
CHILDREN, PROGRAMS, FLIPS, SIGNALS = 60, 12, 1000, 8


def random_kills(world: World, parts: int) -> dict[str, Any]:
    return faults_kills.summary(faults_kills.at_random(world, CHILDREN, parts, random.Random(parts)), faults_kills.SHARD_ROWS)


def program_kills(world: World, parts: int) -> dict[str, Any]:
    return faults_kills.summary(faults_programs.killed(world, PROGRAMS, parts, random.Random(parts)), faults_programs.SHARD_ROWS)


PARTS: dict[str, Callable[[World], Any]] = {
    "bit_flips": lambda world: faults_damage.flipped(world, FLIPS, random.Random(0)),
    "spoiled_files": faults_damage.spoiled,
    "killed_children_1_writer": lambda world: random_kills(world, 1),
    "killed_children_2_writers": lambda world: random_kills(world, 2),
    "killed_children_3_writers": lambda world: random_kills(world, 3),
    "killed_at_every_call_1_writer": lambda world: faults_kills.at_every_call(world, 1),
    "killed_at_every_call_2_writers": lambda world: faults_kills.at_every_call(world, 2),
    "killed_programs_1_writer": lambda world: program_kills(world, 1),
    "killed_programs_2_writers": lambda world: program_kills(world, 2),
    "two_at_once": faults_programs.two_at_once,
    "sigterm": lambda world: faults_programs.interrupted(world, signal.SIGTERM, SIGNALS, random.Random(0)),
    "sigint": lambda world: faults_programs.interrupted(world, signal.SIGINT, SIGNALS, random.Random(1)),
    "torchrun": lambda world: faults_programs.torchrun(world, 2),
    "disk_too_small": faults_disk.too_small,
    "disk_filling_up": lambda world: [faults_disk.filling_up(world, shards) for shards in (1, 12, 30)],
    "disk_full": faults_disk.full_to_the_last_byte,
    "read_only": faults_disk.read_only,
}


def main(names: list[str]) -> None:
    torch.set_num_threads(1)  # a forked child can't use its parent's threads
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts this in the background has it ignored, by children too
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if names and RESULTS.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        world = World.make(Path(folder))
        for name in names or PARTS:
            results[name] = PARTS[name](world)
            print(name, json.dumps(results[name]), flush=True)
            RESULTS.write_text(json.dumps({**results, "environment": environment()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
