"""Run folders: one each, locked while used, and honest about how the work ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest

from darkknowledge.errors import BusyError, DataError, IntegrityError, Interrupted, ResourceError, UsageError
from darkknowledge.runs.folder import RunFolder, list_runs, lock, open_run

CONFIG = {"data": {"name": "digits", "root": "data"}, "training": {"seed": 0, "warmup": 1.0, "milestones": [1.5]}, "note": "Zürich: 3 × 4"}


def create(path: Path | None = None, kind: str = "train") -> RunFolder:
    return RunFolder.create(path, kind=kind, config=CONFIG)


def test_a_new_folder_knows_everything_that_is_known_before_the_work(tmp_path: Path) -> None:
    run = create(tmp_path / "a" / "run")
    assert run.config == CONFIG
    assert {"kind", "status", "started", "command", "files"} == set(run.record)
    assert set(run.record["files"]) == {"config.yaml", "environment.json"}
    assert (run.record["kind"], run.record["status"], run.finished) == ("train", "created", False)
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert environment["packages"]["torch"]


def test_a_folder_that_exists_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(UsageError, match=r"the run folder .* exists") as caught:
        create(tmp_path / "run")
    assert "resume=true" in caught.value.fix
    assert not list((tmp_path / "run").iterdir())


def test_twenty_runs_made_at_once_get_twenty_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(lambda _: create(), range(20)))
    assert len({run.path for run in runs}) == 20
    assert {run.path for run in list_runs("runs")} == {run.path for run in runs}
    assert {path.name for path in Path("runs").iterdir()} == {run.path.name for run in runs}


def test_of_twenty_that_want_the_same_folder_one_gets_it(tmp_path: Path) -> None:
    def attempt(_: int) -> bool:
        try:
            return bool(create(tmp_path / "run"))
        except UsageError:
            return False

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(attempt, range(20))) == 1


def test_a_folder_that_cannot_be_completed_is_taken_away_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise ResourceError("cannot write run.json: No space left on device")

    monkeypatch.setattr("darkknowledge.runs.folder.write_json", full)
    with pytest.raises(ResourceError):
        create(tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_folder_under_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "run", tmp_path / "file" / "deep" / "run"):
        with pytest.raises(ResourceError, match=r"cannot write (file: File exists|deep: Not a directory)"):
            create(path)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "finished"),
        (DataError("no data"), "failed"),
        (ZeroDivisionError(), "failed"),
        (KeyboardInterrupt(), "preempted"),
        (Interrupted("stopped", signal=signal.SIGTERM), "preempted"),
    ],
)
def test_the_status_says_how_the_work_ended(error: BaseException | None, status: str, tmp_path: Path) -> None:
    run = create(tmp_path / "run")

    def work() -> None:
        with run.held():
            assert run.record["status"] == "running"
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
        assert run.record["error"] == (str(error) or type(error).__name__)
    assert run.record["status"] == status
    assert run.finished is (status == "finished")
    assert run.record["ended"] >= run.record["started"]


def test_a_status_that_cannot_be_written_does_not_hide_what_went_wrong(tmp_path: Path) -> None:
    run = create(tmp_path / "run")

    def work() -> None:
        with run.held():
            (run.path / "run.json").unlink()
            raise DataError("no data")

    with pytest.raises(DataError, match="no data") as caught:
        work()
    assert any("run.json cannot be read" in note for note in caught.value.__notes__)


def test_facts_are_added_and_none_is_lost(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    before = run.record
    run.note(steps=3)
    run.note(seconds=1.5)
    assert run.record == before | {"steps": 3, "seconds": 1.5}


HOLDER = """
import pathlib, sys, time
from darkknowledge.runs.folder import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock of a run folder."""
    create(tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process  # type: ignore[misc]
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_that_another_process_works_in_is_busy(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    run = open_run(tmp_path / "run", finished=False)
    with pytest.raises(BusyError, match=rf'in use by .*"pid": {holder.pid}\b') as caught, run.held():
        pass
    assert caught.value.exit_code == 7
    assert run.record["status"] == "created"


def test_the_lock_of_a_process_that_was_killed_is_free_and_the_status_says_what_became_of_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    run = open_run(tmp_path / "run", finished=False)
    run.note(status="running")
    assert run.status == "running"
    with pytest.raises(UsageError, match=r"is not finished \(status: running\)[\s\S]*wait for it"):
        open_run(tmp_path / "run")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    assert run.status == "killed"
    with pytest.raises(UsageError, match=r"is not finished \(status: killed\)[\s\S]*continue it with resume=true"):
        open_run(tmp_path / "run")
    with open_run(tmp_path / "run", finished=False).held():
        assert json.loads((tmp_path / "run" / ".lock").read_text())["pid"] == os.getpid()


def test_the_lock_is_exclusive_within_a_process_too(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(BusyError), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass


def test_looking_at_a_status_keeps_nobody_from_the_folder(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with run.held():
        assert run.status == "running"
    with (run.path / ".lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        leaves = threading.Timer(0.1, look.close)
        leaves.start()
        with lock(run.path):
            leaves.join()


def test_what_cannot_be_known_is_not_called_killed(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.note(status="running")
    assert run.status == "killed"
    (run.path / ".lock").unlink()
    assert run.status == "killed"
    (run.path / ".lock").symlink_to(tmp_path / "elsewhere")
    assert run.status == "running"


def test_space_is_asked_for_before_it_is_needed(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    run.require_space(1)
    with pytest.raises(ResourceError, match=r"1,000,000,000.0 MB needed, [\d,.]+ MB free") as caught:
        run.require_space(10**15)
    assert caught.value.exit_code == 5


def test_a_path_that_is_no_run_gets_the_nearest_run_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # runs under the current folder are named too
    create(tmp_path / "teacher-a")
    create(tmp_path / "student")
    with pytest.raises(UsageError, match="is no run folder") as caught:
        open_run(tmp_path / "teacher-b")
    assert f"Did you mean '{tmp_path / 'teacher-a'}'?" in caught.value.fix
    with pytest.raises(UsageError) as caught:
        open_run(tmp_path / "nowhere" / "run")
    assert f"there are no runs in {tmp_path / 'nowhere'}" in caught.value.fix


def test_a_run_is_named_also_when_the_folder_of_runs_was_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    create(Path("runs/teacher"))
    with pytest.raises(UsageError) as caught:
        open_run("teacher")
    assert "Did you mean 'runs/teacher'?" in caught.value.fix


def test_an_unfinished_run_is_opened_only_on_demand(tmp_path: Path) -> None:
    create(tmp_path / "run")
    with pytest.raises(UsageError, match=r"not finished \(status: created\)"):
        open_run(tmp_path / "run")
    assert open_run(tmp_path / "run", finished=False).record["status"] == "created"


def test_runs_are_listed_oldest_first(tmp_path: Path) -> None:
    for name, started in (("b", "2026-01-02"), ("a", "2026-01-03"), ("c", "2026-01-01")):
        create(tmp_path / name).note(started=started)
    (tmp_path / "no run").mkdir()
    assert [run.path.name for run in list_runs(tmp_path)] == ["c", "b", "a"]
    assert list_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("damage", "look"),
    [
        (lambda path: (path / "run.json").write_text("{"), lambda run: run.record),
        (lambda path: (path / "run.json").write_text("[]"), lambda run: run.record),
        (lambda path: (path / "run.json").write_text('{"kind": "train"}'), lambda run: run.finished),
        (lambda path: (path / "config.yaml").write_text("a: [1"), lambda run: run.config),
        (lambda path: (path / "config.yaml").write_bytes(b"\xff"), lambda run: run.config),
        (lambda path: (path / "config.yaml").unlink(), lambda run: run.config),
        (lambda path: (path / "config.yaml").write_text("!!python/object/apply:os.system [false]"), lambda run: run.config),
    ],
)
def test_a_damaged_run_is_refused_and_hides_no_other(damage: Callable[[Path], object], look: Callable[[RunFolder], object], tmp_path: Path) -> None:
    damaged, whole = create(tmp_path / "damaged"), create(tmp_path / "whole")
    damage(damaged.path)
    with pytest.raises(IntegrityError) as caught:
        look(damaged)
    assert caught.value.where.startswith(str(damaged.path))
    assert whole.path in [run.path for run in list_runs(tmp_path)]
    with pytest.raises(UsageError, match="no run folder"):
        open_run(tmp_path / "other")


def test_whoever_looks_while_a_folder_is_locked_anew_finds_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the one before had a longer name."""
    text = tmp_path / ".lock"
    text.write_text(json.dumps({"pid": 1, "host": "a" * 200, "since": "then"}))
    seen, usual = [], FileIO.truncate

    class Watched(FileIO):
        def truncate(self, size: int | None = None) -> int:
            seen.append(text.read_text())
            return usual(self, size)

    monkeypatch.setattr("darkknowledge.runs.folder.os.fdopen", lambda descriptor, mode, buffering: Watched(descriptor, mode))
    with lock(tmp_path):
        assert [str(os.getpid()) in each for each in seen] == [True]
        assert json.loads(text.read_text())["pid"] == os.getpid()
