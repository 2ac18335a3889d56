"""One network on its way through training: its state, and what changes it. In which order that happens stands in `darkknowledge.training.loop`."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from darkknowledge.contract import Answer, Batch, Loss, check_nothing_to_train
from darkknowledge.errors import DivergedError, IntegrityError
from darkknowledge.training.checkpoint import load_state, save_state
from darkknowledge.training.compiling import called, compiled
from darkknowledge.training.history import History
from darkknowledge.training.means import Means, read
from darkknowledge.training.memory import out_of_memory
from darkknowledge.training.optimizer import load_moments, make_optimizer
from darkknowledge.training.passes import Passes
from darkknowledge.training.precision import resolve_device, resolve_precision
from darkknowledge.training.randomness import seed_step
from darkknowledge.training.schedule import learning_rate
from darkknowledge.training.student import Fitted, Student
from darkknowledge.training.threads import use_threads
from darkknowledge.training.validation import Score
from darkknowledge.training.watching import Plan, Record


class Learner:
    """The state of one training run and the steps that change it."""

    def __init__(self, student: Student, ids: Tensor) -> None:
        recipe, network = student.recipe, student.network
        check_nothing_to_train("the objective", student.objective)
        use_threads(recipe.threads)
        device = resolve_device(recipe.device)
        self.precision = resolve_precision(recipe, device, weights=sum(parameter.numel() for parameter in network.parameters()))
        self.fabric = _quiet_fabric(device, self.precision)
        self.network, self.objective, self.recipe = network, student.objective, recipe
        self.name, self.watchers, self.checkpoint = student.name, student.watchers, student.checkpoint
        # Convolutions are faster this way round, and other layers don't notice.
        network.to(memory_format=torch.channels_last)
        self.passes = Passes(ids, recipe)
        self.per_epoch, self.steps, self.epochs = self.passes.per_epoch, self.passes.steps, self.passes.epochs
        self.called = called(network, recipe, device, steps=self.steps)
        self.model, self.optimizer = self.fabric.setup(self.called, make_optimizer(network, recipe))
        self.average = _moving_average(network, recipe.ema) if recipe.ema else None
        prepare = getattr(student.objective, "prepare", None)
        if prepare is not None:
            prepare(examples=self.passes.examples, compile=recipe.compile)
        self.step = self.epochs_done = 0
        self.window, self.whole = Means(), Means()
        # A mask may hold -inf from the beginning.
        self.bounded = [name for name, tensor in network.state_dict().items() if tensor.is_floating_point() and tensor.isfinite().all()]
        self.gradient_norm: Tensor | None = None
        self.sound_at = 0
        self.saved: tuple[int, int] | None = None
        self.records: list[Record] = []
        self.last: Score | None = None
        self.best: Score | None = None
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.saved_at = self.began = monotonic()
        self.seconds_before = 0.0
        if self.checkpoint is not None and (state := load_state(self.checkpoint, report=student.report)) is not None:
            self._go_back(state, self.checkpoint)

    @property
    def plan(self) -> Plan:
        """What was done, and what is still to come."""
        return Plan(self.name, steps=self.steps, epochs=self.epochs, done=self.step, epochs_done=self.epochs_done, records=tuple(self.records))

    @property
    def epoch(self) -> float:
        """How far it is, in epochs."""
        return self.step / self.per_epoch

    @property
    def seconds(self) -> float:
        """What the steps took so far, with those before the saved state that it went on from."""
        return self.seconds_before + monotonic() - self.began

    def advance(self, batch: Batch, answered: Sequence[tuple[Batch, Answer | None]]) -> None:
        """One optimizer step on ``batch``, computed in the pieces that were ``answered``.

        Raises:
            DivergedError: a record was due, and its numbers are no longer finite.
        """
        counts = self.begin_step(batch)
        for piece, answer in answered:
            loss = self.objective.loss(self.model(piece.inputs), answer, piece.labels, epoch=self.epoch, counts=counts)
            self.fabric.backward(loss.total)
            self.note(loss)
        self.finish_step()

    def begin_step(self, batch: Batch) -> Mapping[str, Tensor]:
        """What comes before the gradients: generator, learning rate, and the counts that the objective divides by."""
        # Before each network's step, so that its dropout is the same whoever is trained with it.
        seed_step(self.recipe.seed, self.step, self.fabric.device)
        rate = learning_rate(self.recipe, epoch=self.epoch, epochs=self.steps / self.per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        return self.objective.counts(batch.labels)

    def note(self, loss: Loss) -> None:
        """Add a piece's terms to the means."""
        for means in (self.window, self.whole):
            means.add({"loss": loss.total.detach(), **loss.terms})

    def finish_step(self) -> None:
        """What comes after the gradients: the optimizer, and `after_step`."""
        if self.recipe.clip_norm is not None:
            norm = clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
            # An infinite one makes all gradients zero.
            self.gradient_norm = norm if self.gradient_norm is None else torch.maximum(self.gradient_norm, norm)
        self.optimizer.step()
        self.after_step()

    def after_step(self) -> None:
        """What follows an optimizer step: the weights' constraint, their average, the count, the watchers and a record that is due.

        Raises:
            DivergedError: a record was due, and its numbers are no longer finite.
        """
        project = getattr(self.network, "project_", None)
        if project is not None:
            project()
        if self.average is not None:
            self.average.update_parameters(self.network)
        self.step += 1
        for means in (self.window, self.whole):
            means.steps += 1
        for watcher in self.watchers:
            watcher.step(self.step)
        if self.step % self.recipe.log_every == 0:
            self.record("step", self.window)

    def answer(self, inputs: Tensor) -> Tensor:
        """The logits of the network, or of its average, in evaluation."""
        with self.fabric.autocast():
            logits: Tensor = self.averaged(inputs)
        return logits

    def end_epoch(self, score: Score | None) -> None:
        """Keep the best, and sum the epoch up.

        Raises:
            DivergedError: its numbers are no longer finite.
        """
        self.epochs_done += 1
        values: dict[str, float] = {}
        if score is not None:
            self.last = score
            values = {"validation_accuracy": score.accuracy, "validation_nll": score.nll}
            if score.better_than(self.best):
                self.best, self.best_epoch = score, self.epochs_done
                self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in self.averaged.state_dict().items()}
        self.record("epoch", self.whole, values)

    def record(self, kind: Literal["step", "epoch"], means: Means, values: Mapping[str, float] | None = None) -> None:
        """Read the means off the device, the only place where the loop waits for it, tell the watchers, and start new ones."""
        found = read(means.means | self.extremes())
        self.require_finite({**found, **(values or {})})
        found = {name: found[name] for name in means.sums}
        means.clear()
        self.sound_at = self.step
        rate = self.optimizer.param_groups[0]["lr"]
        record = Record(kind, self.step, self.epoch, {**found, "learning_rate": rate, **(values or {})})
        self.records.append(record)
        for watcher in self.watchers:
            watcher.record(record)

    @torch.no_grad()
    def extremes(self) -> dict[str, Tensor]:
        """The largest of the weights, of the optimizer's numbers and of the gradient's norms, where they are; one that is NaN makes its largest NaN.

        The loss alone does not tell: a weight may have no part in the next batch, a moment that is infinite stops its weight, and so does clipping by
        an infinite norm.
        """
        networks = [self.network] if self.average is None else [self.network, self.averaged]
        weights = [state[name] for state in (network.state_dict() for network in networks) for name in self.bounded]
        states = self.optimizer.state_dict()["state"].values()
        moments = [value for state in states for name, value in state.items() if name != "step" and value is not None]
        found = {"largest weight": get_total_norm(weights, math.inf)}
        if moments:
            found["largest moment"] = get_total_norm(moments, math.inf)
        if self.gradient_norm is not None:
            found["largest gradient norm"] = self.gradient_norm
        return found

    def require_finite(self, values: Mapping[str, float]) -> None:
        """Refuse to go on from numbers that are none."""
        wrong = {name: f"{value:g}" for name, value in values.items() if not math.isfinite(value)}
        if not wrong:
            return
        # At least the last one, which may have passed the look at the steps and not that at the epoch.
        steps = range(min(self.sound_at, self.step - 1), self.step)
        raise DivergedError(
            f"numbers are no longer finite after step {self.step}: {', '.join(f'{name} {value}' for name, value in wrong.items())}",
            why="every later step would train on it",
            fix=f"lower training.learning_rate, set training.clip_norm=1, or lengthen training.warmup{self.kept('training.learning_rate')}",
            found={
                "step": self.step,
                "values": wrong,
                "saved_step": self.saved[0] if self.saved else None,
                "batches": [{"step": step + 1, "ids": self.passes.batch(step).tolist()} for step in steps],
            },
        )

    @property
    def averaged(self) -> nn.Module:
        """The network that counts: the average where one is kept."""
        if self.average is None:
            return self.network
        averaged: nn.Module = self.average.module
        return averaged

    @property
    def due(self) -> bool:
        """Whether the last saved state is old enough for a new one."""
        return self.checkpoint is not None and monotonic() - self.saved_at >= self.recipe.checkpoint_every

    def save(self) -> None:
        """Save the state, where there is a folder for it and it is not there yet.

        Raises:
            DivergedError: its numbers are no longer finite; the state before it is kept.
        """
        if self.checkpoint is not None and self.saved != (self.step, self.epochs_done):
            self.require_finite(read(self.whole.means | self.extremes()))
            save_state(self.checkpoint, self.state(), name=f"{self.step:08d}-{self.epochs_done:06d}")
            self.saved_at, self.saved = monotonic(), (self.step, self.epochs_done)

    def kept(self, setting: str) -> str:
        """What to do with the last saved state where ``setting`` is to be another: the end of a message, empty where there is none."""
        if self.saved is None:
            return ""
        return f"; the state of step {self.saved[0]} is kept in {self.checkpoint}: resume=true resume_changes=[{setting}] goes on from it"

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "step": self.step,
            "epochs_done": self.epochs_done,
            "seconds": self.seconds,
            "network": {name: _by_itself(tensor) for name, tensor in self.network.state_dict().items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else None,
            "means": [self.window.state(), self.whole.state()],
            "records": [asdict(record) for record in self.records],
            "last": asdict(self.last) if self.last else None,
            "best": asdict(self.best) if self.best else None,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def _go_back(self, state: dict[str, Any], folder: Path) -> None:
        """Go back to a state that was saved in a folder.

        Raises:
            IntegrityError: it is none of this training.
        """
        try:
            self._load(state)
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if out_of_memory(error):
                raise
            what = "the training state is none of this network and recipe"
            raise IntegrityError(what, where=str(folder), why=str(error) or type(error).__name__, fix="start the run anew") from error

    def _load(self, state: dict[str, Any]) -> None:
        before = History.of(state)
        self.step, self.epochs_done, self.seconds_before = before.step, before.epochs_done, before.seconds
        begun = min(self.epochs_done * self.per_epoch, self.steps)
        if not begun <= self.step <= min(begun + self.per_epoch, self.steps):
            raise ValueError(f"after {self.epochs_done} epochs it cannot be at step {self.step}")
        self.saved, self.sound_at = (self.step, self.epochs_done), self.step
        self.network.load_state_dict(state["network"])
        load_moments(self.optimizer, state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.window, self.whole = (Means.of(means, self.fabric.device) for means in state["means"])
        self.records, self.last, self.best, self.best_epoch = before.records, before.last, before.best, before.best_epoch
        self.best_weights = state["best_weights"]
        if self.best_weights is not None and _shapes(self.best_weights) != _shapes(self.network.state_dict()):
            raise ValueError("its best weights are those of another network")

    def result(self) -> Fitted:
        """Hand over: the averaged weights go into the network."""
        if self.average is not None:
            self.network.load_state_dict(self.average.module.state_dict())
        self.network.cpu().to(memory_format=torch.contiguous_format).eval()
        return Fitted(
            steps=self.step,
            seconds=self.seconds,
            last=self.last,
            best=self.best,
            best_epoch=self.best_epoch,
            best_weights=self.best_weights,
            device=self.fabric.device.type,
            precision=self.precision,
            compiled=compiled(self.called),
        )


def _by_itself(tensor: Tensor) -> Tensor:
    """The tensor, or its copy where it is part of a larger one, all of which would be saved with it."""
    return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()


def _quiet_fabric(device: str, precision: str) -> Fabric:
    """Fabric on one device; its remarks on what it was asked for are not the user's concern."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return Fabric(accelerator=device, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")


def _moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of parameters and buffers."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}
