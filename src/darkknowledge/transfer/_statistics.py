"""What a shard's rows look like in a few numbers, so that a set can be judged without reading it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.transfer._identity import Identity
from darkknowledge.transfer._layout import whole
from darkknowledge.transfer._output import answer_of, weights_of
from darkknowledge.transfer._shard import Columns
from darkknowledge.transfer.codec import Codec
from darkknowledge.transfer.codec.topk import TopK

CHUNK = 1 << 22
"""Logits that are decoded at once, 16 MiB of float32."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of ``rows`` rows: how many are ``labelled`` and among them ``correct`` (the averaged answer's first class is the label); how many are ``flat``
    (all stored logits of a member equal) and the key of the first; the ``lowest`` and ``highest`` stored logit; for each declared temperature of a
    top-k set the mean ``captured`` share.
    """

    rows: int
    labelled: int
    correct: int
    flat: int
    first_flat: int | None
    lowest: float
    highest: float
    captured: tuple[float, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {**asdict(self), "captured": None if self.captured is None else list(self.captured)}

    @classmethod
    def from_dict(cls, values: Any, codec: Codec) -> Statistics:
        """What `to_dict` put into a file about rows of this codec.

        Raises:
            KeyError, TypeError, ValueError: it is nothing such.
        """
        if set(values) != {field.name for field in fields(cls)}:
            raise ValueError(f"the fields of its statistics are {sorted(values)}")
        rows, labelled, correct, flat = (whole(values, name) for name in ("rows", "labelled", "correct", "flat"))
        first_flat = None if values["first_flat"] is None else whole(values, "first_flat")
        lowest, highest, captured = (values[name] for name in ("lowest", "highest", "captured"))
        if not correct <= labelled <= rows or flat > rows or rows < 1 or (first_flat is None) != (flat == 0):
            raise ValueError(f"its statistics count {correct} of {labelled} of {rows} rows, and {flat} flat ones")
        if not _are_floats([lowest, highest]) or lowest > highest:
            raise ValueError(f"its statistics have logits from {lowest!r} to {highest!r}")
        if (captured is None) != (codec.temperatures is None):
            raise ValueError(f"its statistics have captured={captured!r} for codec={codec.name}")
        if captured is not None and (not _are_floats(captured) or len(captured) != len(codec.temperatures or ())):
            raise ValueError(f"its statistics have captured={captured!r} for temperatures {codec.temperatures}")
        return cls(rows, labelled, correct, flat, first_flat, lowest, highest, None if captured is None else tuple(captured))

    def close_to(self, other: Statistics) -> bool:
        """Whether both describe the same rows; means may differ in the last digits between processors."""
        ours, theirs = self.captured or (), other.captured or ()
        alike = len(ours) == len(theirs) and all(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(ours, theirs, strict=True))
        return alike and {**asdict(self), "captured": None} == {**asdict(other), "captured": None}


def _are_floats(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is float and math.isfinite(value) for value in values)


def statistics_of(columns: Columns, identity: Identity) -> Statistics:
    """The statistics of a shard's rows."""
    return merged([_of(*chunk, identity) for chunk in chunks(columns, identity)])


def chunks(columns: Columns, identity: Identity) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Keys (R,), labels (R,) and answers (R, W) in pieces that are small when decoded."""
    step = max(1, CHUNK // (identity.members * identity.codec.classes))
    for start in range(0, len(columns), step):
        part = slice(start, start + step)
        yield tuple(torch.from_numpy(column[part].copy()) for column in (columns.keys, columns.labels, columns.answers))  # type: ignore[misc]


def merged(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of all parts together, which are given in the order of their keys."""
    rows = sum(part.rows for part in parts)
    captured = None
    if parts[0].captured is not None:
        columns = zip(*([part.rows * mean for mean in part.captured or ()] for part in parts), strict=True)
        captured = tuple(math.fsum(column) / rows for column in columns)
    return Statistics(
        rows=rows,
        labelled=sum(part.labelled for part in parts),
        correct=sum(part.correct for part in parts),
        flat=sum(part.flat for part in parts),
        first_flat=next((part.first_flat for part in parts if part.first_flat is not None), None),
        lowest=min(part.lowest for part in parts),
        highest=max(part.highest for part in parts),
        captured=captured,
    )


def _of(keys: Tensor, labels: Tensor, answers: Tensor, identity: Identity) -> Statistics:
    codec = identity.codec
    low, high = (part.view(-1, identity.members) for part in codec.extremes(answers.view(-1, codec.width)))
    flat = (low == high).any(-1)
    known = labels != IGNORED
    temperature = codec.temperatures[0] if codec.temperatures else 1.0
    first = answer_of(answers, identity, weights_of(identity)).logits(temperature).argmax(-1)
    return Statistics(
        rows=len(keys),
        labelled=int(known.sum()),
        correct=int((first == labels)[known].sum()),
        flat=int(flat.sum()),
        first_flat=int(keys[flat][0]) if flat.any() else None,
        lowest=float(low.min()),
        highest=float(high.max()),
        captured=captured_of(answers, identity),
    )


def captured_of(answers: Tensor, identity: Identity) -> tuple[float, ...] | None:
    """The mean share of the stored classes at each declared temperature, over rows and (by their weights) members; None for a dense codec."""
    codec = identity.codec
    if not isinstance(codec, TopK):
        return None
    weights = weights_of(identity).double()
    shares = (codec.captured(answers.view(-1, codec.width), temperature) for temperature in codec.temperatures)
    return tuple(float((share.double().view(-1, identity.members) @ weights).mean()) for share in shares)
