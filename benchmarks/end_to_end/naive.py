"""The program that people write first: a picture at a time through torchvision's transforms, float32, the teacher asked at every step.

python -m benchmarks.end_to_end.naive --data DATA --teacher TEACHER/model/model.safetensors --out OUT
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from benchmarks.end_to_end.textbook import BATCH, MEAN, STD, STUDENT, VALIDATION, Options, load_run, loss, mlp, optimizing, options, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import MNIST


def main() -> None:
    """Train and save the students, one after the other."""
    torch.set_num_threads(1)
    chosen = options()
    train, validation = loaders(chosen)
    teacher = load_run(chosen.teacher)
    for number, temperature in enumerate(chosen.temperatures):
        torch.manual_seed(number)
        save(fit(mlp(STUDENT), teacher, train, validation, epochs=chosen.epochs, temperature=temperature), chosen.out, temperature)


def loaders(chosen: Options) -> tuple[DataLoader[tuple[Tensor, Tensor]], DataLoader[tuple[Tensor, Tensor]]]:
    """The training pictures, shifted if that is asked for, and the validation pictures as they are."""
    plain = [transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))]
    shifted = [transforms.RandomCrop(28, padding=2)] if chosen.jitter else []
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0)).tolist()
    train = Subset(MNIST(str(chosen.data), train=True, transform=transforms.Compose([*shifted, *plain])), order[VALIDATION:])
    validation = Subset(MNIST(str(chosen.data), train=True, transform=transforms.Compose(plain)), order[:VALIDATION])
    return DataLoader(train, batch_size=BATCH, shuffle=True), DataLoader(validation, batch_size=1000)


def fit(
    student: nn.Module, teacher: nn.Module, train: DataLoader[tuple[Tensor, Tensor]], validation: DataLoader[tuple[Tensor, Tensor]],
    *, epochs: int, temperature: float,
) -> nn.Module:  # fmt: skip
    """The loop."""
    optimizer, schedule = optimizing(student, epochs=epochs, steps=len(train))
    for epoch in range(epochs):
        student.train()
        for images, labels in train:
            with torch.no_grad():
                answer = teacher(images)
            value = loss(student(images), answer, labels, temperature)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
        print(f"T={temperature:g} epoch {epoch + 1}: {accuracy(student, validation):.4f}", flush=True)
    return student


@torch.no_grad()
def accuracy(student: nn.Module, pictures: Iterator[tuple[Tensor, Tensor]] | DataLoader[tuple[Tensor, Tensor]]) -> float:
    """The share of the pictures that are told right."""
    student.eval()
    right = [(student(images).argmax(1) == labels).float() for images, labels in pictures]
    return torch.cat(right).mean().item()


if __name__ == "__main__":
    main()
