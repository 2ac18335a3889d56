"""What the runner of the MNIST experiments has to do, and whose records and folders it takes for its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.runner import needed
from benchmarks.hinton2015.selection import STAGES

from darkknowledge.errors import IntegrityError
from moments import begin, finish, moment, named, place_in, write_record


def test_what_has_a_record_is_done_and_its_folder_is_made_again_only_for_somebody_who_reads_it(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    teacher = moment("teacher/0")
    answers = Job("answers/0", "record", {}, 1.0, needs=(teacher,))
    student, other = moment("soft/0", "nothing", answers), moment("alone/0")
    everything = named(teacher, answers, student, other)
    assert list(needed(everything, place)) == ["teacher/0", "answers/0", "soft/0", "alone/0"]
    write_record("teacher/0", {"stamp": teacher.stamp}, place)
    assert list(needed(named(teacher), place)) == []
    assert list(needed(everything, place)) == ["teacher/0", "answers/0", "soft/0", "alone/0"]
    write_record("soft/0", {"stamp": student.stamp}, place)
    assert list(needed(everything, place)) == ["alone/0"]
    place.result("soft/0").unlink()
    (begin(answers, place) / "manifest.json").touch()
    assert list(needed(everything, place)) == ["soft/0", "alone/0"], "the answers are there, so nobody reads the teacher"
    finish(student, place)
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


# The stamp


def student_of(teacher: Job) -> Job:
    answers = Job("answers/0", "record", {"views": 1}, 1.0, needs=(teacher,))
    return Job("soft/0", "distill", {"student": "small"}, 1.0, needs=(answers,), students=({"name": "T1", "temperature": 1.0},))


def test_a_recipes_stamp_is_that_of_all_that_the_weights_and_the_numbers_hang_on() -> None:
    teacher = Job("teacher/0", "train", {"model": "large", "training": {"seed": 0}}, 1.0)
    student = student_of(teacher)
    (answers,) = student.needs
    others = [
        student_of(replace(teacher, arguments={"model": "large", "training": {"seed": 1}})),
        replace(student, needs=(replace(answers, arguments={"views": 2}),)),
        replace(student, arguments={"student": "smaller"}),
        replace(student, students=({"name": "T1", "temperature": 2.0},)),
        replace(student, split="validation"),
        replace(student, weights="best"),
    ]
    assert len({student.stamp, *(other.stamp for other in others)}) == 1 + len(others)
    assert student_of(replace(teacher, work=9.0, note={"arm": "teacher"})).stamp == student.stamp, "the time that it takes is no part of it"
    assert student_of(replace(teacher, arguments={"training": {"seed": 0}, "model": "large"})).stamp == student.stamp, "nor is the order of its words"


def test_no_two_jobs_of_the_plan_share_a_stamp() -> None:
    """So that the record or the folder of one is never taken for the other's."""
    found = jobs([*ROWS, *STAGES])
    assert len({job.stamp for job in found.values()}) == len(found)


# Strangers


def test_a_record_of_another_recipe_is_refused(tmp_path: Path) -> None:
    place, job = place_in(tmp_path), moment("alone/0")
    for stranger in ({"stamp": "0123456789abcdef"}, {}):
        write_record("alone/0", stranger, place)
        with pytest.raises(IntegrityError, match=r"alone/0\.json is of another recipe"):
            needed(named(job), place)


def test_one_stranger_among_the_records_of_a_group_is_refused(tmp_path: Path) -> None:
    place = place_in(tmp_path)
    group = Job("soft/0", "distill", {}, 1.0, students=({"name": "T1"}, {"name": "T2"}))
    write_record("soft/0/T2", {"stamp": "0123456789abcdef"}, place)
    with pytest.raises(IntegrityError, match=r"soft/0/T2\.json is of another recipe"):
        needed(named(group), place)


def test_a_folder_of_another_recipe_is_refused_whoever_reads_it_and_never_gone_on_with(tmp_path: Path) -> None:
    place, teacher = place_in(tmp_path), moment("teacher/0")
    student = moment("soft/0", "nothing", teacher)
    finish(replace(teacher, arguments={"do": "fail"}), place)
    write_record("teacher/0", {"stamp": teacher.stamp}, place)
    with pytest.raises(IntegrityError, match="teacher/0 is of another recipe"):
        needed(named(teacher, student), place)
    with pytest.raises(IntegrityError, match="teacher/0 is of another recipe"):
        Job.run(teacher, place)


def test_a_folder_that_nobody_stamped_is_refused(tmp_path: Path) -> None:
    place, teacher = place_in(tmp_path), moment("teacher/0")
    finish(teacher, place)
    (place.work / "stamps" / "teacher" / "0").unlink()
    with pytest.raises(IntegrityError, match="teacher/0 is of another recipe"):
        needed(named(moment("soft/0", "nothing", teacher)), place)
