"""The runner of the MNIST experiments: on jobs of a moment (tests/moments.py), in real processes with real signals, and once on real training."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.hinton2015 import __main__ as program
from benchmarks.hinton2015.jobs import Job, Place
from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.runner import needed, run_all
from benchmarks.hinton2015.screen import Estimate, Screen, outcome, spoken
from benchmarks.hinton2015.selection import STAGES
from rich.console import Console

from darkknowledge.cli.main import guarded
from darkknowledge.runs.files import write_json
from darkknowledge.runs.folder import lock
from moments import moment, place_in

ROOT = Path(__file__).parents[2]


def named(*found: Job) -> dict[str, Job]:
    return {job.name: job for job in found}


# What there is to do


def finish(job: Job, place: Place, *, record: bool = True, folder: bool = True) -> None:
    if folder:
        (place.work / job.name).mkdir(parents=True)
        write_json(place.work / job.name / "run.json", {"status": "finished"})
    if record:
        place.result(job.name).parent.mkdir(parents=True, exist_ok=True)
        write_json(place.result(job.name), {"errors": 1})


def test_what_has_a_record_is_done_and_its_folder_is_made_again_only_for_somebody_who_reads_it(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    teacher = moment("teacher/0")
    answers = Job("answers/0", "record", {}, 1.0, needs=(teacher,))
    student, other = moment("soft/0", "nothing", answers), moment("alone/0")
    everything = named(teacher, answers, student, other)
    assert list(needed(everything, place)) == ["teacher/0", "answers/0", "soft/0", "alone/0"]
    finish(teacher, place, folder=False)
    assert list(needed(named(teacher), place)) == []
    assert list(needed(everything, place)) == ["teacher/0", "answers/0", "soft/0", "alone/0"]
    finish(student, place, folder=False)
    assert list(needed(everything, place)) == ["alone/0"]
    place.result("soft/0").unlink()
    (place.work / "answers/0").mkdir(parents=True)
    (place.work / "answers/0" / "manifest.json").touch()
    assert list(needed(everything, place)) == ["soft/0", "alone/0"], "the answers are there, so nobody reads the teacher"
    (place.work / "soft/0").mkdir(parents=True)
    write_json(place.work / "soft/0" / "run.json", {"status": "finished"})
    assert list(needed(everything, place)) == ["soft/0", "alone/0"], "it is trained, but not measured"


def test_answers_that_nobody_needs_are_not_recorded(tmp_path: Path) -> None:
    teacher = moment("teacher/0")
    assert list(needed(named(Job("answers/0", "record", {}, 1.0, needs=(teacher,))), place_in(tmp_path))) == []


def test_every_row_holds_what_it_needs_and_each_job_comes_after_it(tmp_path: Path) -> None:
    for rows in ([row] for row in (*ROWS, *STAGES)):
        names = list(needed(jobs(rows), place_in(tmp_path)))
        assert names
        for job in jobs(rows).values():
            assert all(names.index(need.name) < names.index(job.name) for need in job.needs)


# Jobs in processes


def test_jobs_are_done_and_failures_told_and_a_lost_process_costs_nobody_else_anything(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = place_in(tmp_path)
    bad, dies = moment("bad", "fail"), moment("dies", "die")
    after = moment("after/bad", "nothing", bad)
    todo = named(
        moment("beside", "short"), dies, bad, after, moment("last", "nothing", after), moment("dies-once", "die once"), moment("held", "held"),
        moment("group/talks", "speak"), moment("needs-dies", "nothing", dies),
    )  # fmt: skip
    failed = run_all(todo, place, processes=2)
    assert failed == {
        "bad": "the disk is a plate\n  fix: eat from it",
        "after/bad": "left out, it needs bad",
        "last": "left out, it needs after/bad",
        "dies": "its process ended with exit code -9",
        "needs-dies": "left out, it needs dies",
    }
    done = {"beside", "dies-once", "held", "group/talks"}
    assert {name for name in todo if place.result(name).exists()} == done
    said = (place.work / "log" / "group" / "talks.txt").read_text()
    assert sorted(said.splitlines()) == ["said aloud", "said by a library", "said in a low voice"]
    assert "Traceback" in (place.work / "log" / "bad.txt").read_text()
    out, err = capfd.readouterr()
    assert out == ""
    lines = [line.partition("min  ")[2] for line in err.splitlines()]
    assert lines[0] == "9 jobs to do, under a minute left"
    assert "dies-once: its process ended with exit code -9; once more, from its last saved state" in lines
    assert len(lines) == 1 + len(todo) + 2, err
    assert any(re.fullmatch(r"beside: 7 errors on test; \d/9, under a minute left", line) for line in lines)
    assert any(re.match(r"bad: failed: the disk is a plate; \d/9", line) for line in lines)
    assert list(needed(todo, place)) == [name for name in todo if name not in done]


def test_two_runners_in_one_folder_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = place_in(tmp_path)
    place.work.mkdir()
    with lock(place.work):
        assert guarded(lambda: len(run_all(named(moment("a")), place, processes=1))) == 7
    assert "is in use by" in capsys.readouterr().err


# Signals


class Runner:
    """The runner as a process of its own, with a terminal's process group of its own."""

    def __init__(self, folder: Path, described: dict[str, Any]) -> None:
        self.folder = folder
        self.errors = folder / "errors.txt"
        path = os.pathsep.join(map(str, (ROOT, ROOT / "src", ROOT / "tests" / "without")))
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "tests" / "moments.py", folder, json.dumps(described)],
                env={**os.environ, "PYTHONPATH": path},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                process_group=0,
            )

    def begun(self, *names: str) -> list[int]:
        """The process ids of jobs under way."""
        return [int(wait_for(self.folder / "work" / name / "begun", size=1).read_text()) for name in names]

    def end(self, *, within: float = 10) -> int:
        """The exit code."""
        self.output = self.process.communicate(timeout=within)[0]
        return self.process.returncode


