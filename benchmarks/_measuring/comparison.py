"""Variants side by side: seconds, ratios, memory, and whether the machine was quiet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks._measuring.memory import peak_of_tensors
from benchmarks._measuring.noise import REFERENCE, Noise, sort
from benchmarks._measuring.ratios import KINDS, Ratio, as_json, ratio
from benchmarks._measuring.timing import REPEATS, Seconds, Work, calls_for, rounds

LEAST = 0.02
"""Seconds that a variant computes in a round at least: a short one is called more than once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was timed: ``seconds`` of a call for every variant, round by round; ``to`` names the variants that the others are compared with."""

    seconds: Mapping[str, Sequence[Seconds]]
    to: tuple[str, ...]
    noise: Noise
    calls: Mapping[str, int]
    memory: Mapping[str, int] = field(default_factory=dict)
    """The most extra bytes of tensors at once."""
    unit: tuple[str, int] = ("MB", 1_000_000)
    """What memory is shown in: a name and its bytes."""

    def ratio(self, name: str, other: str) -> dict[str, Ratio]:
        """Processor and wall time of one variant to another's."""
        return ratio(self.seconds[name], self.seconds[other])

    def ratios(self) -> dict[str, dict[str, dict[str, Ratio]]]:
        """To each of ``to``, for every other variant."""
        return {other: {name: self.ratio(name, other) for name in self.seconds if name != other} for other in self.to}

    def middle(self, name: str) -> Seconds:
        """Median seconds of a call."""
        return Seconds(*np.median(np.array(self.seconds[name]), axis=0).tolist())

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        shown = {name: {kind: [_rounded(each[i]) for each in found] for i, kind in enumerate(KINDS)} for name, found in self.seconds.items()}
        return {
            "rounds": len(next(iter(self.seconds.values()))),
            "noise": {**asdict(self.noise), "quiet": not self.noise.reasons},
            "ratio to": {other: {name: as_json(found) for name, found in rows.items()} for other, rows in self.ratios().items()},
            **(
                {"peak extra memory": {"unit": self.unit[0], **{name: round(size / self.unit[1], 3) for name, size in self.memory.items()}}}
                if self.memory
                else {}
            ),
            "calls in a round": dict(self.calls),
            "seconds of a call": shown,
        }

    def table(self, title: str) -> Table:
        """A row for each variant: median milliseconds, ratios with their intervals, memory."""
        table = Table("", *(f"{kind} ms" for kind in KINDS), title=title, title_justify="left")
        for other in self.to:
            for kind in KINDS:
                table.add_column(f"{kind} / {other}", justify="right")
        if self.memory:
            table.add_column(f"memory, {self.unit[0]}", justify="right")
        for name in self.seconds:
            table.add_row(name, *self._cells(name))
        return table

    def _cells(self, name: str) -> list[str]:
        cells = [f"{1000 * value:.4g}" for value in self.middle(name)]
        for other in self.to:
            cells += [""] * len(KINDS) if name == other else [str(self.ratio(name, other)[kind]) for kind in KINDS]
        if self.memory:
            cells.append(f"{self.memory[name] / self.unit[1]:.2f}" if name in self.memory else "")
        return cells


def compare(
    variants: Mapping[str, Work],
    *,
    to: str | Sequence[str],
    repeats: int = REPEATS,
    memory: bool = False,
    unit: tuple[str, int] = ("MB", 1_000_000),
    least: float = LEAST,
    device: str = "cpu",
    settle: Work | None = None,
) -> Comparison:
    """Time the variants in turns, with the fixed work of `noise` among them; names in ``to`` that are no variant (a peer is missing) are left out.

    Args:
        variants: what is timed, by name. Each is called twice before the first round.
        to: the variants that the others are compared with.
        memory: also measure the peak extra memory of tensors, shown in ``unit`` (name, bytes).
        least: seconds that a variant computes in a round; one that takes less is called more often.
        settle: waits for the accelerator, such as ``torch.cuda.synchronize``.
    """
    calls = {name: calls_for(work, least=least, settle=settle) for name, work in variants.items()}
    found = rounds({**variants, REFERENCE: sort}, repeats=repeats, calls={**calls, REFERENCE: 1}, settle=settle)
    noise = Noise.of(found.pop(REFERENCE))
    peaks = {name: peak_of_tensors(work, device=device) for name, work in variants.items()} if memory else {}
    chosen = tuple(name for name in ((to,) if isinstance(to, str) else to) if name in variants)
    return Comparison(found, chosen, noise, calls, peaks, unit)


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.5g}")
