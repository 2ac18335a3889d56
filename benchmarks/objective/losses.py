"""The loss of distillation as different people write it: functions of student logits (B, C), teacher logits (B, C) and labels (B,).

All of them are ``0.9 · T² · KL(teacher ‖ student) + 0.1 · cross-entropy``, the mean over the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from benchmarks._measuring import Run
from torch import Tensor, nn

from darkknowledge import DistillationLoss

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
ALPHA = 0.9
OURS, EAGER = "ours, compiled", "ours, eager"
TEXTBOOK, COMPILED = "textbook", "torch.compile"


def textbook(student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """The expression that people paste, corrected: T², the mean over the batch and not over its classes, no logarithm of a softmax."""
    log_q, log_p = F.log_softmax(student / temperature, dim=-1), F.log_softmax(teacher / temperature, dim=-1)
    soft = F.kl_div(log_q, log_p, log_target=True, reduction="batchmean") * temperature**2
    return ALPHA * soft + (1 - ALPHA) * F.cross_entropy(student, labels)


class Given(nn.Module):
    """A network whose logits are there already."""

    num_classes, in_chans = 0, 3
    pretrained_cfg: dict[str, Any] = {"mean": (0.0,), "std": (1.0,)}  # noqa: RUF012 - timm reads it from the class or the object alike

    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.empty(0)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        return self.logits


def timm_task(temperature: float) -> Loss:
    """What `timm.task.LogitDistillationTask` computes after the two networks' forward passes."""
    from timm.task import LogitDistillationTask

    student, teacher, nothing = Given(), Given(), torch.zeros(1)
    task = LogitDistillationTask(
        student, teacher, nn.CrossEntropyLoss(), distill_loss_weight=ALPHA, task_loss_weight=1 - ALPHA, temperature=temperature, verbose=False
    )

    def loss(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        student.logits, teacher.logits = student_logits, teacher_logits
        return cast(Tensor, task(nothing, labels)["loss"])

    return loss


def torchdistill_loss(temperature: float, module: Any) -> Loss:
    """`torchdistill.losses.mid_level.KDLoss`, fed as its box would."""
    logging.getLogger("torchdistill").setLevel(logging.WARNING)
    criterion = module.KDLoss("net", "output", "net", "output", temperature=temperature, alpha=1 - ALPHA)
    return lambda student, teacher, labels: criterion({"net": {"output": student}}, {"net": {"output": teacher}}, labels)


def liger_loss(temperature: float, criterion: nn.Module) -> Loss:
    """One of Liger's divergences, which take logarithms of probabilities, with PyTorch's cross-entropy (Liger's own overwrites the logits)."""

    def loss(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        soft: Tensor = criterion(F.log_softmax(student / temperature, dim=-1), F.log_softmax(teacher / temperature, dim=-1))
        return ALPHA * temperature**2 * soft + (1 - ALPHA) * F.cross_entropy(student, labels)

    return loss


def losses(run: Run, *, temperature: float = 4.0, device: str = "cpu") -> dict[str, Loss]:
    """All that can be had here, by name."""
    found: dict[str, Loss] = {
        TEXTBOOK: partial(textbook, temperature=temperature),
        COMPILED: torch.compile(partial(textbook, temperature=temperature)),
        OURS: DistillationLoss(temperature, ALPHA, compile="on"),
        EAGER: DistillationLoss(temperature, ALPHA, compile="off"),
        "timm": timm_task(temperature),
    }
    if (module := run.peer("torchdistill.losses.mid_level", package="torchdistill")) is not None:
        found["torchdistill"] = torchdistill_loss(temperature, module)
    return found if device == "cpu" else {**found, **liger(run, temperature)}


def liger(run: Run, temperature: float) -> dict[str, Loss]:
    """Liger's two; they are written for GPUs."""
    module = run.peer("liger_kernel.transformers", package="liger-kernel")
    if module is None:
        return {}
    criteria = {"Liger KL": module.LigerKLDIVLoss(reduction="batchmean", log_target=True), "Liger JSD": module.LigerJSD(beta=0.0)}
    return {name: liger_loss(temperature, criterion) for name, criterion in criteria.items()}
