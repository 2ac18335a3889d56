"""The key of a row: one number for an example and its view."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from darkknowledge.errors import DataError, UsageError

Numbers: TypeAlias = Tensor | NDArray[np.int64] | Sequence[int]
NAMED = 5
"""Examples that a message names before it stops."""


def keys_of(ids: Numbers, views: Numbers | None, *, per_example: int) -> NDArray[np.int64]:
    """The keys (N,) of ``views`` (N,) of the examples ``ids`` (N,): id · V + view, with V views ``per_example``. None stands for view 0 of each.

    Raises:
        UsageError: they are no whole numbers, differ in number, an id is negative or too large, or a view is not in [0, V).

    >>> keys_of([3, 4], [0, 1], per_example=2)
    array([6, 9])
    """
    examples = _whole(ids, "ids")
    if len(examples) and not 0 <= examples.min() <= examples.max() <= (1 << 63) // per_example - 1:
        raise UsageError("an example's id is negative or too large", where=f"ids from {examples.min()} to {examples.max()}", fix="give ids from 0")
    if views is None:
        return examples * per_example
    numbers = _whole(views, "views")
    if numbers.shape != examples.shape:
        raise UsageError(f"{len(examples)} ids and {len(numbers)} views", fix="give one view for each id")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < per_example:
        what = f"views from {numbers.min()} to {numbers.max()}, and there are {per_example} for each example"
        raise UsageError(what, fix=f"give views from 0 to {per_example - 1}")
    return examples * per_example + numbers


def keys_digest(*parts: NDArray[np.int64]) -> str:
    """Hexadecimal SHA-256 of keys as little-endian int64, one part after the other."""
    state = hashlib.sha256()
    for part in parts:
        state.update(np.ascontiguousarray(part).data)
    return state.hexdigest()


def missing(keys: NDArray[np.int64], wanted: int, *, per_example: int, where: str) -> DataError:
    """The message for ``keys`` that a set of rows lacks, among ``wanted`` ones."""
    named = ", ".join(f"{key // per_example}" + (f" view {key % per_example}" if per_example > 1 else "") for key in keys[:NAMED].tolist())
    return DataError(
        f"{len(keys):,} of {wanted:,} rows are not in the transfer set: id {named}{' …' if len(keys) > NAMED else ''}",
        where=where,
        why="a student can't learn from an answer that was never recorded",
        fix="record a set for this data and these views, or use the examples that the set holds (its ids)",
    )


def _whole(values: Numbers, name: str) -> NDArray[np.int64]:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=None if len(values) else np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"{name} are {array.dtype} of shape {array.shape}", fix=f"give the {name} as a list of whole numbers")
    return array.astype(np.int64, copy=False)
