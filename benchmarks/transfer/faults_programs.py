"""Whole ``dk record`` processes: killed, interrupted, two at a time, and under torchrun."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from faults_kills import Outcome, judged
from faults_world import World, content, finished, fresh, phase, run

VIEWS, SHARD_ROWS = 200, 8192
OPTIONS = (f"views={VIEWS}", f"shard_rows={SHARD_ROWS}", "progress=false")


def started(world: World, folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(world.words(folder, *OPTIONS, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def undisturbed(world: World) -> tuple[dict[str, bytes], float, float]:
    """The bytes of a whole recording, the seconds until its folder is there, and those that it takes in all."""
    folder, began = fresh(world.folder / "whole"), time.monotonic()
    process = started(world, folder)
    while not folder.exists():
        time.sleep(0.005)
    there = time.monotonic() - began
    process.communicate()
    assert process.returncode == 0
    return content(folder), there, time.monotonic() - began


def shards_of(parts: int) -> list[list[str]]:
    return [[f"shard={index + 1}/{parts}"] if parts > 1 else [] for index in range(parts)]


def killed(world: World, kills: int, parts: int, moments: random.Random) -> list[Outcome]:
    """Kill real processes, half of them anywhere in their life and half of them once the folder is there; go on, and look."""
    expected, there, lasting = undisturbed(world)
    outcomes: list[Outcome] = []
    while sum(len(each.phases) for each in outcomes) < kills:
        folder = fresh(world.folder / "set")
        processes = [started(world, folder, *shard) for shard in shards_of(parts)]
        if len(outcomes) % 2:
            while not folder.exists():
                time.sleep(0.002)
        time.sleep(moments.uniform(0, lasting - there if len(outcomes) % 2 else lasting))
        phases = [stage for process in processes if (stage := _kill(process, folder))]
        before = finished(folder)
        codes = [process.wait() for process in [started(world, folder, *shard) for shard in shards_of(parts)]]
        assert codes == [0] * parts, codes
        outcomes.append(judged(folder, expected, before, phases, []))
        print(f"dk record, {parts} at a time: {outcomes[-1]}", file=sys.stderr, flush=True)
    return outcomes


def _kill(process: subprocess.Popen[str], folder: Path) -> str:
    """In what phase a process was killed; nothing if it had ended."""
    process.kill()
    process.communicate()
    return phase(folder) if process.returncode == -signal.SIGKILL else ""


def interrupted(world: World, number: signal.Signals, count: int, moments: random.Random) -> dict[str, Any]:
    """SIGTERM and SIGINT at random moments, half while it starts and half while it records; what the process says and whether it goes on."""
    expected, there, lasting = undisturbed(world)
    tries, done = [], 0
    while done < count:
        folder = fresh(world.folder / "set")
        process = started(world, folder)
        if done % 2:
            while not folder.exists():
                time.sleep(0.002)
        time.sleep(moments.uniform(0, (lasting - there) / 2) if done % 2 else 0.3 + moments.uniform(0, there))
        stage = phase(folder)
        process.send_signal(number)
        _, said = process.communicate()
        again = run(world.words(folder, *OPTIONS)).returncode
        error = said[said.find("error: ") :] if "error: " in said else said
        tries.append({"code": process.returncode, "traceback": "Traceback" in said, "error": error.replace(str(folder), "SET"), "again": again})
        tries[-1] |= {"phase": stage, "same_bytes": content(folder) == expected}
        done += 1
    return {"signal": number.name, "tries": tries}


def two_at_once(world: World) -> list[dict[str, Any]]:
    """A second process on a folder that is being recorded: its exit code, whether it is told who holds it, and how the first one ends."""
    found = []
    for first, second in (([], []), ([], ["shard=2/2"]), (["shard=1/2"], []), (["shard=1/2"], ["shard=1/2"])):
        folder = fresh(world.folder / "set")
        holder = started(world, folder, *first)
        while not (folder / ".lock").exists() or not (folder / ".lock").stat().st_size:  # its holder's name comes when it holds
            time.sleep(0.002)
        holder.send_signal(signal.SIGSTOP)  # however long the second one takes to start
        late = run(world.words(folder, *OPTIONS, *second))
        holder.send_signal(signal.SIGCONT)
        holder.communicate()
        told = f'"pid": {holder.pid}' in late.stderr and "is being recorded by" in late.stderr
        found.append({"first": first, "second": second, "code": late.returncode, "told_who": told, "first_code": holder.returncode})
    return found


def torchrun(world: World, processes: int) -> dict[str, Any]:
    """The same recording by several processes that torchrun starts."""
    expected, folder = undisturbed(world)[0], fresh(world.folder / "set")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = run([*launcher, "-m", "darkknowledge.cli.main", *world.words(folder, *OPTIONS)[1:]])
    return {"processes": processes, "code": done.returncode, "same_bytes": content(folder) == expected}
