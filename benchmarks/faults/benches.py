"""The benches: each adds its parts to a record, as they come."""

from __future__ import annotations

import argparse
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks._measuring import Run
from benchmarks.faults import costs as costs_room, starts as starts_room
from benchmarks.faults.flips import Flipping
from benchmarks.faults.flips_world import Makings
from benchmarks.faults.full import full_while_recording, full_while_training
from benchmarks.faults.kills_real import kill_programs
from benchmarks.faults.kills_recording import Recordings
from benchmarks.faults.kills_training import Trainings
from benchmarks.faults.resume import STEPS, Photos, stop_everywhere
from benchmarks.faults.world import World


def kills(run: Run, asked: argparse.Namespace, folder: Path) -> None:
    """Children, half of them with the folder of temporary files elsewhere; a full disk; whole processes."""
    world, moments = World.make(folder), random.Random(asked.seed)
    elsewhere = replace(world, temporary=temporary_on(asked.temporary, folder))
    run.add("file systems", {"folder": file_system(folder), "TMPDIR elsewhere": file_system(elsewhere.temporary)})
    for name, place, share in (("", world, asked.kills - asked.kills // 2), (", TMPDIR elsewhere", elsewhere, asked.kills // 2)):
        run.add(f"training{name}", Trainings(place, moments).kill(share - share // 2).as_json())
        run.add(f"recording{name}", Recordings(place, moments).kill(share // 2).as_json())
    run.add("training, full disk", full_while_training(world, asked.full - asked.full // 2, moments))
    run.add("recording, full disk", full_while_recording(world, asked.full // 2, moments))
    for name, found in kill_programs(elsewhere, asked.real, moments).items():
        run.add(f"{name}, TMPDIR elsewhere", found)
    assert elsewhere.temporary is not None
    shutil.rmtree(elsewhere.temporary)


def temporary_on(place: Path, folder: Path) -> Path:
    """A folder for temporary files at ``place``, or beside everything else where that cannot be."""
    made = (place if place.is_dir() and os.access(place, os.W_OK) else folder) / f"faults-{os.getpid()}"
    made.mkdir(exist_ok=True)
    return made


def file_system(folder: Path | None) -> str:
    """The kind of file system that a folder lies on, by the longest mount point above it."""
    if folder is None or not Path("/proc/mounts").exists():
        return "unknown"
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    return max(((place, kind) for place, kind in mounts if folder.resolve().is_relative_to(place)), key=lambda found: len(found[0]))[1]


def flips(run: Run, asked: argparse.Namespace, folder: Path) -> None:
    """Every kind of file."""
    flipping = Flipping(Makings(folder / "made").make(), folder / "scratch")
    for name, found in flipping.flip(asked.flips, random.Random(asked.seed)).items():
        run.add(name, found)


def costs(run: Run, asked: argparse.Namespace, folder: Path) -> None:
    """Saving and checking."""
    pictures, widths = (2_000, costs_room.WIDTHS[:1]) if run.quick else (costs_room.PICTURES, costs_room.WIDTHS)
    for width in widths:
        size, found = costs_room.saving(folder, width, repeats=asked.repeats)
        run.add(f"saving {size}", found)
    run.add(f"checking before an epoch of {pictures:,} pictures", costs_room.verifying(folder, pictures=pictures, repeats=asked.repeats))


def resume(run: Run, asked: argparse.Namespace, folder: Path) -> None:
    """So many steps, evenly spread, the first and the last among them."""
    steps = sorted({1 + round(number * (STEPS - 1) / max(asked.steps - 1, 1)) for number in range(asked.steps)})
    for name, found in stop_everywhere(Photos.make(folder), steps):
        run.add(name, found)


def starts(run: Run, asked: argparse.Namespace, folder: Path) -> None:
    """Many at once, and two on one folder."""
    world = World.make(folder)
    run.add("at once", starts_room.together(world, asked.starts))
    run.add("two on one folder", starts_room.two_on_one_folder(world, asked.pairs, random.Random(asked.seed)))


BENCHES: dict[str, Any] = {"kills": kills, "flips": flips, "costs": costs, "resume": resume, "starts": starts}