def wait_for(path: Path, *, size: int = 0) -> Path:
    until = time.monotonic() + 200
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.01)
    return path


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(processes: list[int], *, within: float) -> bool:
    until = time.monotonic() + within
    while any(map(alive, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, processes))


TWO = {"one": "train", "other/two": "train"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Runner]]:
    started: list[Runner] = []

    def begin(described: dict[str, Any]) -> Runner:
        started.append(Runner(tmp_path, described))
        return started[-1]

    yield begin
    for runner in started:
        if runner.process.poll() is None:
            runner.process.kill()
        if runner.process.stdout is not None:
            runner.process.stdout.close()
        runner.process.wait()


@pytest.mark.parametrize(("number", "code", "to_all"), [(signal.SIGTERM, 143, False), (signal.SIGINT, 130, True)])
def test_a_signal_lets_all_save_and_the_same_command_goes_on(
    number: int, code: int, to_all: bool, start: Callable[..., Runner], tmp_path: Path
) -> None:
    """Ctrl-C goes to all processes of a terminal; each must hear it once."""
    runner = start(TWO)
    workers = runner.begun(*TWO)
    (os.killpg if to_all else os.kill)(runner.process.pid, number)
    assert runner.end() == code
    assert not any(map(alive, workers))
    assert [(tmp_path / "work" / name / "saved").read_text() for name in TWO] == ["15", "15"]
    said = runner.errors.read_text()
    assert "Traceback" not in said
    assert "stopping, saving one and other/two" in said
    assert "error: stopped; what was under way is saved" in said
    if not to_all:
        again = start(TWO)
        assert again.end(within=60) == 0
        assert again.output.strip() == "{}"


def test_without_the_runner_its_processes_save_and_end_and_the_next_one_goes_on_at_once(start: Callable[..., Runner], tmp_path: Path) -> None:
    runner = start(TWO)
    workers = runner.begun(*TWO)
    runner.process.kill()
    runner.process.wait()
    again = start(TWO)
    assert again.end(within=60) == 0, again.errors.read_text()
    assert gone(workers, within=10)
    assert [(tmp_path / "work" / name / "saved").read_text() for name in TWO] == ["15", "15"]


