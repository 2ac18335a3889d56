"""Disks that are too small, fill up, or may not be written; a file system of one megabyte is mounted, which takes the rights of root."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults_world import World, content, ended, forked, fresh, run

OPTIONS = ("views=8", "shard_rows=256", "progress=false")
NOBODY = 65534


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(["size=1m", *options]), "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write a file until nothing more fits."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def told(done: subprocess.CompletedProcess[str] | subprocess.Popen[str], said: str, place: Path) -> dict[str, Any]:
    error = said[said.find("error: ") :].replace(str(place), "DISK")
    return {"code": done.returncode, "traceback": "Traceback" in said, "error": error}


def too_small(world: World) -> dict[str, Any]:
    """A set of 16 MB for a disk of one."""
    with mounted(world.folder / "disk") as disk:
        done = run(world.words(disk / "set", "views=300", "progress=false"))
        return told(done, done.stderr, disk) | {"left": sorted(content(disk))}


def filling_up(world: World, after_shards: int) -> dict[str, Any]:
    """Another file takes the rest of the disk when some shards are there; then it goes away and the recording goes on."""
    assert run(world.words(fresh(world.folder / "whole"), *OPTIONS)).returncode == 0
    with mounted(world.folder / "disk") as disk:
        folder = disk / "set"
        process = subprocess.Popen(world.words(folder, *OPTIONS), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while len(list(folder.glob("shards/0*.json"))) < after_shards and process.poll() is None:
            time.sleep(0.001)
        fill(disk / "filler")
        _, said = process.communicate()
        left = sorted(name for name in content(folder) if not name.startswith("shards/0"))
        kept = len(list(folder.glob("shards/0*.json")))
        blocked = run(world.words(folder, *OPTIONS))
        (disk / "filler").unlink()
        again = run(world.words(folder, *OPTIONS))
        same = content(folder) == content(world.folder / "whole")
        first = told(process, said, disk) | {"shards_kept": kept, "other_files": left}
        return {"first": first, "still_full": told(blocked, blocked.stderr, disk), "again": again.returncode, "same_bytes": same}


def full_to_the_last_byte(world: World) -> dict[str, Any]:
    """A disk where nothing at all can be written."""
    with mounted(world.folder / "disk") as disk:
        fill(disk / "filler")
        done = run(world.words(disk / "set", "views=1", "progress=false"))
        return told(done, done.stderr, disk) | {"left": sorted(set(content(disk)) - {"filler"})}


def read_only(world: World) -> list[dict[str, Any]]:
    """Folders that may not be written, by rights and by the file system: the message, and how many rows the teacher was asked about."""
    found = [_as_nobody(world, "out", 0o555, ""), _as_nobody(world, "the folder of its shards", 0o777, "shards")]
    with mounted(world.folder / "disk") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        done = run(world.words(disk / "set", *OPTIONS))
        found.append({"what": "a file system", **told(done, done.stderr, disk), "loaded_the_data": "digits:" in done.stderr})
    return found


def _as_nobody(world: World, what: str, mode: int, part: str) -> dict[str, Any]:
    """A child without the rights of root records into a folder; with ``part`` a recording was begun there, and that part of it is closed."""
    place, teacher = fresh(world.folder / "closed"), world.teacher()
    place.mkdir()
    out = place / "set"
    if part:
        world.record(world.teacher(), out, views=8, shard_rows=256, shard="1/2")
        for path in (out, *out.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        (out / part).chmod(0o555)
    place.chmod(mode)

    def work() -> None:
        os.seteuid(NOBODY)
        world.record(teacher, out, views=8, shard_rows=256)

    said = world.folder / "said.txt"
    said.unlink(missing_ok=True)
    world.folder.chmod(0o755)
    code = ended(forked(work, said))
    text = said.read_text().replace(str(place), "PLACE")
    return {"what": what, "code": code, "error": text[max(0, text.find("error: ")) :], "rows_asked": int(teacher.rows)}
