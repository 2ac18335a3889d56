"""File systems that refuse, fail for a moment or are closed while a run is under way, and readers who come at any moment."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from darkknowledge.cli.main import main
from darkknowledge.errors import DarkKnowledgeError, ResourceError
from darkknowledge.model import fingerprint, load
from darkknowledge.runs import files
from darkknowledge.runs.files import write_text
from darkknowledge.runs.folder import open_run
from darkknowledge.training.checkpoint import saved_states
from darkknowledge.training.metric_files import MetricFiles, read_records
from darkknowledge.training.watching import Plan, Record
from darkknowledge.transfer import TransferSet
from transfer.small import content, recorded

TRAIN = ["train", "model.hidden=[8]", "training.steps=6", "training.threads=1", "training.precision=fp32", "logging.progress=false"]
EAGER = [*TRAIN, "training.checkpoint_every=0", "training.log_every=1"]
RECORD = ["record", "teacher.check=false", "threads=1", "progress=false"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that all others here must come to."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert main([*EAGER, f"out={run}"]) == 0
    return run


def same(run: Path, whole: Path) -> bool:
    """Whether a run has the network and the numbers of another."""
    numbers = [read_records(one / "metrics.jsonl") for one in (run, whole)]
    return fingerprint(load(run / "model")) == fingerprint(load(whole / "model")) and numbers[0] == numbers[1]


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """``at_step(n, act)``: something happens after the n-th step."""

    def install(step: int, act: Callable[[], None]) -> None:
        monkeypatch.setattr(MetricFiles, "step", lambda self, done: act() if done == step else None)

    return install


def status(run: Path) -> str:
    return str(json.loads((run / "run.json").read_text())["status"])


def test_no_file_goes_through_the_folder_for_temporary_files(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename from there to the run's file system would be a copy, which a kill cuts short."""
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    run = tmp_path / "run"
    assert main([*EAGER, f"out={run}"]) == 0
    assert same(run, whole)
    assert main([*RECORD, f"teacher={run}", f"out={tmp_path / 'set'}"]) == 0
    assert main(["verify", str(tmp_path / "set")]) == 0


