"""Jobs of a moment for the tests of ``benchmarks.hinton2015.runner``, in a module that its processes can import; as a program, the runner at work.

A folder is called ``begun-NAME`` once the job is under way and may be stopped.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.hinton2015.jobs import Job, Place
from benchmarks.hinton2015.runner import needed, run_all

from darkknowledge.cli.main import guarded
from darkknowledge.errors import BusyError, DataError, Interrupted
from darkknowledge.runs.files import write_json, write_text
from darkknowledge.runs.folder import lock
from darkknowledge.training.signals import stop_request


class Moment(Job):
    """``arguments["do"]`` names one of the functions below, which is called before the job counts as done."""

    def run(self, place: Place) -> None:
        DO[self.arguments["do"]](begin(self, place))
        finish(self, place)
        write_record(self.name, {"errors": 7, "stamp": self.stamp}, place)


def moment(name: str, do: str = "nothing", *needs: Job, work: float = 1.0) -> Moment:
    return Moment(name, "train", {"do": do}, work, needs=needs)


def named(*found: Job) -> dict[str, Job]:
    return {job.name: job for job in found}


def place_in(folder: Path) -> Place:
    return Place(folder / "data", folder / "work", folder / "results")


def begin(job: Job, place: Place) -> Path:
    """The folder of a job under way, and beside all folders the stamp of its recipe."""
    stamp, folder = place.work / "stamps" / job.name, place.work / job.name
    stamp.parent.mkdir(parents=True, exist_ok=True)
    write_text(stamp, job.stamp)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(job: Job, place: Place) -> None:
    """As it is trained, and not measured yet."""
    write_json(begin(job, place) / "run.json", {"status": "finished"})


def write_record(name: str, record: dict[str, Any], place: Place) -> None:
    place.result(name).parent.mkdir(parents=True, exist_ok=True)
    write_json(place.result(name), {**record, "name": name})


def nothing(folder: Path) -> None:
    """It takes no time."""


def fail(folder: Path) -> None:
    raise DataError("the disk is a plate", fix="eat from it")


def speak(folder: Path) -> None:
    print("said aloud")
    print("said in a low voice", file=sys.stderr)
    os.write(2, b"said by a library\n")


def die(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(folder: Path) -> None:
    if not (folder / "died").exists():
        (folder / "died").touch()
        die(folder)


def short(folder: Path) -> None:
    """Long enough to see that others go on beside it."""
    time.sleep(0.4)


def train(folder: Path) -> None:
    """As training does it: goes on until a signal comes, and then saves; it needs no time once it was saved."""
    with lock(folder), stop_request() as stop:
        if (folder / "saved").exists():
            return
        (folder / "begun").write_text(str(os.getpid()))
        until = time.monotonic() + 60
        while stop.signal is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3)
        (folder / "saved").write_text(str(stop.signal))
        assert stop.signal is not None, "nobody stopped it"
        raise Interrupted("saved", signal=stop.signal)


def save_for_long(folder: Path) -> None:
    """One whose saving takes a minute."""
    with stop_request() as stop:
        (folder / "begun").write_text(str(os.getpid()))
        while stop.signal is None:
            time.sleep(0.01)
        (folder / "saving").touch()
        time.sleep(60)


def held_for_a_second(folder: Path) -> None:
    """As if a process that was killed just now still had the folder."""
    (folder / "tries").open("a").write(".")
    if len((folder / "tries").read_text()) < 3:
        raise BusyError("somebody is there")


DO = {
    "nothing": nothing,
    "fail": fail,
    "speak": speak,
    "die": die,
    "die once": die_once,
    "short": short,
    "train": train,
    "save for long": save_for_long,
    "held": held_for_a_second,
}


def real_jobs(described: list[dict[str, Any]]) -> dict[str, Job]:
    return {each["name"]: Job(each["name"], "train", each["arguments"], 1.0) for each in described}


def main(folder: Path, jobs: dict[str, Any]) -> int:
    found = real_jobs(jobs["real"]) if "real" in jobs else {name: moment(name, do) for name, do in jobs.items()}
    failed = run_all(needed(found, place_in(folder)), place_in(folder), processes=2)
    print(json.dumps(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(Path(sys.argv[1]), json.loads(sys.argv[2]))))
