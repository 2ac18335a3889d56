"""What is seen of the jobs of the MNIST experiments: the time that is left, the bar, and a line for each job."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.screen import Estimate, Screen, outcome, spoken
from rich.console import Console

from moments import moment, place_in, write_record


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


@pytest.mark.parametrize("width", [60, 100])
def test_on_a_terminal_there_is_one_bar_and_a_line_for_each_job(width: int, tmp_path: Path) -> None:
    place = place_in(tmp_path)
    console = Console(file=io.StringIO(), width=width, force_terminal=True, legacy_windows=False, _environ={})
    found = [moment("teacher/with-a-long-name", work=4000.0), moment("soft/[x]", work=4000.0), moment("alone", work=4000.0)]
    with Screen(found, place, processes=2, console=console) as screen:
        for job in found[:2]:
            screen.begun(job)
        screen.draw()
        write_record(found[0].name, {"errors": 7}, place)
        screen.ended(found[0])
        screen.ended(found[1], "failed: it broke")
    assert isinstance(console.file, io.StringIO)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n").split("\n")
    drawn = [line.strip() for line in lines if "jobs" in line]
    assert any(re.fullmatch(r"teacher\S*(, \S+)? ━+ 0/3 jobs 0:00:0\d about 2 h 10 min left", line) for line in drawn), drawn
    assert max(map(len, drawn)) <= width
    assert "   0.0 min  teacher/with-a-long-name: 7 errors on test" in lines
    assert "   0.0 min  soft/[x]: failed: it broke" in lines


def test_a_group_is_told_from_the_best_to_the_worst(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    for number in range(6):
        write_record(f"grid/0/T{number}", {"errors": 50 - number} if number != 3 else {"diverged": True}, place)

    def group(count: int) -> Job:
        return Job("grid/0", "distill", {}, 1.0, students=tuple({"name": f"T{number}"} for number in range(count)), split="validation")

    assert outcome(group(6), place) == "6 students, 45 to 50 errors on validation, 1 of 6 diverged"
    assert outcome(group(2), place) == "2 students, 49, 50 errors on validation"
    assert outcome(group(1), place) == "50 errors on validation"
    write_record("alone", {"diverged": True}, place)
    assert outcome(moment("alone"), place) == "diverged"
    assert outcome(Job("answers/0", "record", {}, 1.0), place) == "recorded"
