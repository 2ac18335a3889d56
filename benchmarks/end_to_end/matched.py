"""The program of somebody who knows how: pictures on the device as uint8, whole batches shifted at once, bfloat16 where it pays, a live teacher.

python -m benchmarks.end_to_end.matched --data DATA --teacher TEACHER/model/model.safetensors --out OUT
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from benchmarks.end_to_end.textbook import BATCH, MEAN, STD, STUDENT, VALIDATION, load_run, loss, mlp, optimizing, options, save
from torch import Tensor, nn
from torchvision.datasets import MNIST

from darkknowledge.training.precision import has_bfloat16

SHIFT = 2
AUTOCAST = has_bfloat16("cpu")


def main() -> None:
    """Train and save the students, one after the other."""
    torch.set_num_threads(1)
    chosen = options()
    source = MNIST(str(chosen.data), train=True)
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    train, validation = ((source.data[rows], source.targets[rows]) for rows in (order[VALIDATION:], order[:VALIDATION]))
    teacher = load_run(chosen.teacher)
    for number, temperature in enumerate(chosen.temperatures):
        torch.manual_seed(number)
        student = fit(mlp(STUDENT), teacher, train, validation, epochs=chosen.epochs, temperature=temperature, jitter=chosen.jitter)
        save(student, chosen.out, temperature)


def fit(
    student: nn.Module, teacher: nn.Module, train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor],
    *, epochs: int, temperature: float, jitter: bool,
) -> nn.Module:  # fmt: skip
    """The loop."""
    images, labels = train
    padded = F.pad(images, (SHIFT, SHIFT, SHIFT, SHIFT)) if jitter else images
    optimizer, schedule = optimizing(student, epochs=epochs, steps=-(-len(images) // BATCH))
    for epoch in range(epochs):
        student.train()
        for rows in torch.randperm(len(images)).split(BATCH):
            inputs = normalised(shifted(padded, rows) if jitter else images[rows])
            with torch.autocast("cpu", torch.bfloat16, enabled=AUTOCAST):
                with torch.no_grad():
                    answer = teacher(inputs)
                logits = student(inputs)
            value = loss(logits.float(), answer.float(), labels[rows], temperature)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
        print(f"T={temperature:g} epoch {epoch + 1}: {accuracy(student, *validation):.4f}", flush=True)
    return student


def shifted(padded: Tensor, rows: Tensor) -> Tensor:
    """Pictures (B, 28, 28) of ``padded`` (N, 32, 32), each moved by at most two pixels each way, what comes in being black."""
    size = padded.shape[-1] - 2 * SHIFT
    down, right = torch.randint(0, 2 * SHIFT + 1, (2, len(rows), 1))
    along = torch.arange(size)
    return padded[rows[:, None, None], (down + along)[:, :, None], (right + along)[:, None, :]]


def normalised(pictures: Tensor) -> Tensor:
    """(B, 28, 28) uint8 as the networks want it."""
    return (pictures.float() / 255 - MEAN) / STD


@torch.no_grad()
def accuracy(student: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of the pictures that are told right."""
    student.eval()
    with torch.autocast("cpu", torch.bfloat16, enabled=AUTOCAST):
        return (student(normalised(images)).argmax(1) == labels).float().mean().item()


if __name__ == "__main__":
    main()
