"""The two numbers that training looks at between epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from darkknowledge.contract import IGNORED, Examples
from darkknowledge.training.signals import StopRequest


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy in [0, 1] and mean negative log-likelihood in nats, over the labelled examples."""

    accuracy: float
    nll: float

    def better_than(self, other: Score | None) -> bool:
        """More accurate, or as accurate and with the lower negative log-likelihood."""
        return other is None or (self.accuracy, -self.nll) > (other.accuracy, -other.nll)


@torch.no_grad()
def validate(
    networks: Sequence[Callable[[Tensor], Tensor]], examples: Examples, *, device: torch.device, batch_size: int, stop: StopRequest
) -> list[Score] | None:
    """Score each of ``networks`` (inputs → logits) on the plain pictures of a split, which are read once; None where a signal came meanwhile."""
    correct, nll = torch.zeros(2, len(networks), device=device)
    count = torch.zeros((), device=device)
    for batch in examples.batches(torch.arange(len(examples)), batch_size=batch_size, views=None):
        if stop.signal is not None:
            return None
        batch = batch.to(device)
        for index, network in enumerate(networks):
            logits = network(batch.inputs).float()
            correct[index] += (logits.argmax(-1) == batch.labels).sum()
            nll[index] += F.cross_entropy(logits, batch.labels, ignore_index=IGNORED, reduction="sum")
        count += (batch.labels != IGNORED).sum()
    scores = torch.stack([correct / count, nll / count]).T.tolist()
    return [Score(accuracy=accuracy, nll=mean) for accuracy, mean in scores]
