"""Recording, looking at and checking a transfer set from the command line, with real processes, locks and signals where they matter."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from cli.world import Program, tree
from darkknowledge.cli.main import main
from darkknowledge.transfer import Plan, TransferSet, _build
from darkknowledge.transfer._lock import building
from darkknowledge.transfer._shard import Columns
from darkknowledge.transfer._sidecar import Sidecar, write_shard

INTEGRITY, RESOURCE, BUSY = 4, 5, 7
RECORD = ["record", "teacher=runs/teacher", "threads=1", "shard_rows=512"]
SLOW = ["record", "teacher=runs/teacher", "threads=1", "shard_rows=2048", "data.augment=jitter", "views=30", "batch_size=64", "progress=false"]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class Child:
    """``dk`` in a process of its own, forked from this one, so that nothing is imported again."""

    def __init__(self, words: Sequence[str], screen: Path) -> None:
        self.screen = screen
        sys.stdout.flush()
        self.process = os.fork()
        if self.process == 0:
            code = 1
            try:
                sys.stdout = sys.stderr = screen.open("w")
                os.dup2(sys.stderr.fileno(), 2)
                torch.set_num_threads(1)
                code = main(words)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)

    def stop(self, number: int) -> None:
        os.kill(self.process, number)

    def ended(self) -> tuple[int, str]:
        """The exit code and all that was said."""
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]), self.screen.read_text()


def wait_for(folder: Path, pattern: str) -> None:
    until = time.monotonic() + 30
    while not any(folder.glob(pattern)):
        assert time.monotonic() < until, f"{folder}/{pattern} did not come"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """A child that was forked can't use its parent's threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What `SLOW` records when nothing comes between."""
    out = tmp_path_factory.mktemp("whole") / "set"
    words = [word.replace("runs/", f"{made}/runs/") for word in SLOW]
    assert main([*words, f"out={out}"]) == 0
    return content(out)


def test_a_recording_says_what_it_does_and_where_the_set_is(dk: Program, world: Path, tmp_path: Path) -> None:
    done = dk(*RECORD, "data.augment=jitter", "views=2", f"out={tmp_path / 'set'}")
    assert done.code == 0, done.err
    assert done.out == f"transfer set: {tmp_path / 'set'}\n"
    lines = done.err.splitlines()
    assert lines[0].startswith("digits: 1,167 training and 130 validation pictures")
    assert lines[1].startswith("teacher: accuracy ")
    assert re.fullmatch(rf"recording 2,334 answers \(1,167 pictures × 2\), 0\.1 MB as float16, into {tmp_path}/set", lines[2])
    assert re.fullmatch(r"recorded 2,334 answers in 5 files, 0\.1 MB", lines[-1])


def test_a_pipe_hears_of_the_progress_in_lines(dk: Program, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(10**6))
    monkeypatch.setattr("darkknowledge.pipeline._progress.monotonic", lambda: 10.0 * next(seconds))
    said = dk(*RECORD, f"out={tmp_path / 'set'}").err
    rows = re.findall(r"^recording set: ([\d,]+) of 1,167 rows, [\d,]+ rows/s, [\d,]+ s left$", said, re.MULTILINE)
    assert rows
    assert rows == sorted(rows, key=lambda count: int(count.replace(",", "")))
    assert "\r" not in said
    assert "\x1b" not in said
    assert "rows/s" not in dk(*RECORD, "progress=false", f"out={tmp_path / 'other'}").err


def test_a_set_that_is_recorded_is_left_as_it_is(dk: Program, world: Path, tmp_path: Path) -> None:
    words = [*RECORD, f"out={tmp_path / 'set'}"]
    assert dk(*words).code == 0
    before = {path: path.stat().st_mtime_ns for path in tree(tmp_path)}
    done = dk(*words)
    assert (done.code, done.out) == (0, f"transfer set: {tmp_path / 'set'}\n")
    assert f"{tmp_path / 'set'} is recorded already" in done.err
    assert {path: path.stat().st_mtime_ns for path in tree(tmp_path)} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_recording_which_goes_on_later(
    number: int, code: int, whole: dict[str, bytes], world: Path, dk: Program, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    child = Child([*SLOW, f"out={out}"], tmp_path / "screen.txt")
    wait_for(out, "shards/0*.json")
    child.stop(number)
    found, said = child.ended()
    assert found == code, said
    assert re.search(rf"error: stopped by signal {number:d} after [\d,]+ of 35,010 rows; the files that are finished are kept\n  where: {out}", said)
    assert "the same command goes on" in said
    assert "Traceback" not in said
    kept = content(out)
    assert {name for name in kept if not name.startswith("shards/0")} == {"plan.json"}
    done = dk(*SLOW, f"out={out}")
    assert done.code == 0
    assert f"going on with {out}: " in done.err
    assert content(out) == whole


def test_a_killed_recording_goes_on(whole: dict[str, bytes], world: Path, dk: Program, tmp_path: Path) -> None:
    out = tmp_path / "set"
    for shard in (1, 9):
        child = Child([*SLOW, f"out={out}"], tmp_path / "screen.txt")
        wait_for(out, f"shards/{shard:05d}-*.arrow")
        child.stop(signal.SIGKILL)
        assert child.ended()[0] == -signal.SIGKILL
    assert dk(*SLOW, f"out={out}").code == 0
    assert content(out) == whole


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_the_work_begins_is_answered_in_words(number: int, code: int, world: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "darkknowledge.cli.main", *RECORD, f"out={tmp_path / 'set'}"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(" pydantic\n"):  # the settings are read, and torch will be imported
            break
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == code
    assert [line for line in said.splitlines() if not line.startswith("import time:")] == [f"error: stopped by signal {number:d}"]
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(("first", "second"), [((0, 1), []), ((0, 2), []), ((0, 2), ["shard=1/2"]), ((0, 1), ["shard=2/2"])])
def test_a_second_recording_is_told_who_is_at_work(first: tuple[int, int], second: list[str], dk: Program, world: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with building(tmp_path / "set", part=first):
        done = dk(*RECORD, f"out={tmp_path / 'set'}", *second)
    assert done.code == BUSY, done.err
    assert re.search(rf'{tmp_path}/set is being recorded by {{"pid": {os.getpid()}, "host": ', done.err)
    assert "Traceback" not in done.err
    assert not list((tmp_path / "set").iterdir())


@pytest.mark.parametrize("torchrun", [True, False])
def test_parts_give_the_bytes_of_the_whole(
    torchrun: bool, whole: dict[str, bytes], dk: Program, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (1, 0):
        monkeypatch.setenv("WORLD_SIZE", "2" if torchrun else "1")
        monkeypatch.setenv("RANK", str(part))
        done = dk(*SLOW, *([] if torchrun else [f"shard={part + 1}/2"]), f"out={tmp_path / 'set'}")
        assert done.code == 0, done.err
        assert done.out == ("" if part else f"transfer set: {tmp_path / 'set'}\n")
        assert ("whoever records the last" in done.err) == bool(part)
    assert content(tmp_path / "set") == whole


def test_torchrun_divides_the_work_itself(dk: Program, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    done = dk(*RECORD, "shard=1/2", f"out={tmp_path / 'set'}")
    assert (done.code, "which divides the work itself" in done.err) == (2, True)
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
def test_torchrun_gives_the_bytes_of_one_process(whole: dict[str, bytes], world: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "darkknowledge.cli.main"]
    done = subprocess.run([*launcher, *SLOW, f"out={tmp_path / 'set'}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "set") == whole


def test_a_disk_that_is_too_small_is_found_first(full_disk: Path, dk: Program, world: Path) -> None:
    done = dk(*SLOW, f"out={full_disk}/set")
    assert done.code == RESOURCE
    assert re.search(r"not enough space for the transfer set: 1\.5 MB needed, 1\.0 MB free", done.err)
    assert content(full_disk) == {}


def test_a_disk_that_is_full_to_the_last_byte_takes_no_set_and_says_so(full_disk: Path, dk: Program, world: Path) -> None:
    fill(full_disk / "filler")
    done = dk(*RECORD, f"out={full_disk}/set")
    assert (done.code, "not enough space for the transfer set" in done.err) == (RESOURCE, True), done.err
    assert list(content(full_disk)) == ["filler"]


def test_a_disk_that_fills_up_meanwhile_loses_no_shard(
    full_disk: Path, dk: Program, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = full_disk / "set"
    words = [*RECORD[:-1], "shard_rows=256", "batch_size=64"]
    assert dk(*words, f"out={tmp_path / 'whole'}").code == 0

    def filled(folder: Path, plan: Plan, number: int, columns: Columns) -> Sidecar:
        if number == 2:
            fill(full_disk / "filler")
        return write_shard(folder, plan, number, columns)

    with monkeypatch.context() as patch:
        patch.setattr(_build, "write_shard", filled)
        done = dk(*words, f"out={out}")
    assert done.code == RESOURCE, done.err
    assert re.search(r"cannot write 00002-of-00005\.arrow: No space left on device", done.err)
    kept = content(out)
    assert list(kept) == ["plan.json", *(f"shards/0000{number}-of-00005.{ending}" for number in (0, 1) for ending in ("arrow", "json"))]
    (full_disk / "filler").unlink()
    assert dk(*words, f"out={out}").code == 0
    assert content(out) == content(tmp_path / "whole")


def fill(path: Path) -> None:
    """Write a file until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return


