"""Numbers that are no longer finite, and what a finite loss hides."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkknowledge.contract import Batch, Loss, Output
from darkknowledge.errors import DivergedError, Interrupted
from darkknowledge.training import Fitted, Recipe, Student, fit, fit_together
from training.small import Answers, CrossEntropy, Notes, mlp, points, same, weights

RECIPE = Recipe(epochs=3, batch_size=4, learning_rate=0.05, log_every=4, checkpoint_every=1e9, precision="fp32", device="cpu", warmup=0.0)
TRAIN = points(40)
"""Ten steps an epoch."""
STEP = 6
"""The step that goes wrong, so that the record after step 8 finds it."""


class Wrong(torch.autograd.Function):
    """The identity, with a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, gradient: float) -> Tensor:
        ctx.gradient = gradient
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return torch.full_like(gradients[0], ctx.gradient), None


class Hiding(CrossEntropy):
    """Its loss is always finite, and the gradient of one step is another."""

    def __init__(self, gradient: float, *, pieces: int = 1) -> None:
        super().__init__()
        self.gradient, self.pieces = gradient, pieces

    def loss(self, student: Tensor, teacher: Any, labels: Tensor, *, epoch: float, counts: Any = None) -> Loss:
        here = len(self.seen) // self.pieces == STEP - 1
        # What is no number in the weights shows in no loss.
        student = torch.nan_to_num(student, 0.0, 1.0, -1.0)
        found = super().loss(Wrong.apply(student, self.gradient) if here else student, teacher, labels, epoch=epoch, counts=counts)
        assert found.total.isfinite()
        return found