def test_a_process_that_is_killed_is_replaced_and_the_other_is_not_disturbed(start: Callable[..., Runner], tmp_path: Path) -> None:
    runner = start(TWO)
    first, second = runner.begun(*TWO)
    begun = tmp_path / "work" / "one" / "begun"
    begun.unlink()
    os.kill(first, signal.SIGKILL)
    (replaced,) = runner.begun("one")
    assert replaced not in (first, second)
    assert alive(second)
    runner.process.terminate()
    assert runner.end() == 143
    assert not any(map(alive, (replaced, second)))
    assert "one: its process ended with exit code -9; once more" in runner.errors.read_text()


def test_a_second_signal_ends_everything_at_once(start: Callable[..., Runner], tmp_path: Path) -> None:
    runner = start({"one": "save for long", "two": "save for long"})
    workers = runner.begun("one", "two")
    runner.process.send_signal(signal.SIGINT)
    for name in ("one", "two"):
        wait_for(tmp_path / "work" / name / "saving")
    runner.process.send_signal(signal.SIGINT)
    assert runner.end() == -signal.SIGINT
    assert gone(workers, within=5)


# Time


def test_the_time_that_is_left_is_that_of_the_longest_process() -> None:
    found = [moment(str(number), work=work) for number, work in enumerate((100.0, 60.0, 30.0, 30.0))]
    estimate = Estimate(found, processes=2)
    assert estimate.seconds_left(0) == 120
    estimate.begun(found[0], 0.0, resumed=False)
    estimate.begun(found[1], 0.0, resumed=False)
    assert estimate.seconds_left(0) == 120
    assert estimate.seconds_left(50) == 70
    assert estimate.share(50) == pytest.approx(100 / 220)


