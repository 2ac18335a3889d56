"""The training loop, on Lightning Fabric: read it from `fit` down.

Fabric brings device, precision and process group; what is done in which order stands here. The order of the examples, their views, dropout and the
learning rate are functions of the seed and the step, so a run that was stopped anywhere goes on as if it had not been.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from darkknowledge.contract import Batch, Examples, Loss, Objective, Teacher
from darkknowledge.errors import DataError, DivergedError, Interrupted
from darkknowledge.training.checkpoint import load_state, save_state
from darkknowledge.training.means import Means
from darkknowledge.training.optimizer import make_optimizer
from darkknowledge.training.passes import Passes
from darkknowledge.training.precision import resolve_device, resolve_precision
from darkknowledge.training.randomness import seed_step
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.schedule import learning_rate
from darkknowledge.training.signals import StopRequest, stop_request
from darkknowledge.training.validation import Score, validate
from darkknowledge.training.watching import Plan, Record, Watcher


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training leaves: the weights of the last epoch in the network itself, those of the best validation score beside it."""

    steps: int
    last: Score | None
    best: Score | None
    best_epoch: int | None
    best_weights: Mapping[str, Tensor] | None
    device: str
    precision: str


def fit(
    network: nn.Module,
    objective: Objective,
    train: Examples,
    recipe: Recipe,
    *,
    validation: Examples | None = None,
    teacher: Teacher | None = None,
    name: str = "training",
    watchers: Sequence[Watcher] = (),
    checkpoint: Path | None = None,
) -> Fitted:
    """Train ``network`` in place, from the state in the folder ``checkpoint`` where there is one.

    With ``recipe.ema`` the network ends with the averaged weights.

    Raises:
        DataError: there is nothing to train on.
        DivergedError: the loss or a weight is no longer finite; found when a record is made, without waiting for the device at every step.
        Interrupted: SIGINT or SIGTERM came, and the state was saved.
    """
    if not len(train):
        raise DataError("the training split is empty", fix="keep at least one example to train on")
    loop = _Loop(network, objective, train, recipe, validation=validation, teacher=teacher, checkpoint=checkpoint)
    if checkpoint is not None and (state := load_state(checkpoint)) is not None:
        loop.load(state)
    with ExitStack() as begun:
        # Begun from the last to the first, they end from the first to the last.
        for watcher in reversed(watchers):
            watcher.begin(Plan(name, steps=loop.steps, epochs=loop.epochs, done=loop.step, epochs_done=loop.epochs_done))
            begun.callback(watcher.end)
        with stop_request() as stop:
            for record in loop.run(stop, watchers):
                for watcher in watchers:
                    watcher.record(record)
    return loop.result()