CASES = {
    "no number": (math.nan, {}),
    "infinite": (math.inf, {}),
    "no number, clipped": (math.nan, {"clip_norm": 1.0}),
    "infinite, clipped": (math.inf, {"clip_norm": 1.0}),
    "a norm that overflows is clipped to nothing": (1e30, {"clip_norm": 1.0}),
    "a square that overflows stops its weight": (1e30, {"optimizer": "adamw"}),
    "no number, adamw, averaged": (math.nan, {"optimizer": "adamw", "ema": 0.9}),
    "no number, in pieces": (math.nan, {"accumulate": 2}),
    "no number, bfloat16": (math.nan, {"precision": "bf16"}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_that_is_no_number_is_found_with_the_next_record(case: str, tmp_path: Path) -> None:
    gradient, own = CASES[case]
    recipe = RECIPE.model_copy(update=own)
    notes = Notes()
    with pytest.raises(DivergedError, match=r"numbers are no longer finite after step 8: .*largest") as diverged:
        fit(mlp(), Hiding(gradient, pieces=recipe.accumulate), TRAIN, recipe, watchers=[notes], checkpoint=tmp_path / "state")
    assert (diverged.value.exit_code, diverged.value.found["step"]) == (6, 8)
    assert [record.step for record in notes.records] == [4]


def test_gradients_that_are_large_and_finite_are_nobodys_business() -> None:
    assert fit(mlp(), Hiding(1e6), TRAIN, RECIPE.model_copy(update={"clip_norm": 1.0})).steps == 30


class Seen(Answers):
    """A teacher that notes whom it was asked about."""

    def __init__(self) -> None:
        super().__init__(mlp(seed=5))
        self.ids: list[list[int]] = []

    def __call__(self, batch: Batch) -> Output:
        self.ids.append(batch.ids.tolist())
        return super().__call__(batch)


@pytest.mark.parametrize(("log_every", "expected"), [(4, range(5, 9)), (7, range(1, 8)), (1, range(6, 7)), (100, range(1, 11))])
def test_the_examples_of_the_steps_since_all_was_finite_are_named(log_every: int, expected: range) -> None:
    teacher, recipe = Seen(), RECIPE.model_copy(update={"log_every": log_every})
    with pytest.raises(DivergedError) as diverged:
        fit(mlp(), Hiding(math.nan), TRAIN, recipe, teacher=teacher)
    found = diverged.value.found
    assert [batch["step"] for batch in found["batches"]] == list(expected)
    assert [batch["ids"] for batch in found["batches"]] == [teacher.ids[step - 1] for step in expected]
    assert set(found["values"]) == {"largest weight", "largest moment"}
    assert json.loads(json.dumps(found)) == found


def test_after_an_epoch_that_was_begun_in_another_process_the_same_examples_are_named(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    eager = RECIPE.model_copy(update={"checkpoint_every": 0.0})
    with pytest.raises(KeyboardInterrupt):
        fit(mlp(), CrossEntropy(), TRAIN, eager, watchers=[Notes(stop)], checkpoint=tmp_path / "state")
    later = Hiding(math.nan)
    later.seen = [(torch.float32, 0.0)] * 4
    teacher = Seen()
    with pytest.raises(DivergedError, match="after step 8") as diverged:
        fit(mlp(), later, TRAIN, RECIPE, teacher=teacher, checkpoint=tmp_path / "state")
    assert [batch["ids"] for batch in diverged.value.found["batches"]] == teacher.ids
    assert [batch["step"] for batch in diverged.value.found["batches"]] == [5, 6, 7, 8]


def numbers(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else []
    return [tensor for part in parts for tensor in numbers(part)]


def saved(folder: Path) -> list[Any]:
    states = [torch.load(path, weights_only=True) for path in sorted(folder.glob("state-*.pt"))]
    assert all(tensor.isfinite().all() for state in states for tensor in numbers(state))
    return [state["step"] for state in states]


@pytest.mark.parametrize("case", CASES)
def test_a_state_that_is_not_finite_is_never_saved_and_the_last_good_one_is_named(case: str, tmp_path: Path) -> None:
    gradient, own = CASES[case]
    recipe = RECIPE.model_copy(update={"checkpoint_every": 0.0, "log_every": 100, **own})
    with pytest.raises(DivergedError, match=f"after step {STEP}") as diverged:
        fit(mlp(), Hiding(gradient, pieces=recipe.accumulate), TRAIN, recipe, checkpoint=tmp_path / "state")
    assert f"the state of step {STEP - 1} is kept in {tmp_path / 'state'}: resume=true resume_changes=[training.learning_rate]" in diverged.value.fix
    assert saved(tmp_path / "state")[-1] == STEP - 1


class Overflowing(CrossEntropy):
    """A term that overflows once, in a step whose gradient is finite all the same."""

    def loss(self, student: Tensor, *others: Any, **named: Any) -> Loss:
        found = super().loss(student, *others, **named)
        return Loss(found.total, {"hard": found.total.detach() + (math.inf if len(self.seen) == STEP else 0.0)})


def test_a_mean_that_is_not_finite_is_not_saved_either(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"checkpoint_every": 0.0})
    with pytest.raises(DivergedError, match=f"after step {STEP}: hard inf"):
        fit(mlp(), Overflowing(), TRAIN, recipe, checkpoint=tmp_path / "state")
    assert saved(tmp_path / "state")[-1] == STEP - 1


def test_a_signal_does_not_save_a_state_that_is_not_finite(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == STEP:
            signal.raise_signal(signal.SIGTERM)

    def student(index: int) -> Student:
        objective = Hiding(math.nan) if index == 1 else CrossEntropy()
        return Student(mlp(seed=index), objective, RECIPE, str(index), [Notes(stop)] if index == 0 else [], tmp_path / str(index))

    with pytest.raises(Interrupted, match="the states of 2 students are saved"):
        fit_together([student(index) for index in range(3)], TRAIN)
    assert [saved(tmp_path / str(index)) for index in range(3)] == [[STEP], [], [STEP]]


def ruin(network: nn.Module, at: int) -> Callable[[int], None]:
    def act(done: int) -> None:
        if done == at:
            with torch.no_grad():
                next(network.parameters())[0, 0] = math.nan

    return act


@pytest.mark.parametrize("count", [3, 12])
def test_in_a_group_the_one_that_diverged_is_told_and_the_others_go_on(count: int) -> None:
    """One by one, and computed as one."""
    networks = [mlp(seed=index) for index in range(count)]
    recipe = RECIPE.model_copy(update={"clip_norm": 1.0})
    group = [
        Student(network, CrossEntropy(), recipe, str(index), [Notes(ruin(network, STEP))] if index == 1 else [])
        for index, network in enumerate(networks)
    ]
    outcomes = fit_together(group, TRAIN)
    assert [isinstance(outcome, Fitted) for outcome in outcomes] == [index != 1 for index in range(count)]
    assert isinstance(outcomes[1], DivergedError)
    assert [len(batch["ids"]) for batch in outcomes[1].found["batches"]] == [4] * 4
    others = [Student(mlp(seed=index), CrossEntropy(), recipe, str(index), []) for index in range(count) if index != 1]
    fit_together(others, TRAIN)
    assert all(same(weights(each.network), weights(group[int(each.name)].network)) for each in others)


class Masked(nn.Module):
    """With a buffer that is infinite from the beginning, as masks of attention are, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp()
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.register_buffer("running", torch.zeros(2))

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.body(inputs)
        return logits


def test_what_was_infinite_from_the_beginning_may_be() -> None:
    network = Masked()
    assert fit(network, CrossEntropy(), TRAIN, RECIPE).steps == 30

    def spoil(done: int) -> None:
        if done == STEP:
            network.running[0] = math.inf

    with pytest.raises(DivergedError, match="after step 8: largest weight inf"):
        fit(network, CrossEntropy(), TRAIN, RECIPE, watchers=[Notes(spoil)])
