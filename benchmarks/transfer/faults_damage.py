"""Damage to a finished set, which ``verify`` must find: flipped bits, and files that are cut, missing, swapped or too many."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from faults_world import World, fresh

from darkknowledge.data import load
from darkknowledge.errors import IntegrityError
from darkknowledge.transfer import verify

CODECS: dict[str, dict[str, Any]] = {"float16": {}, "uint8": {}, "topk": {"top_k": 3}}


def flipped(world: World, count: int, moments: random.Random) -> dict[str, Any]:
    """Flip single bits: one in three in a shard, one in three in a sidecar, one in three in the manifest; in turn in sets of three codecs."""
    found: Counter[str] = Counter()
    missed: list[str] = []
    sets = [_made(world, codec) for codec in CODECS]
    for number in range(count):
        folder = sets[number % len(sets)]
        pattern = ("shards/*.arrow", "shards/*.json", "manifest.json")[number // len(sets) % 3]
        path = moments.choice(sorted(folder.glob(pattern)))
        at, bit = moments.randrange(path.stat().st_size), moments.randrange(8)
        _flip(path, at, bit)
        if _found(folder, path.name):
            found[pattern] += 1
        else:
            missed.append(f"{folder.name}: {path.name}, byte {at}, bit {bit}")
        _flip(path, at, bit)
    for folder in sets:
        verify(folder)
    return {"flips": count, "found_and_named": sum(found.values()), "by_file": dict(found), "missed": missed}


def _made(world: World, codec: str) -> Path:
    folder = fresh(world.folder / f"set-{codec}")
    world.record(world.teacher(), folder, views=2, shard_rows=512, codec=codec, **CODECS[codec])
    return folder


def _flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def _found(folder: Path, name: str) -> bool:
    """Whether the damage is found and the file named."""
    try:
        verify(folder)
    except IntegrityError as error:
        return name in str(error)
    return False


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


def _swapped(folder: Path, ending: str) -> None:
    first, second = sorted((folder / "shards").glob(f"0*{ending}"))[:2]
    aside = folder / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


def _both_swapped(folder: Path) -> None:
    _swapped(folder, ".arrow")
    _swapped(folder, ".json")


def damages(folder: Path, other: Path) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Every way to spoil a copy of a set, by name."""
    for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()):
        size = (folder / name).stat().st_size
        for left in (0, size // 2, size - 1):
            yield f"{name} cut to {left} bytes", lambda copy, name=name, left=left: _cut(copy / name, left)
        yield f"{name} longer by a byte", lambda copy, name=name: _cut(copy / name, (copy / name).stat().st_size + 1)
        yield f"{name} from another set", lambda copy, name=name: shutil.copyfile(other / name, copy / name)
        if name != "manifest.json":  # without it there is no set, which is another message
            yield f"{name} missing", lambda copy, name=name: (copy / name).unlink()
    yield "two shards swapped", lambda copy: _swapped(copy, ".arrow")
    yield "two sidecars swapped", lambda copy: _swapped(copy, ".json")
    yield "two shards swapped with their sidecars", _both_swapped
    shard = sorted((folder / "shards").glob("*.arrow"))[0]
    yield "a shard too many", lambda copy: shutil.copyfile(shard, copy / "shards" / "00009-of-00010.arrow")
    yield "a file beside the shards", lambda copy: (copy / "shards" / "notes.txt").write_text("mine")
    yield "a temporary file", lambda copy: (copy / "shards" / ".00000-of-00005.arrow.tmp-1-ab").write_bytes(b"")
    yield "a folder too many", lambda copy: (copy / "more").mkdir()
    yield "a shard that is a link", lambda copy: _linked(copy / "shards" / shard.name, shard)


def _linked(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def spoiled(world: World) -> dict[str, Any]:
    """Spoil copies of a set in every way and verify them."""
    whole, shifted = _made(world, "float16"), replace(world, folder=world.folder / "other", data=load("digits", augment="jitter", augment_seed=1))
    other = _made(shifted, "float16")
    missed, count = [], 0
    for what, spoil in damages(whole, other):
        copy = Path(shutil.copytree(whole, fresh(world.folder / "copy"), symlinks=True))
        spoil(copy)
        count += 1
        try:
            verify(copy)
            missed.append(what)
        except IntegrityError:
            pass
    return {"kinds": count, "found": count - len(missed), "missed": missed}
