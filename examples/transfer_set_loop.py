"""Record a teacher once as a transfer set, and distill in a training loop of your own with an ordinary ``DataLoader``.

A teacher knows the handwritten digits. It is asked about four mixtures (mixup) of each of 1,297 pictures, of which one in ten is labelled; its
answers are kept in a folder. A small student then learns from that folder. Run it with ``python examples/transfer_set_loop.py``; it takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from darkknowledge import DistillationLoss, Frozen, record
from darkknowledge.contract import IGNORED, Batch, Examples
from darkknowledge.data import load
from darkknowledge.transfer import TransferDataset

EPOCHS = 20


def everything(examples: Examples) -> Batch:
    """A whole split in one batch: inputs (N, 1, 8, 8) in [0, 1] and labels (N,)."""
    return next(examples.batches(torch.arange(len(examples)), batch_size=len(examples), views=None))


def network(width: int) -> nn.Module:
    """Logits (B, 10) of pictures (B, 1, 8, 8)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def train(model: nn.Module, epoch: Callable[[int], Iterable[tuple[Tensor, ...]]], loss: Callable[..., Tensor], *, epochs: int = EPOCHS) -> None:
    """Adam with a rate that falls to 0; ``epoch`` gives the batches of an epoch, whose first part is the inputs."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for number in range(epochs):
        for inputs, *targets in epoch(number):
            optimizer.zero_grad()
            loss(model(inputs), *targets).backward()
            optimizer.step()
        schedule.step()


def batches(inputs: Tensor, labels: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Shuffled batches of labelled pictures."""
    rows = torch.randperm(len(inputs)).split(64)
    return ((inputs[part], labels[part]) for part in rows)


def main() -> dict[str, float]:
    """Train the three networks; print and return their accuracy on the test pictures."""
    torch.manual_seed(0)
    labelled = everything(load("digits", validation=0).train)
    data = load("digits", validation=0, labelled=0.1, mix="mixup")
    some, test = everything(data.train), everything(data.open_test())
    known = some.labels != IGNORED
    teacher, alone, distilled = network(256), network(16), network(16)
    distilled.load_state_dict(alone.state_dict())  # the same start for both students

    train(teacher, lambda number: batches(labelled.inputs, labelled.labels), F.cross_entropy)
    train(alone, lambda number: batches(some.inputs[known], some.labels[known]), F.cross_entropy, epochs=130)

    with TemporaryDirectory() as folder:
        transfer_set = record(Frozen(teacher, data.class_names), data, Path(folder) / "set", views=4, progress=False)
        assert transfer_set is not None, "an undivided recording is complete"
        pictures = TransferDataset(transfer_set, data.train)
        loader = DataLoader(pictures, batch_size=64, shuffle=True)

        def epoch(number: int) -> DataLoader[tuple[Tensor, Tensor, Tensor]]:
            pictures.set_epoch(number)  # each picture shows its next view
            return loader

        loss = DistillationLoss(temperature=4.0, alpha=0.9)
        train(distilled, epoch, lambda logits, labels, answers: loss(logits, answers, labels))

    models = {"teacher": teacher, "student alone": alone, "student distilled": distilled}
    result = {name: (model(test.inputs).argmax(-1) == test.labels).float().mean().item() for name, model in models.items()}
    for name, accuracy in result.items():
        print(f"{name:18} test accuracy {accuracy:.1%}")
    return result


if __name__ == "__main__":
    main()
