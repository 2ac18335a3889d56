"""Distill in a training loop of your own: `DistillationLoss` is a module like any other loss.

A teacher knows the handwritten digits. A small student has 1,297 pictures, of which one in ten is labelled: trained alone it can use only those,
while the teacher's answers tell it something about every picture. Run it with ``python examples/bare_loop.py``; it takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkknowledge import DistillationLoss
from darkknowledge.contract import IGNORED, Batch, Examples
from darkknowledge.data import load


def everything(examples: Examples) -> Batch:
    """A whole split in one batch: inputs (N, 1, 8, 8) in [0, 1] and labels (N,)."""
    return next(examples.batches(torch.arange(len(examples)), batch_size=len(examples), views=None))


def network(width: int) -> nn.Module:
    """Logits (B, 10) of pictures (B, 1, 8, 8)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def train(model: nn.Module, count: int, loss: Callable[[Tensor], Tensor], *, steps: int = 400) -> None:
    """Adam with a rate that falls to 0; ``loss`` is given which of the ``count`` pictures make the batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(torch.randint(count, (64,))).backward()
        optimizer.step()
        schedule.step()


def main() -> dict[str, float]:
    """Train the three networks; print and return their accuracy on the test pictures."""
    torch.manual_seed(0)
    labelled = everything(load("digits", validation=0).train)
    data = load("digits", validation=0, labelled=0.1)
    some, test = everything(data.train), everything(data.open_test())
    known = (some.labels != IGNORED).nonzero()[:, 0]
    teacher, alone, distilled = network(256), network(16), network(16)
    distilled.load_state_dict(alone.state_dict())  # the same start for both students

    train(teacher, len(labelled), lambda rows: F.cross_entropy(teacher(labelled.inputs[rows]), labelled.labels[rows]))
    train(alone, len(known), lambda rows: F.cross_entropy(alone(some.inputs[known[rows]]), some.labels[known[rows]]))

    loss = DistillationLoss(temperature=4.0, alpha=0.9)
    teacher.eval()
    with torch.no_grad():
        answers = teacher(some.inputs)  # raw logits: the loss softens them
    # An unlabelled picture has the label -100 and keeps its soft target.
    train(distilled, len(some), lambda rows: loss(distilled(some.inputs[rows]), answers[rows], some.labels[rows]))

    models = {"teacher": teacher, "student alone": alone, "student distilled": distilled}
    result = {name: (model(test.inputs).argmax(-1) == test.labels).float().mean().item() for name, model in models.items()}
    for name, accuracy in result.items():
        print(f"{name:18} test accuracy {accuracy:.1%}")
    return result


if __name__ == "__main__":
    main()
