"""Distillation inside somebody's own ``lightning.Trainer`` (the extra ``trainer``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from darkknowledge.contract import IGNORED, Batch, Objective, Teacher, check_nothing_to_train
from darkknowledge.errors import ResourceError, UsageError
from darkknowledge.training.optimizer import make_optimizer
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.schedule import learning_rate

try:
    import lightning
except ImportError as error:
    raise ResourceError("Lightning is not installed", fix="pip install 'darkknowledge[trainer]'") from error


ROOM = 0.25
"""How far beyond [0, 1] pictures may lie that were resized or jittered without clipping."""


class DistillationModule(lightning.LightningModule):
    """A student with its objective, optimizer and schedule, for a plain ``lightning.Trainer.fit``.

    The teacher is held outside the module tree: it is in no checkpoint, no optimizer, and ``trainer.fit`` cannot put it into training mode.
    ``recipe`` gives the optimizer and the schedule; how long, how precise and on what is the Trainer's business.

    Batches are a `Batch` or pairs ``(inputs, labels)``: inputs (B, …) float in [0, 1], labels (B,) int64, or (B, C) float of mixed pictures. A
    teacher that looks its answers up by id, as a recorded one does, needs a `Batch`. Networks that normalise what they see, as those of
    `darkknowledge.model` do, learn little from pictures in another range, so the first batches of each kind are looked at for them.
    """

    def __init__(self, student: nn.Module, objective: Objective, *, teacher: Teacher | None = None, recipe: Recipe | None = None) -> None:
        super().__init__()
        check_nothing_to_train("the objective", objective)
        self.student = student
        self.objective = objective
        self.recipe = recipe or Recipe()
        self._outside: Sequence[Teacher] = () if teacher is None else (teacher,)
        self._to_look_at = {"training", "validation"} if any(map(_normalises, [student, *getattr(teacher, "networks", ())])) else set()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, C) of the student, at temperature 1."""
        logits: Tensor = self.student(inputs)
        return logits

    def on_fit_start(self) -> None:
        """Move the teacher to where the student is."""
        self._outside = [teacher.to(self.device) for teacher in self._outside]

    def training_step(self, batch: Any, index: int) -> Tensor:
        """The objective of one batch; every term is logged under its name.

        Raises:
            UsageError: the teacher needs ids, and the batch is a pair; or the first inputs lie outside [0, 1].
        """
        if not isinstance(batch, Batch) and any(getattr(teacher, "needs_ids", False) for teacher in self._outside):
            raise _no_ids()
        batch = as_batch(batch)
        self._look_once(batch.inputs, "training")
        answer = self._outside[0](batch) if self._outside else None
        loss = self.objective.loss(self(batch.inputs), answer, batch.labels, epoch=self.global_step / self._clock()[0])
        self.log_dict({f"train/{name}": value for name, value in {"loss": loss.total.detach(), **loss.terms}.items()}, batch_size=len(batch))
        return loss.total

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        """Bring the weights back to where the student wants them, as `fit` does."""
        project = getattr(self.student, "project_", None)
        if project is not None:
            project()

    def validation_step(self, batch: Any, index: int) -> None:
        """Accuracy and negative log-likelihood (nats) over the labelled examples; errors as `training_step`."""
        batch = as_batch(batch)
        self._look_once(batch.inputs, "validation")
        known = batch.labels != IGNORED
        if not (labelled := int(known.sum())):
            return
        logits, labels = self(batch.inputs).float()[known], batch.labels[known]
        scores = {"validation/accuracy": (logits.argmax(-1) == labels).float().mean(), "validation/nll": nn.functional.cross_entropy(logits, labels)}
        self.log_dict(scores, batch_size=labelled, prog_bar=True)

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer, its learning rate set for every step."""
        # In mixed precision the Trainer refuses to clip the gradients of a fused optimizer.
        optimizer = make_optimizer(self.student, self.recipe, fused=False)

        def factor(step: int) -> float:
            per_epoch, epochs = self._clock()
            return learning_rate(self.recipe, epoch=step / per_epoch, epochs=epochs) / self.recipe.learning_rate

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _look_once(self, inputs: Tensor, kind: str) -> None:
        """Only once, because on a device whoever looks has to wait."""
        if kind in self._to_look_at:
            self._to_look_at.remove(kind)
            check_pictures(inputs, where=f"the {kind} batches of the Trainer")

    def _clock(self) -> tuple[float, float]:
        """Optimizer steps in an epoch, and epochs in all; a stream of unknown length counts as one epoch."""
        total, batches = float(self.trainer.estimated_stepping_batches), float(self.trainer.num_training_batches)
        if not 0 < total < math.inf:
            raise UsageError("the Trainer does not say how long it trains", why="the learning rate follows the time", fix="give it max_steps")
        per_epoch = math.ceil(batches / self.trainer.accumulate_grad_batches) if 0 < batches < math.inf else total
        return per_epoch, total / per_epoch


def as_batch(batch: Any) -> Batch:
    """A `Batch` as it is, or one of a pair (inputs, labels); such examples have no ids of their own and get −1."""
    if isinstance(batch, Batch):
        return batch
    inputs, labels = batch
    return Batch(torch.full((len(labels),), -1, dtype=torch.int64, device=labels.device), inputs, labels)


def check_pictures(inputs: Tensor, *, where: str) -> None:
    """Inputs are floating-point numbers in [0, 1], or not far outside.

    Raises:
        UsageError: they are not.
    """
    low, high = (value.item() for value in inputs.aminmax()) if inputs.numel() else (0, 1)
    if not inputs.is_floating_point() or not -ROOM <= low <= high <= 1 + ROOM:
        raise UsageError(
            f"the inputs are {inputs.dtype} from {low:.4g} to {high:.4g}, and must be floating-point numbers in [0, 1]",
            where=where,
            why="the networks normalise what they see, and nothing else would tell that it is done twice or not to scale",
            fix="divide bytes by 255, and leave transforms.Normalize away",
        )


def _normalises(network: nn.Module) -> bool:
    """Whether it says what it expects to see, as `darkknowledge.model.Network` does: this room does not know that class."""
    return getattr(network, "preprocessing", None) is not None


def _no_ids() -> UsageError:
    return UsageError(
        "a pair (inputs, labels) does not say which examples these are",
        where="the batches of the Trainer",
        why="this teacher looks its answers up by the examples' ids, and would give those of other pictures",
        fix="let the loader yield darkknowledge.contract.Batch objects, as the batches() of the examples does, or use the network as the teacher",
    )
