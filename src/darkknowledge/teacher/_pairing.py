"""A teacher and a student must mean the same by the same index, or the student learns to confuse classes."""

from __future__ import annotations

from collections.abc import Sequence

from darkknowledge.errors import IntegrityError


def check_pairing(teacher_classes: Sequence[str], student_classes: Sequence[str], *, teacher: str = "teacher", student: str = "student") -> None:
    """Refuse two lists of class names that differ in length, in a name or in order; ``teacher`` and ``student`` are what the message calls them.

    Raises:
        IntegrityError: they differ; the message names the first difference.

    >>> check_pairing(["cat", "dog"], ["cat", "dog"])
    """
    if list(teacher_classes) == list(student_classes):
        return
    if len(teacher_classes) != len(student_classes):
        raise IntegrityError(
            f"{teacher} has {len(teacher_classes)} classes, {student} has {len(student_classes)}",
            why="soft targets are one probability per class, so both must have the same classes",
            fix="choose a teacher and data with the same classes, or replace the teacher's head and train it",
        )
    index, ours, theirs = next((i, a, b) for i, (a, b) in enumerate(zip(teacher_classes, student_classes, strict=True)) if a != b)
    permuted = sorted(teacher_classes) == sorted(student_classes)
    raise IntegrityError(
        f"{teacher} and {student} have {'the same classes in another order' if permuted else 'different classes'}",
        where=f"class {index} is {ours!r} for {teacher} and {theirs!r} for {student}",
        why="every soft target would speak of the wrong class",
        fix="use data with the class order that the teacher was trained on, or train a teacher on this data",
    )
