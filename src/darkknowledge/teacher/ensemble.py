"""Several teachers that answer as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from darkknowledge.contract import Average, Batch, Output, Teacher
from darkknowledge.errors import UsageError
from darkknowledge.teacher._pairing import check_pairing


class Ensemble:
    r"""A `Teacher` whose soft target is the weighted mean of its members' soft targets.

    ``average="probability"`` is the arithmetic mean of the members' distributions, each softened by itself; ``"logit"`` is the mean of the logits,
    the normalised geometric mean. ``weights`` are positive, one per member, and scaled to sum to 1; the default is equal weights. A member that is an
    ensemble itself counts with its weight times its own members' weights.

    Raises:
        UsageError: no members, another average, or weights that are not positive, finite and one per member.
        IntegrityError: the members' classes differ in number, name or order.

    Source: Hinton, Vinyals & Dean (2015), section 1: the arithmetic or geometric mean of the individual predictive distributions.
    """

    def __init__(self, members: Sequence[Teacher], *, average: Average = "probability", weights: Sequence[float] | None = None) -> None:
        if not members:
            raise UsageError("an ensemble without members", fix="give at least one teacher")
        if average not in ("probability", "logit"):
            raise UsageError(f"average {average!r} of an ensemble", fix="choose probability (the paper's) or logit")
        for number, member in enumerate(members):
            check_pairing(member.class_names, members[0].class_names, teacher=f"member {number}", student="member 0")
        self._members = tuple(members)
        self._average: Average = average
        self._weights = _normalised([1.0] * len(members) if weights is None else weights, members=len(members))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by index."""
        return self._members[0].class_names

    @property
    def average(self) -> Average:
        """How the members' answers become one."""
        return self._average

    @property
    def weights(self) -> tuple[float, ...]:
        """How much each network counts, in the order of their logits; they sum to 1."""
        pairs = zip(self._weights, self._members, strict=True)
        return tuple(weight * inner for weight, member in pairs for inner in getattr(member, "weights", (1.0,)))

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """The networks of all members that have any: what the ensemble costs is measured on them."""
        return tuple(network for member in self._members for network in getattr(member, "networks", ()))

    @property
    def needs_ids(self) -> bool:
        """Whether one of the members does; see `contract.Teacher`."""
        return any(getattr(member, "needs_ids", False) for member in self._members)

    def __call__(self, batch: Batch) -> Output:
        """The members' logits for a batch, stacked, with their weights.

        Raises:
            UsageError: a member is an ensemble with the other average, so that the mean of all has no name.
        """
        outputs = [Output.of(member(batch)) for member in self._members]
        for number, output in enumerate(outputs):
            if len(output.members) > 1 and output.average != self._average:
                raise UsageError(
                    f"member {number} averages by {output.average}, the ensemble by {self._average}",
                    fix=f"give the members of that ensemble one by one, or make it with average={self._average}",
                )
        logits = torch.cat([output.members for output in outputs])
        return Output(logits, self._flat_weights(outputs), self._average)

    def to(self, device: torch.device | str) -> Ensemble:
        """The same ensemble, its members moved to ``device``."""
        return Ensemble([member.to(device) for member in self._members], average=self._average, weights=self._weights)

    def __repr__(self) -> str:
        weights = ", ".join(f"{weight:.3g}" for weight in self._weights)
        return f"Ensemble({len(self._members)} members, average={self._average}, weights=({weights}))"

    def _flat_weights(self, outputs: Sequence[Output]) -> Tensor:
        return torch.cat([weight * output.weights for weight, output in zip(self._weights, outputs, strict=True)])


def _normalised(weights: Sequence[float], *, members: int) -> tuple[float, ...]:
    if len(weights) != members or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise UsageError(f"weights {list(weights)} for {members} members", fix="give one positive, finite number per member")
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)