def test_a_set_is_shown_exported_and_verified(dk: Program, world: Path, tmp_path: Path) -> None:
    shown = dk("transfer", "show", "sets/whole")
    assert shown.code == 0, shown.err
    for words in (
        r"answers +│ 1,167: 1,167 examples ",
        r"classes +│ 10 ",
        r"teacher's accuracy +│ 9\d\.\d+% on 1,167 labelled rows",
        r"transform +│ plain ",
    ):
        assert re.search(words, shown.out), words
    exported = dk("transfer", "export", "sets/whole", str(tmp_path / "set.parquet"))
    assert (exported.code, exported.out) == (0, f"written: {tmp_path / 'set.parquet'}\n")
    table = pq.read_table(tmp_path / "set.parquet")
    found = TransferSet.open("sets/whole")
    assert table.column("id").to_pylist() == found.keys().tolist()
    assert table.column("logits").to_pylist()[7] == found[found.keys()[7:8]].logits()[0].tolist()
    checked = dk("verify", "sets/whole")
    assert (checked.code, checked.out) == (0, "sets/whole: a transfer set of 1,167 rows, every byte as it was written\n")


ODD = [
    "two words",
    "a=b",
    "path=x",
    "it's",
    'a "b"',
    "a,b",
    "[a]",
    "{a: b}",
    "$HOME",
    "${oc.env:HOME}",
    "\\${x}",
    "a\\",
    "a\\'b",
    "null",
    "ä:1",
    "12",
]


