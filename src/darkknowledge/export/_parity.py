"""Whether a file computes what the network computes that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.errors import IntegrityError

TOLERANCE = 1e-5
"""The greatest difference of a logit, as a share of the largest one: a few hundred roundings of float32."""

Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Parity:
    """A file beside its network, on ``examples`` pictures: their logits (N, classes), and what follows from them."""

    reference: Tensor
    found: Tensor

    @property
    def examples(self) -> int:
        """Pictures that both were asked about."""
        return len(self.reference)

    @property
    def difference(self) -> float:
        """The greatest difference of a logit as a share of the network's largest logit; infinite where the file's are not finite."""
        if not self.found.isfinite().all():
            return float("inf")
        return float((self.found - self.reference).abs().max() / self.reference.abs().max().clamp(min=torch.finfo().tiny))

    @property
    def same_class(self) -> int:
        """Pictures to which both give the same class."""
        return int((self.found.argmax(1) == self.reference.argmax(1)).sum())

    def check(self, name: str) -> None:
        """Refuse a file whose logits differ by more than `TOLERANCE`, or whose classes differ for a single picture.

        Raises:
            IntegrityError: it does; the message calls it ``name``.
        """
        if self.difference > TOLERANCE or self.same_class != self.examples:
            raise IntegrityError(
                f"{name} does not compute what the network computes",
                why=f"on {self.examples:,} test pictures its logits differ by up to {self.difference:.1e} of the largest one, where {TOLERANCE:g} "
                f"may be rounding, and {self.examples - self.same_class:,} pictures get another class",
                fix="nothing was kept: export another format",
            )


@torch.no_grad()
def compare(network: Logits, files: Mapping[str, Logits], batches: Iterable[Tensor]) -> dict[str, Parity]:
    """Ask the network and every file about the same pictures, each decoded once, the ragged last batch included."""
    asked = {"": network, **files}
    answers: dict[str, list[Tensor]] = {name: [] for name in asked}
    for inputs in batches:
        for name, logits in asked.items():
            answers[name].append(logits(inputs).float())
    reference = torch.cat(answers[""])
    return {name: Parity(reference, torch.cat(answers[name])) for name in files}