@pytest.fixture
def no_space_for_metrics(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While something is in this list, the disk is too full for the metrics alone."""
    full: list[bool] = []
    usual = Path.open

    def refusing(path: Path, mode: str = "r", *more: Any, **named: Any) -> IO[Any]:
        if full and "metrics.jsonl" in path.name and mode[0] in "xaw":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return usual(path, mode, *more, **named)

    monkeypatch.setattr(Path, "open", refusing)
    return full


def test_metrics_that_find_no_space_end_the_run_which_goes_on_later(
    no_space_for_metrics: list[bool], at_step: Any, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    at_step(3, lambda: no_space_for_metrics.append(True))
    assert main([*EAGER, f"out={run}"]) == 5
    assert "error: cannot write metrics.jsonl: No space left on device\n" in capsys.readouterr().err
    assert status(run) == "failed"
    assert [record["step"] for record in read_records(run / "metrics.jsonl")][-1] <= 3
    no_space_for_metrics.clear()
    at_step(0, lambda: None)
    assert main([*EAGER, f"out={run}", "resume=true"]) == 0
    assert same(run, whole)


def test_a_line_of_metrics_that_was_written_in_part_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, usual = MetricFiles(tmp_path), Path.open
    metrics.begin(Plan("run", steps=3, epochs=1))
    metrics.record(Record("step", 1, 1 / 3, {"loss": 1.0}))

    def failing(path: Path, mode: str = "r", *more: Any, **named: Any) -> IO[Any]:
        file = usual(path, mode, *more, **named)
        if mode == "a":
            file.write('{"kind": "st')
            file.close()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        metrics.record(Record("step", 2, 2 / 3, {"loss": 2.0}))
    metrics.record(Record("step", 3, 1.0, {"loss": 3.0}))
    assert [record["loss"] for record in read_records(tmp_path / "metrics.jsonl")] == [1.0, 2.0, 3.0]


@pytest.fixture
def hiccups(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], list[int]]:
    """``hiccups(code, count)``: the next flushes to the disk fail, so many of them; what is left of them."""
    monkeypatch.setattr(files, "PAUSES", (0.0, 0.0))

    def install(code: int, count: int) -> list[int]:
        left, usual = [code] * count, os.fsync

        def flush(descriptor: int) -> None:
            if left:
                raise OSError(left.pop(), os.strerror(code))
            usual(descriptor)

        monkeypatch.setattr(os, "fsync", flush)
        return left

    return install


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_a_fault_that_passes_is_waited_for_and_one_that_stays_is_told(code: int, hiccups: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    left = hiccups(code, 3)
    with pytest.raises(ResourceError, match=f"cannot write file: {os.strerror(code)}") as refused:
        write_text(path, "new")
    assert (refused.value.exit_code, left, path.read_text()) == (5, [], "old")
    left.extend([code, code])
    write_text(path, "new")
    assert (left, path.read_text()) == ([], "new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_not_waited_for(hiccups: Any, tmp_path: Path) -> None:
    left = hiccups(errno.ENOSPC, 2)
    with pytest.raises(ResourceError, match="No space left on device"):
        write_text(tmp_path / "file", "new")
    assert len(left) == 1


def test_a_disk_that_fails_for_a_moment_changes_no_run_and_one_that_fails_ends_it(
    hiccups: Any, at_step: Any, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, code in ((2, 0), (1000, 5)):
        run = tmp_path / str(count)
        left: list[int] = hiccups(errno.EIO, 0)
        at_step(2, lambda left=left, count=count: left.extend([errno.EIO] * count))
        assert main([*EAGER, f"out={run}"]) == code
        left.clear()
    assert same(tmp_path / "2", whole)
    assert "cannot write state-00000002-000000.pt: Input/output error" in capsys.readouterr().err
    at_step(0, lambda: None)
    assert main([*EAGER, f"out={run}", "resume=true"]) == 0
    assert same(run, whole)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("closed", "said"), [("checkpoint", "cannot write state-00000003-000000.pt"), (".", "cannot write metrics.csv")])
def test_a_folder_that_is_closed_while_a_run_is_under_way(
    closed: str, said: str, at_step: Any, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        run = Path(name) / "run"
        at_step(3, lambda: (run / closed).chmod(0o555))
        with as_nobody():
            assert main([*EAGER, f"out={run}"]) == 5
        assert f"error: {said}: Permission denied\n" in capsys.readouterr().err
        assert not (run / "model").exists()
        assert saved_states(run / "checkpoint")
        (run / closed).chmod(0o755)
        at_step(0, lambda: None)
        with as_nobody():
            assert main([*EAGER, f"out={run}", "resume=true"]) == 0
        assert same(run, whole)


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """``looking(look)``: somebody looks before and after every flush, every renaming and every removal."""

    def install(look: Callable[[], None]) -> None:
        inside: list[bool] = []

        def watched(usual: Callable[..., Any]) -> Callable[..., Any]:
            def function(*arguments: Any, **named: Any) -> Any:
                if inside:  # the look itself
                    return usual(*arguments, **named)
                inside.append(True)
                look()
                found = usual(*arguments, **named)
                look()
                inside.clear()
                return found

            return function

        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
            monkeypatch.setattr(owner, name, watched(getattr(owner, name)))

    return install


def test_who_reads_a_set_while_it_is_recorded_finds_it_whole_or_not_finished(looking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look() -> None:
        try:
            found = TransferSet.open(tmp_path / "set")
            found.require_whole()
            seen.append(f"{len(found)} rows")
        except DarkKnowledgeError as error:
            seen.append(error.what.partition(":")[0].replace(str(tmp_path), ""))

    looking(look)
    recorded(tmp_path / "set")
    assert list(dict.fromkeys(seen)) == ["there is no transfer set at /set", "the transfer set /set is not finished", "100 rows"]
    monkeypatch.undo()
    recorded(tmp_path / "again")
    assert content(tmp_path / "set") == content(tmp_path / "again")


def test_who_looks_at_a_run_at_any_moment_finds_its_state_and_whole_records(looking: Any, tmp_path: Path) -> None:
    run, seen = tmp_path / "run", set[str]()

    def look() -> None:
        if (run / "run.json").exists():
            seen.add(open_run(run, finished=False).status)
            read_records(run / "metrics.jsonl")
            for path in saved_states(run / "checkpoint"):
                files.verify_digest(path)

    looking(look)
    assert main([*EAGER, f"out={run}"]) == 0
    assert seen == {"created", "running", "finished"}