@pytest.mark.parametrize("name", ODD)
def test_paths_may_hold_any_character(name: str, dk: Program, world: Path, tmp_path: Path) -> None:
    place = tmp_path / name
    place.symlink_to(world / "sets", target_is_directory=True)
    checked = dk("verify", f"{place}/whole")
    assert (checked.code, checked.err) == (0, "")
    assert checked.out.startswith(f"{place}/whole: ")
    shown = dk("transfer", "show", f"{place}/whole").out
    assert "".join(f"{name}/whole".split()) in "".join(shown.split())
    exported = dk("transfer", "export", f"{place}/whole", f"{tmp_path}/{name}.parquet")
    assert exported.code == 0, exported.err
    assert (tmp_path / f"{name}.parquet").is_file()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("record teacher=runs/teacher out=new", ["record runs/teacher on digits, 8 views of each picture", "into new"]),
        ("record teacher=[runs/teacher,runs/untrained] shard=2/4 out=new", ["the probability average of runs/teacher, runs/untrained", "part 2/4"]),
        ("transfer show sets/whole", ["show sets/whole"]),
        ("transfer export sets/whole new.parquet", ["export sets/whole as new.parquet"]),
        ("verify sets/whole", ["verify sets/whole"]),
        ("distill transfer=sets/whole", ["from the transfer set sets/whole"]),
    ],
)
def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(line: str, words: list[str], dk: Program, world: Path) -> None:
    before = tree(world)
    done = dk(*line.split(), "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert [word for word in words if word not in done.out] == []
    assert tree(world) == before


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("record", ["out: ???", "views: 8", "name: digits"]),
        ("record views=3 out=new data=mnist", ["out: new", "views: 3", "name: mnist"]),
        ("transfer export a b.parquet", ["action: export", "path: a", "out: b.parquet"]),
        ("verify a", ["path: a"]),
    ],
)
def test_the_configuration_is_printed(line: str, lines: list[str], dk: Program) -> None:
    done = dk(*line.split(), "--cfg", "job")
    assert (done.code, done.err) == (0, "")
    assert [each for each in lines if each not in map(str.strip, done.out.splitlines())] == []