class _Loop:
    """The state of one training run and the steps that change it."""

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        train: Examples,
        recipe: Recipe,
        *,
        validation: Examples | None,
        teacher: Teacher | None,
        checkpoint: Path | None,
    ) -> None:
        if recipe.threads is not None:
            torch.set_num_threads(recipe.threads)
        device = resolve_device(recipe.device)
        self.precision = resolve_precision(recipe, device)
        self.fabric = _quiet_fabric(device, self.precision)
        self.network, self.objective, self.train, self.validation, self.recipe = network, objective, train, validation, recipe
        self.teacher = teacher.to(self.fabric.device) if teacher is not None else None
        # Convolutions are faster this way round, and other layers don't notice.
        network.to(memory_format=torch.channels_last)
        self.model, self.optimizer = self.fabric.setup(network, make_optimizer(network, recipe))
        self.average = _moving_average(network, recipe.ema) if recipe.ema else None
        self.passes = Passes(train.ids, recipe)
        self.per_epoch, self.steps, self.epochs = self.passes.per_epoch, self.passes.steps, self.passes.epochs
        self.step = self.epochs_done = 0
        self.window, self.whole = Means(), Means()
        self.last: Score | None = None
        self.best: Score | None = None
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.checkpoint, self.saved_at = checkpoint, monotonic()

    def run(self, stop: StopRequest, watchers: Sequence[Watcher]) -> Iterator[Record]:
        """Train to the end, yielding the records as they come."""
        while self.epochs_done < self.epochs:
            self.network.train()
            for batch in self.remaining_batches():
                self.advance(batch.to(self.fabric.device))
                for watcher in watchers:
                    watcher.step(self.step)
                if self.step % self.recipe.log_every == 0:
                    yield self.record("step", self.window)
                if stop.signal is not None:
                    break
                self.save_when_due()
            self.stop_if_asked(stop)
            yield self.end_epoch()
            self.stop_if_asked(stop)
            self.save_when_due()

    def remaining_batches(self) -> Iterator[Batch]:
        """The batches of the current epoch that are still to come: none where a signal came with its last one."""
        positions, views = self.passes.epoch(self.epochs_done, begin=self.step - self.epochs_done * self.per_epoch)
        # Whoever writes `Examples` need not think of a pass over nothing.
        return self.train.batches(positions, batch_size=self.recipe.batch_size, views=views) if len(positions) else iter(())

    def advance(self, batch: Batch) -> None:
        """One optimizer step on one batch, computed in ``recipe.accumulate`` pieces."""
        seed_step(self.recipe.seed, self.step, self.fabric.device)
        epoch = self.step / self.per_epoch
        rate = learning_rate(self.recipe, epoch=epoch, epochs=self.steps / self.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        counts = self.objective.counts(batch.labels)
        self.optimizer.zero_grad(set_to_none=True)
        for piece in batch.split(self.recipe.accumulate):
            loss = self.loss(piece, epoch, counts)
            self.fabric.backward(loss.total)
            for means in (self.window, self.whole):
                means.add({"loss": loss.total.detach(), **loss.terms})
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.after_step()

    def loss(self, piece: Batch, epoch: float, counts: Mapping[str, Tensor]) -> Loss:
        """The loss of a piece of a batch; the teacher sees the very same inputs."""
        # In float32 whatever the student's precision, as a recorded teacher answers.
        answer = self.teacher(piece) if self.teacher is not None else None
        return self.objective.loss(self.model(piece.inputs), answer, piece.labels, epoch=epoch, counts=counts)

    def after_step(self) -> None:
        """What follows an optimizer step: the weights' constraint, their average, the count."""
        project = getattr(self.network, "project_", None)
        if project is not None:
            project()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step += 1
        for means in (self.window, self.whole):
            means.steps += 1

    def end_epoch(self) -> Record:
        """Validate, keep the best, and sum the epoch up."""
        self.epochs_done += 1
        values: dict[str, float] = {}
        if self.validation is not None and len(self.validation):
            self.last = self.score(self.validation)
            values = {"validation_accuracy": self.last.accuracy, "validation_nll": self.last.nll}
            if self.last.better_than(self.best):
                self.best, self.best_epoch = self.last, self.epochs_done
                self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in self.averaged.state_dict().items()}
        return self.record("epoch", self.whole, values)

    def score(self, validation: Examples) -> Score:
        """The validation score of the network, or of its average."""
        with self.fabric.autocast():
            return validate(self.averaged.eval(), validation, device=self.fabric.device)

    def record(self, kind: Literal["step", "epoch"], means: Means, values: Mapping[str, float] | None = None) -> Record:
        """Read the means off the device, the only place where the loop waits for it, and start new ones."""
        found = means.take()
        self.require_finite({**found, **(values or {})})
        rate = self.optimizer.param_groups[0]["lr"]
        return Record(kind, self.step, self.step / self.per_epoch, {**found, "learning_rate": rate, **(values or {})})

    def require_finite(self, values: Mapping[str, float]) -> None:
        """Refuse to go on from numbers that are none."""
        if not all(map(math.isfinite, values.values())):
            raise DivergedError(
                f"the loss is no longer finite after step {self.step} ({', '.join(f'{name} {value:g}' for name, value in values.items())})",
                why="every later step would train on it",
                fix="lower training.learning_rate, set training.clip_norm=1, or lengthen training.warmup",
            )

    @property
    def averaged(self) -> nn.Module:
        """The network that counts: the average where one is kept."""
        if self.average is None:
            return self.network
        averaged: nn.Module = self.average.module
        return averaged

    def stop_if_asked(self, stop: StopRequest) -> None:
        """After a signal: save the state and stop."""
        if stop.signal is None:
            return
        kept, fix = "nothing is kept, as there is no run folder", ""
        if self.checkpoint is not None:
            save_state(self.checkpoint, self.state(), name=f"{self.step:08d}-{self.epochs_done:06d}")
            kept, fix = "its state is saved", "the same command goes on with resume=true and out=… naming the run's folder"
        what = f"stopped by signal {stop.signal} after step {self.step} of {self.steps}; {kept}"
        raise Interrupted(what, signal=stop.signal, fix=fix)

    def save_when_due(self) -> None:
        """Save the state when the last one is old enough."""
        if self.checkpoint is not None and monotonic() - self.saved_at >= self.recipe.checkpoint_every:
            save_state(self.checkpoint, self.state(), name=f"{self.step:08d}-{self.epochs_done:06d}")
            self.saved_at = monotonic()

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "step": self.step,
            "epochs_done": self.epochs_done,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "means": [self.window.state(), self.whole.state()],
            "last": asdict(self.last) if self.last else None,
            "best": asdict(self.best) if self.best else None,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to a saved state."""
        self.step, self.epochs_done = state["step"], state["epochs_done"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.window, self.whole = (Means.of(means, self.fabric.device) for means in state["means"])
        self.last = Score(**state["last"]) if state["last"] else None
        self.best = Score(**state["best"]) if state["best"] else None
        self.best_epoch, self.best_weights = state["best_epoch"], state["best_weights"]

    def result(self) -> Fitted:
        """Hand over: the averaged weights go into the network."""
        if self.average is not None:
            self.network.load_state_dict(self.average.module.state_dict())
        self.network.cpu().to(memory_format=torch.contiguous_format).eval()
        # The last step's loss may be finite and its weights not.
        largest = torch.stack([parameter.detach().abs().max() for parameter in self.network.parameters()]).max()
        self.require_finite({"largest weight": largest.item()})
        return Fitted(self.step, self.last, self.best, self.best_epoch, self.best_weights, self.fabric.device.type, self.precision)


def _quiet_fabric(device: str, precision: str) -> Fabric:
    """Fabric on one device; its remarks on what it was asked for are not the user's concern."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return Fabric(accelerator=device, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")


def _moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of parameters and buffers."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]
