"""The steps that people write or pick, each with a live teacher: by hand, timm's task, torchdistill's box.

Each function makes a `Step` of a `Job`. They are fed by `train`, on the data path that ours has (pictures that lie on the device as uint8, a batch is
a gather), with the same optimizer in one fused kernel, the same learning rates and the same memory format, so that what differs is the way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ALPHA = 0.5
TEMPERATURE = 4.0
RATE = 0.01
MOMENTUM = 0.9

Step = Callable[[Tensor, Tensor], Tensor]
"""Inputs (B, …) and labels (B,) → the loss before the step that it takes."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained: ``images`` (N, C, H, W) uint8, ``labels`` (N,), a student and its teachers, ``steps`` of ``batch_size``."""

    images: Tensor
    labels: Tensor
    student: nn.Module
    teachers: tuple[nn.Module, ...]
    steps: int
    batch_size: int
    precision: str

    def autocast(self) -> torch.autocast:
        """bfloat16 where it is asked for."""
        return torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.precision == "bf16")


class Mean(nn.Module):
    """Several teachers for a library that takes one: logits whose softmax at ``temperature`` is the mean of theirs."""

    def __init__(self, teachers: tuple[nn.Module, ...], temperature: float) -> None:
        super().__init__()
        self.teachers, self.temperature = nn.ModuleList(teachers), temperature

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C)."""
        shares = [F.softmax(teacher(inputs).float() / self.temperature, dim=-1) for teacher in self.teachers]
        return self.temperature * torch.stack(shares).mean(0).log()


def train(make: Callable[[Job], Step], job: Job, seen: Callable[[int], None] | None = None) -> list[Tensor]:
    """The losses of all steps; ``seen`` hears after each how many were taken."""
    job.student.to(memory_format=torch.channels_last)
    for teacher in job.teachers:
        teacher.to(memory_format=torch.channels_last)
    step = make(job)
    losses = []
    for done, (inputs, labels) in enumerate(batches(job), start=1):
        losses.append(step(inputs, labels).detach())
        if seen is not None:
            seen(done)
    return losses


def batches(job: Job) -> Iterator[tuple[Tensor, Tensor]]:
    """As many batches as there are steps, in a new order each epoch."""
    taken = 0
    while True:
        order = torch.randperm(len(job.images), device=job.images.device)
        for rows in order.split(job.batch_size):
            if taken == job.steps:
                return
            taken += 1
            yield job.images[rows].float() / 255, job.labels[rows]


def by_hand(job: Job) -> Step:
    """The loop with the formula of the paper, the divergence computed right."""
    student = job.student.train()
    teachers = [teacher.eval().requires_grad_(False) for teacher in job.teachers]
    advance = optimizing(job)

    def step(inputs: Tensor, labels: Tensor) -> Tensor:
        with job.autocast():
            with torch.no_grad():
                answers = [teacher(inputs).float() for teacher in teachers]
            logits = student(inputs).float()
        target = torch.stack([F.softmax(answer / TEMPERATURE, dim=-1) for answer in answers]).mean(0) if len(answers) > 1 else None
        log_q = F.log_softmax(logits / TEMPERATURE, dim=-1)
        if target is None:
            soft = F.kl_div(log_q, F.log_softmax(answers[0] / TEMPERATURE, dim=-1), reduction="batchmean", log_target=True)
        else:
            soft = F.kl_div(log_q, target, reduction="batchmean")
        return advance(ALPHA * TEMPERATURE**2 * soft + (1 - ALPHA) * F.cross_entropy(logits, labels))

    return step


def timm_task(job: Job) -> Step:
    """Timm's `LogitDistillationTask`, as its train script calls it."""
    from timm.task import DistillationTeacher, LogitDistillationTask

    teacher = one_of(job)
    for network in (job.student, teacher):
        channels = job.images.shape[1]
        network.pretrained_cfg = {"mean": (0.0,) * channels, "std": (1.0,) * channels}  # type: ignore[assignment]  # the networks normalise inside
    weights = {"task_loss_weight": 1 - ALPHA, "temperature": TEMPERATURE}
    task = LogitDistillationTask(job.student, DistillationTeacher(teacher), nn.CrossEntropyLoss(), verbose=False, **weights)
    task.to(job.images.device).train()
    advance = optimizing(job)

    def step(inputs: Tensor, labels: Tensor) -> Tensor:
        with job.autocast():
            loss = task(inputs, labels)["loss"]
        return advance(loss)

    return step


def torchdistill_box(job: Job) -> Step:
    """Torchdistill's `DistillationBox`, driven as its examples do, its configuration as their YAML files spell it."""
    from torchdistill.common.constant import def_logger
    from torchdistill.core.distillation import DistillationBox

    def_logger.setLevel(logging.WARNING)

    teacher = one_of(job).eval()  # the box leaves that to its caller
    box = DistillationBox(teacher, job.student, {}, box_config(job), job.images.device, None, False, 1)
    box.pre_epoch_process(epoch=0)

    def step(inputs: Tensor, labels: Tensor) -> Tensor:
        with job.autocast():
            loss: Tensor = box.forward_process(inputs, labels, None)
        box.post_forward_process(loss=loss)
        return loss

    return step


def box_config(job: Job) -> dict[str, Any]:
    """Student and teacher whole, their outputs taken from the forward pass; the criterion is torchdistill's own for this loss."""
    criterion = {
        "key": "KDLoss",
        "kwargs": {
            "student_module_path": ".",
            "student_module_io": "output",
            "teacher_module_path": ".",
            "teacher_module_io": "output",
            "temperature": TEMPERATURE,
            "alpha": 1 - ALPHA,
            "reduction": "batchmean",
        },
    }
    return {
        "num_epochs": 1,
        "teacher": {"forward_proc": "forward_batch_only", "sequential": [], "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only", "sequential": [], "requires_grad": True},
        "optimizer": {"key": "SGD", "kwargs": {"lr": RATE, "momentum": MOMENTUM, "nesterov": True, "fused": True}},
        "scheduler": {"key": "CosineAnnealingLR", "kwargs": {"T_max": job.steps}, "scheduling_step": 1},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": {"kd": {"criterion": criterion, "weight": 1.0}}}},
    }


def optimizing(job: Job) -> Callable[[Tensor], Tensor]:
    """The function that goes a step down a loss."""
    optimizer = torch.optim.SGD(job.student.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=job.steps)

    def advance(loss: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss

    return advance


def one_of(job: Job) -> nn.Module:
    """The teacher, or all of them as one."""
    return job.teachers[0] if len(job.teachers) == 1 else Mean(job.teachers, TEMPERATURE)


PEERS: dict[str, Callable[[Job], Step]] = {"by hand": by_hand, "timm": timm_task, "torchdistill": torchdistill_box}
