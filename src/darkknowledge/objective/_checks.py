"""What the formulas refuse, before they compute.

Shapes and dtypes are always checked. Values are looked at on the CPU only: on an accelerator each look would make the host wait for the device,
once a step. There the data rooms, which check labels when they load them, are the guard.
"""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Sparse
from darkknowledge.errors import UsageError


def check_temperature(temperature: float) -> float:
    """The temperature as a float.

    Raises:
        UsageError: it is no finite number above 0.
    """
    if not _is_number(temperature) or not math.isfinite(temperature) or temperature <= 0:
        raise UsageError(
            f"temperature={temperature!r} is no finite number above 0",
            why="logits are divided by it",
            fix="choose one between 1 and 20, or objective logit_matching for the limit of a high temperature",
        )
    return float(temperature)


def check_fraction(name: str, value: float) -> float:
    """A number in [0, 1], as a float.

    Raises:
        UsageError: it is none; the message calls it ``name``.
    """
    if not _is_number(value) or not 0 <= value <= 1:
        raise UsageError(f"{name}={value!r} is not between 0 and 1")
    return float(value)


def check_weight(name: str, value: float) -> float:
    """A finite number that is not negative, as a float.

    Raises:
        UsageError: it is none; the message calls it ``name``.
    """
    if not _is_number(value) or not math.isfinite(value) or value < 0:
        raise UsageError(f"{name}={value!r} is no finite number of at least 0")
    return float(value)


def check_logits(student: Tensor, what: str = "student logits") -> None:
    """Logits of a batch are floating-point (B, C) with at least two classes.

    Raises:
        UsageError: they are not.
    """
    if student.ndim != 2 or not student.is_floating_point():
        raise UsageError(
            f"{what} have shape {tuple(student.shape)} and dtype {student.dtype}; floating-point (B, C) is expected",
            fix="move the classes to the last dimension and flatten the others, one row for each example",
        )
    if student.shape[1] < 2:
        raise UsageError(
            f"{what} have shape {tuple(student.shape)}: one class",
            why="the softmax over a single class is always 1, so nothing could be learned",
            fix="give the network one logit for each class",
        )


def check_pair(student: Tensor, teacher: Tensor, what: str = "teacher logits") -> None:
    """The teacher's answer has the shape of the student's logits: nothing is broadcast.

    Raises:
        UsageError: it has another shape, or either is no floating-point (B, C).
    """
    check_logits(student)
    check_same_shape(student, teacher, what)
    check_logits(teacher, what)


def check_same_shape(student: Tensor, teacher: Tensor, what: str = "teacher logits") -> None:
    """The part of `check_pair` that holds for stored numbers of any dtype, too.

    Raises:
        UsageError: the shapes differ.
    """
    if student.shape != teacher.shape:
        raise UsageError(
            f"student logits have shape {tuple(student.shape)} and {what} {tuple(teacher.shape)}",
            why="each example needs the same classes, in the same order, from both; nothing is broadcast",
            fix="give the student the teacher's number of classes, and both the same batch",
        )


def check_probabilities(probabilities: Tensor, what: str) -> None:
    """Each row is non-negative and sums to 1 within 0.01 (on the CPU, see above).

    Raises:
        UsageError: a row is no distribution, as when logits were passed.
    """
    if not can_look(probabilities):
        return
    totals = probabilities.detach().sum(-1, dtype=torch.float64)
    if bool((probabilities < 0).any()) or bool(((totals - 1).abs() > 0.01).any()):
        raise UsageError(
            f"{what} are expected, and a row is no distribution: it does not sum to 1 or is negative somewhere",
            fix="logits, log-probabilities and probabilities have a function each; pass them to their own",
        )


def check_known_classes(answer: Sparse, classes: int) -> None:
    """A soft target with a few known classes is one of as many classes as the student has: it sums to 1 over them (on the CPU, see above).

    Raises:
        UsageError: it does not.
    """
    if not can_look(answer.log_p):
        return
    totals = answer.log_p.exp().sum(-1, keepdim=True) + (classes - answer.ids.shape[1]) * answer.log_rest.exp()
    if bool(((totals - 1).abs() > 0.01).any()):
        raise UsageError(
            f"over the student's {classes} classes the teacher's soft targets do not sum to 1",
            why="it has another number of classes, so that its tail would be spread over the wrong ones",
            fix="give the student the teacher's number of classes",
        )


def check_labels(student: Tensor, labels: Tensor) -> bool:
    """Labels are integer (B,), each a class in [0, C) or `IGNORED`, or shares (B, C) of mixed pictures (the values on the CPU only, see above).

    Returns:
        Whether they are classes and known to be all there; not where nobody looks.

    Raises:
        UsageError: they are neither.
    """
    mixed = labels.shape == student.shape and labels.is_floating_point()
    if not mixed and (labels.shape != student.shape[:1] or labels.dtype == torch.bool or labels.is_floating_point()):
        raise UsageError(
            f"labels have shape {tuple(labels.shape)} and dtype {labels.dtype} beside logits of shape {tuple(student.shape)}; "
            f"integer class indices of shape ({len(student)},) are expected",
            fix=f"for mixed pictures give shares of shape {tuple(student.shape)}; for other probabilities use hard_label_from_probabilities",
        )
    if not can_look(labels):
        return False
    if mixed:
        _check_shares(labels, student.shape[1])
        return False
    return _check_classes(labels, student.shape[1])


def _check_classes(labels: Tensor, classes: int) -> bool:
    if not len(labels):
        return True
    low, high = map(int, labels.aminmax())
    if low >= 0 and high < classes:
        return True
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != IGNORED)]
    if len(wrong):
        raise UsageError(
            f"label {int(wrong[0])} is no class: the logits have {classes} classes, 0 to {classes - 1}",
            fix=f"number the classes from 0, and mark examples without a label with {IGNORED}",
        )
    return False


def _check_shares(labels: Tensor, classes: int) -> None:
    totals = labels.detach().sum(-1, dtype=torch.float64)
    empty = (labels == 0).all(-1)
    right = (labels >= 0).all(-1) & ((totals - 1).abs() <= 0.01)
    wrong = (~(right | empty)).nonzero()[:, 0]
    if len(wrong):
        row = int(wrong[0])
        raise UsageError(
            f"row {row} of the labels holds no shares of {classes} classes: its sum is {float(totals[row]):g} and its least value"
            f" {float(labels[row].min()):g}",
            fix="let each row sum to 1 with nothing below 0, or be all 0 where the example has no label",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def can_look(tensor: Tensor) -> bool:
    """Whether its values can be read without waiting for a device or breaking a compiled graph."""
    return tensor.is_cpu and not torch.compiler.is_compiling()
