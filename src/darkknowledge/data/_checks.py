"""What every reader refuses in what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from torch import Tensor

from darkknowledge.errors import DataError

MOST_CLASSES = 1 << 20


def check_labels(labels: Tensor, class_count: int, *, first_id: int, where: str) -> None:
    """Refuse a label outside [0, C).

    Raises:
        DataError: names the first such label and its example.
    """
    wrong = ((labels < 0) | (labels >= class_count)).nonzero()[:, 0]
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"label {int(labels[row])} of row {row} (id {first_id + row}) is outside 0 … {class_count - 1}",
            where=where,
            why=f"the data set has {class_count} classes; {len(wrong)} labels are outside",
            fix="mend the labels or the list of classes",
        )


def check_class_names(class_names: Sequence[str], *, where: str) -> None:
    """Refuse fewer than two classes, absurdly many, two of one name, and one that is blank.

    Raises:
        DataError: says which.
    """
    if len(class_names) < 2:
        raise DataError(f"there is {len(class_names)} class, and a classifier needs at least two", where=where, fix="add the other classes")
    check_class_count(len(class_names), where=where)
    twice = sorted(name for name, count in Counter(class_names).items() if count > 1)
    if twice:
        raise DataError(f"two classes are called {twice[0]!r}", where=where, fix="give each class a name of its own")
    blank = [index for index, name in enumerate(class_names) if not str(name).strip()]
    if blank:
        raise DataError(f"class {blank[0]} has no name", where=where, fix="give each class a name of its own")


def check_class_count(count: int, *, where: str) -> None:
    """Refuse more than `MOST_CLASSES`.

    Raises:
        DataError: there are.
    """
    if count > MOST_CLASSES:
        why = f"more than {MOST_CLASSES:,} are taken to be a mistake"
        raise DataError(f"there would be {count:,} classes", where=where, why=why, fix="mend the labels or the list of classes")


def no_test(name: str, *, where: str, fix: str) -> DataError:
    """The message for a test set that is not there."""
    return DataError(f"{name} has no test set", where=where, why="the final numbers are measured on it", fix=fix)