def test_the_guesses_are_corrected_by_what_was_begun_and_ended_here() -> None:
    found = [moment(str(number), work=10.0) for number in range(6)]
    estimate = Estimate(found, processes=1)
    estimate.begun(found[0], 0.0, resumed=True)
    estimate.ended(found[0], 1.0, well=True)
    assert estimate.seconds_left(1.0) == 50
    estimate.begun(found[1], 1.0, resumed=False)
    estimate.ended(found[1], 2.0, well=False)
    assert estimate.seconds_left(2.0) == 40, "one that fails at once says nothing of the others"
    estimate.begun(found[2], 2.0, resumed=False)
    estimate.ended(found[2], 32.0, well=True)
    assert estimate.seconds_left(32.0) == 90
    estimate.ended(found[3], 32.0, well=False)  # left out
    assert estimate.seconds_left(32.0) == 60
    assert estimate.share(32.0) == pytest.approx(40 / 60)
    estimate.begun(found[4], 32.0, resumed=False)
    assert estimate.seconds_left(32.0 + 30 * 10) == pytest.approx(1.5 + 30), "later than was guessed, it is nearly done"
    estimate.put_back(found[4])
    assert estimate.seconds_left(400.0) == 60
    for job in found[4:]:
        estimate.begun(job, 400.0, resumed=False)
        estimate.ended(job, 430.0, well=True)
    assert estimate.seconds_left(430.0) == 0
    assert estimate.share(430.0) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "under a minute"),
        (29, "under a minute"),
        (31, "about 1 min"),
        (3500, "about 58 min"),
        (3600, "about 1 h 00 min"),
        (8100, "about 2 h 15 min"),
    ],
)
def test_a_time_is_told_with_no_more_digits_than_an_estimate_has(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


# What is seen


@pytest.mark.parametrize("width", [60, 100])
def test_on_a_terminal_there_is_one_bar_and_a_line_for_each_job(width: int, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    console = Console(file=io.StringIO(), width=width, force_terminal=True, legacy_windows=False, _environ={})
    found = [moment("teacher/with-a-long-name", work=4000.0), moment("soft/[x]", work=4000.0), moment("alone", work=4000.0)]
    with Screen(found, place, processes=2, console=console) as screen:
        for job in found[:2]:
            screen.begun(job)
        screen.draw()
        finish(found[0], place)
        screen.ended(found[0])
        screen.ended(found[1], "failed: it broke")
    assert isinstance(console.file, io.StringIO)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n").split("\n")
    drawn = [line.strip() for line in lines if "jobs" in line]
    assert any(re.fullmatch(r"teacher\S*(, \S+)? ━+ 0/3 jobs 0:00:0\d about 2 h 10 min left", line) for line in drawn), drawn
    assert max(map(len, drawn)) <= width
    assert "   0.0 min  teacher/with-a-long-name: 1 errors on test" in lines
    assert "   0.0 min  soft/[x]: failed: it broke" in lines


def test_a_group_is_told_from_the_best_to_the_worst(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    for number in range(6):
        write_json_in(place, f"grid/0/T{number}", {"errors": 50 - number} if number != 3 else {"diverged": True})

    def group(count: int) -> Job:
        return Job("grid/0", "distill", {}, 1.0, students=tuple({"name": f"T{number}"} for number in range(count)), split="validation")

    assert outcome(group(6), place) == "6 students, 45 to 50 errors on validation, 1 of 6 diverged"
    assert outcome(group(2), place) == "2 students, 49, 50 errors on validation"
    assert outcome(group(1), place) == "50 errors on validation"
    write_json_in(place, "alone", {"diverged": True})
    assert outcome(moment("alone"), place) == "diverged"
    assert outcome(Job("answers/0", "record", {}, 1.0), place) == "recorded"


def write_json_in(place: Place, name: str, record: dict[str, Any]) -> None:
    place.result(name).parent.mkdir(parents=True, exist_ok=True)
    write_json(place.result(name), record)


# The command line


def call(*words: object) -> int:
    return guarded(lambda: program.main([str(word) for word in words]))


def test_help_tells_each_row_once_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(program.ABOUT) == [*ROWS, *STAGES]
    with pytest.raises(SystemExit) as ended:
        call("--help")
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for row, about in program.ABOUT.items():
        assert [line.split() for line in lines].count([row, *about.split()]) == 1
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["P3b-veiws"], 2, ["there is no row 'P3b-veiws'", "Did you mean 'P3b-views'?"]),
        (["P1", "ensembl"], 2, ["there is no row 'ensembl'", "Did you mean 'ensemble'?"]),
        (["P1", "--data", "nowhere"], 3, ["nowhere does not exist"]),
        (["P1", "--data", "."], 3, ["train-images-idx3-ubyte"]),
    ],
)
def test_a_mistake_is_told_once(
    words: list[str], code: int, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(*words, "--results", "results", "--work", "work") == code
    told = capsys.readouterr().err
    assert all(part in told for part in said), told
    assert told.count("error:") == 1
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_a_number_of_processes_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(SystemExit) as ended:
        call("--processes", count)
    assert ended.value.code == 2


def test_when_all_is_done_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for job in jobs(["P1"]).values():
        write_json_in(place_in(tmp_path), job.name, {})
    assert call("P1", "--data", "nowhere", "--work", tmp_path / "work", "--results", tmp_path / "results") == 0
    assert "all 5 jobs have their records in" in capsys.readouterr().err


def test_failures_end_with_their_log_and_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(program, "require_data", lambda place: None)
    monkeypatch.setattr(program, "run_all", lambda todo, place, processes: {"teacher/0": "no luck\n  fix: try", "teacher/1": "left out"})
    (tmp_path / "log" / "teacher").mkdir(parents=True)
    (tmp_path / "log" / "teacher" / "0.txt").touch()
    assert call("P1", "--work", tmp_path, "--results", tmp_path / "results") == 1
    assert capsys.readouterr().err.splitlines() == [
        "failed: teacher/0: no luck",
        "  fix: try",
        f"  log: {tmp_path}/log/teacher/0.txt",
        "failed: teacher/1: left out",
        "2 jobs failed, the others are done; the same command tries these again",
    ]


# Real training


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small MNIST of noise."""
    raw = tmp_path_factory.mktemp("data") / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", 80), ("t10k", 30)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes(), 1))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">II", 2049, count) + labels.tobytes()))
    return raw.parents[1]


SMALL = {"name": "hinton_mlp", "hidden": [8, 8]}
TRAINING = {"epochs": 2, "batch_size": 16, "threads": 1, "precision": "fp32"}
FULL = {"validation": 0, "augment": "none"}


def test_a_teacher_its_answers_a_group_and_a_measurement_leave_their_records(pictures: Path, tmp_path: Path) -> None:
    place = Place(pictures, tmp_path / "work", tmp_path / "results")
    teachers = [
        Job(f"teacher/{seed}", "train", {"model": SMALL, "data": FULL, "training": {**TRAINING, "seed": seed}}, 1.0, note={"arm": "teacher"})
        for seed in range(2)
    ]
    answers = Job("answers/0", "record", {"data": FULL, "views": 1, "codec": "float16", "precision": "fp32"}, 1.0, needs=(teachers[0],))
    group = Job(
        "soft/8-0",
        "distill",
        {"student": SMALL, "data": FULL, "objective": {"name": "distillation", "alpha": 0.9}, "training": {**TRAINING, "views": 1}},
        1.0,
        needs=(answers,),
        students=({"name": "T1", "temperature": 1.0}, {"name": "wild", "temperature": 4.0, "training": {"learning_rate": 1e30}}),
        note={"arm": "soft", "width": 8},
    )
    stopped = Job(
        "few/0", "train", {"model": SMALL, "data": {**FULL, "validation": 20}, "training": {**TRAINING, "validate_every": 2}}, 1.0, weights="best"
    )
    together = Job("ten", "measure", {}, 1.0, needs=tuple(teachers), note={"arm": "ten"})
    everything = named(*teachers, answers, group, stopped, together)
    (place.work / "teacher" / "1").mkdir(parents=True)
    (place.work / "teacher" / "1" / "config.yaml").touch()  # as a kill leaves it before the run has said what it is
    for job in needed(everything, place).values():
        job.run(place)
    records = {name: json.loads(place.result(name).read_text()) for job in everything.values() if job.kind != "record" for name in job.records}
    assert list(records) == ["teacher/0", "teacher/1", "soft/8-0/T1", "soft/8-0/wild", "few/0", "ten"]
    assert all(record["name"] == name for name, record in records.items())
    assert records["soft/8-0/wild"]["diverged"]
    for record in (record for record in records.values() if not record.get("diverged")):
        assert (record["examples"], record["split"]) == (30, "test")
        assert record["errors"] == len(record["wrong"])
    assert (records["soft/8-0/T1"]["temperature"], records["soft/8-0/T1"]["arm"]) == (1.0, "soft")
    assert records["few/0"]["best_epoch"] == 2
    assert records["few/0"]["errors_of_last_epoch"] == records["few/0"]["errors"]
    assert needed(everything, place) == {}


@pytest.mark.slow
def test_real_training_saves_its_state_when_the_runner_is_stopped(pictures: Path, tmp_path: Path, start: Callable[..., Runner]) -> None:
    (tmp_path / "data").symlink_to(pictures)
    endless = {"model": SMALL, "data": FULL, "training": {**TRAINING, "epochs": 10**6}}
    runner = start({"real": [{"name": "one", "arguments": endless}]})
    folder = tmp_path / "work" / "one"
    wait_for(folder / "metrics.jsonl", size=1)
    runner.process.send_signal(signal.SIGINT)
    assert runner.end(within=30) == 130
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    assert list((folder / "checkpoint").glob("state-*.pt"))
    log = (tmp_path / "work" / "log" / "one.txt").read_text()
    assert "objective: " in log
    assert "stopped by signal 15 after step" in log
