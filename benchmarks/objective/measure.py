"""Loss and gradient of one batch, beside the usual expressions of it.

What is timed is what a training step needs of the objective: the loss, and its gradient with respect to the student's logits, as the network's
backward pass would be handed it. Memory is what that needs on top of the two logits, in tensors of (B, C); the gradient itself is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from benchmarks._measuring import Run, compare
from benchmarks.objective.losses import COMPILED, TEXTBOOK, Loss, losses, textbook
from rich.table import Table
from torch import Tensor

SIZES = ((1024, 1000), (4096, 1000), (512, 32000), (256, 10), (128, 100))
QUICK_SIZES = ((64, 10), (32, 100))
TEMPERATURES = (1.0, 4.0, 20.0)
SCALE = 3.0
"""Standard deviation of the logits: a trained network's are about as large."""


class Logits(NamedTuple):
    """Student logits (B, C) that want a gradient, teacher logits (B, C), labels (B,)."""

    student: Tensor
    teacher: Tensor
    labels: Tensor


def measure(run: Run) -> None:
    """Accuracy and time at every size."""
    torch.set_num_threads(1)
    for batch, classes in QUICK_SIZES if run.quick else SIZES:
        torch.compiler.reset()  # a second shape would be compiled for any shape, which nobody's training loop needs
        made = make_logits(batch, classes)
        works = {name: gradient_of(loss, made) for name, loss in losses(run).items()}
        part = f"{batch} × {classes}"
        run.add(part, compare(works, to=(TEXTBOOK, COMPILED), repeats=run.repeats, memory=True, unit=("(B, C)", 4 * batch * classes)))
        accuracy(run, part, made)


def make_logits(batch: int, classes: int, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Logits:
    """Logits from a normal distribution."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (SCALE * torch.randn(2, batch, classes, generator=generator)).to(device, dtype)
    return Logits(student.requires_grad_(), teacher, torch.randint(classes, (batch,), generator=generator).to(device))


def gradient_of(loss: Loss, logits: Logits) -> Callable[[], tuple[Tensor, Tensor]]:
    """The work that is timed: a function without arguments that gives loss and gradient."""

    def work() -> tuple[Tensor, Tensor]:
        value = loss(*logits)
        return value, torch.autograd.grad(value, logits.student)[0]

    return work


def accuracy(run: Run, part: str, logits: Logits) -> None:
    """How far every variant is from the same expression in float64: the loss relatively, the gradient at most, absolutely."""
    found: dict[str, dict[str, list[float]]] = {}
    for temperature in TEMPERATURES:
        torch.compiler.reset()
        errors = errors_of(losses(run, temperature=temperature), logits, temperature=temperature)
        for name, pair in errors.items():
            found.setdefault(name, {})[f"T = {temperature:g}"] = pair
    run.add(f"{part}, accuracy", {"[loss relative, gradient absolute]": found}, shown=accuracy_table(part, found))


def errors_of(variants: Mapping[str, Loss], logits: Logits, *, temperature: float) -> dict[str, list[float]]:
    """For each variant the relative error of its loss and the largest of its gradient."""
    exact = Logits(logits.student.detach().double().requires_grad_(), logits.teacher.double(), logits.labels)
    true_loss, true_gradient = gradient_of(lambda *each: textbook(*each, temperature=temperature), exact)()
    found = {}
    for name, loss in variants.items():
        value, gradient = gradient_of(loss, logits)()
        errors = (value.double() / true_loss - 1).abs().item(), (gradient.double() - true_gradient).abs().max().item()
        found[name] = [float(f"{error:.2g}") for error in errors]
    return found


def accuracy_table(part: str, found: Mapping[str, Mapping[str, list[float]]]) -> Table:
    """A row for each variant; loss and gradient for each temperature."""
    temperatures = list(next(iter(found.values())))
    title = f"{part}: distance from float64, of the loss (relative) and of the gradient (largest, absolute)"
    table = Table("", *temperatures, title=title, title_justify="left")
    for name, errors in found.items():
        table.add_row(name, *("{:.1e}  {:.1e}".format(*errors[temperature]) for temperature in temperatures))
    return table
