"""The benchmarks by name. Nothing is imported before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``target`` is ``module:function`` below this package, a function of a `Run`; ``record`` is the file of its results, beside it."""

    target: str
    record: str
    about: str

    @property
    def path(self) -> Path:
        """The record."""
        return FOLDER / self.record


TIMED = {
    "objective": Benchmark("objective.measure:measure", "objective/results.json", "loss and gradient beside the usual expressions of it"),
    "step": Benchmark("step.measure:measure", "step/results.json", "a training step beside the student alone and beside live teachers"),
    "end_to_end": Benchmark("end_to_end.measure:measure", "end_to_end/results.json", "five students of one teacher beside programs written by hand"),
    "profile": Benchmark("profile.measure:measure", "profile/results.json", "what a step of each kind spends its time on"),
}
"""Name to what ``python -m benchmarks NAME`` runs."""
