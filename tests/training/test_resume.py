from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from darkknowledge.contract import Batch
from darkknowledge.errors import IntegrityError, Interrupted
from darkknowledge.objective import DistillationLoss
from darkknowledge.training import Fitted, Recipe, checkpoint, fit
from darkknowledge.training.checkpoint import read_state, saved_states
from darkknowledge.training.metric_files import MetricFiles
from training.small import Answers, Bounded, Notes, Points, mlp, points, same, weights

RECIPE = Recipe(
    epochs=3, batch_size=7, accumulate=2, learning_rate=0.2, warmup=0.5, weight_decay=1e-3, clip_norm=0.5, ema=0.8, log_every=3, checkpoint_every=1e9
)
TRAIN, VALIDATION = points(26, noise=0.2), points(35, seed=1)
"""Four steps an epoch, the last of them on a ragged batch; three batches of validation."""
STEPS = 12


def signal_after(step: int) -> Callable[[int], None]:
    def act(done: int) -> None:
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    return act


def die_after(step: int) -> Callable[[int], None]:
    """What a crash looks like from inside: nothing is saved any more."""

    def act(done: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    return act


class Run:
    """A run in a folder that can be stopped after a step, and gone on with."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def go(
        self, *, after_step: Callable[[int], None] = lambda done: None, validation: Points = VALIDATION, recipe: Recipe = RECIPE
    ) -> tuple[Fitted, Any]:
        network = Bounded()
        fitted = fit(
            network,
            DistillationLoss(temperature=3, alpha=0.7).mixture,
            TRAIN,
            recipe,
            validation=validation,
            teacher=Answers(mlp(seed=5)),
            watchers=[MetricFiles(self.folder), Notes(after_step)],
            checkpoint=self.folder / "checkpoint",
        )
        return fitted, weights(network)

    def stop(self, step: int) -> Any:
        """Stop after ``step``; the state that was saved."""
        with pytest.raises(Interrupted) as stopped:
            self.go(after_step=signal_after(step))
        assert stopped.value.exit_code == 143
        return self.state()

    def state(self) -> Any:
        return read_state(saved_states(self.folder / "checkpoint")[-1])

    def records(self) -> list[Any]:
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Fitted, Any]:
    run = Run(tmp_path_factory.mktemp("runs") / "undisturbed")
    return run, *run.go()


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_run_stopped_after_any_step_goes_on_as_if_it_had_not_been(step: int, undisturbed: tuple[Run, Fitted, Any], tmp_path: Path) -> None:
    reference, fitted, final = undisturbed
    run = Run(tmp_path / "run")
    assert run.stop(step)["step"] == step
    resumed, resumed_weights = run.go()
    assert same(resumed_weights, final)
    assert run.records() == reference.records()
    assert (resumed.last, resumed.best, resumed.best_epoch) == (fitted.last, fitted.best, fitted.best_epoch)
    assert same(resumed.best_weights, fitted.best_weights)
    assert (run.folder / "metrics.csv").read_text() == (reference.folder / "metrics.csv").read_text()


def test_a_run_stopped_after_every_single_step_walks_the_same_path(undisturbed: tuple[Run, Fitted, Any], tmp_path: Path) -> None:
    reference, _, final = undisturbed
    run = Run(tmp_path / "stopped-at-every-step")
    for step in range(1, STEPS + 1):
        state = run.stop(step)
        direct = Run(tmp_path / f"stopped-at-{step}").stop(step)
        assert state["optimizer"]["state"]
        assert min(found.pop("seconds") for found in (state, direct)) > 0
        assert same(state, direct), f"network, optimizer, average or means differ at step {step}"
    assert same(run.go()[1], final)
    assert run.records() == reference.records()


def test_its_seconds_add_up_over_all_the_times_it_was_gone_on_with_and_pauses_are_not_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clock = Run(tmp_path / "run"), [1000.0]
    for place in ("learner", "loop"):
        monkeypatch.setattr(f"darkknowledge.training.{place}.monotonic", lambda: clock[0])

    def a_second_each(then: Callable[[int], None]) -> Callable[[int], None]:
        def act(done: int) -> None:
            clock[0] += 1
            then(done)

        return act

    for step in (2, 7):
        with pytest.raises(Interrupted):
            run.go(after_step=a_second_each(signal_after(step)))
        assert run.state()["seconds"] == step
        clock[0] += 500
    # What comes between the last saved state and a kill is trained again, and counted once.
    with pytest.raises(KeyboardInterrupt):
        run.go(after_step=a_second_each(die_after(9)))
    fitted, _ = run.go(after_step=a_second_each(lambda done: None))
    assert fitted.seconds == STEPS


class Signalling(Points):
    """A split whose pass number ``passes`` brings a signal with one of its batches."""

    def at(self, passes: int, batch: int) -> Signalling:
        self.__dict__.update(left=passes, batch=batch, read=0)
        return self

    def batches(self, *arguments: Any, **named: Any) -> Iterator[Batch]:
        self.__dict__["left"] -= 1
        for index, batch in enumerate(super().batches(*arguments, **named)):
            if self.__dict__["left"] == 0:
                self.__dict__["read"] += 1
                if index == self.__dict__["batch"]:
                    signal.raise_signal(signal.SIGINT)
            yield batch


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_signal_during_validation_waits_for_no_more_than_a_batch_and_the_run_goes_on_as_if_it_had_not_come(
    batch: int, undisturbed: tuple[Run, Fitted, Any], tmp_path: Path
) -> None:
    reference, fitted, final = undisturbed
    for epoch in (1, 2, 3):
        run = Run(tmp_path / f"epoch-{epoch}")
        validation = Signalling(VALIDATION.inputs, VALIDATION.labels).at(epoch, batch)
        with pytest.raises(Interrupted, match="its state is saved") as stopped:
            run.go(validation=validation)
        assert stopped.value.exit_code == 130
        assert validation.__dict__["read"] == batch + 1
        state = run.state()
        assert (state["step"], state["epochs_done"]) == (4 * epoch, epoch - 1)
        resumed, resumed_weights = run.go()
        assert same(resumed_weights, final)
        assert run.records() == reference.records()
        assert (resumed.last, resumed.best, resumed.best_epoch) == (fitted.last, fitted.best, fitted.best_epoch)
        assert same(resumed.best_weights, fitted.best_weights)


def test_a_state_under_way_when_a_signal_comes_is_written_to_its_end_and_no_second_time(
    undisturbed: tuple[Run, Fitted, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, _, final = undisturbed
    run, save, written = Run(tmp_path / "run"), torch.save, []

    def interrupted(state: Any, file: Any) -> None:
        written.append(state["step"])
        if written == [1, 2, 3]:
            signal.raise_signal(signal.SIGTERM)
        save(state, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", interrupted)
        with pytest.raises(Interrupted, match="after step 3 of 12"):
            run.go(recipe=RECIPE.model_copy(update={"checkpoint_every": 0.0}))
    assert written == [1, 2, 3]
    assert [read_state(path)["step"] for path in saved_states(run.folder / "checkpoint")] == [2, 3]
    assert same(run.go()[1], final)
    assert run.records() == reference.records()


def test_no_validation_pass_comes_between_a_signal_and_the_stop(tmp_path: Path) -> None:
    passes: list[int | None] = []
    with pytest.raises(Interrupted):
        Run(tmp_path / "run").go(after_step=signal_after(4), validation=points(15, seed=1, asked=passes.append))
    assert passes == []


def test_a_kill_after_an_epoch_that_was_resumed_at_its_last_step_leaves_one_record_of_it(
    undisturbed: tuple[Run, Fitted, Any], tmp_path: Path
) -> None:
    """The state at hand was saved before the epoch's record, which is there all the same."""
    reference, _, final = undisturbed
    run = Run(tmp_path / "run")
    run.stop(4)

    with pytest.raises(KeyboardInterrupt):
        run.go(after_step=die_after(5))
    assert [line["kind"] for line in run.records() if line["step"] == 4] == ["epoch"]
    assert run.state()["epochs_done"] == 0
    assert same(run.go()[1], final)
    assert run.records() == reference.records()


def test_a_state_saved_within_an_epoch_is_as_good(undisturbed: tuple[Run, Fitted, Any], tmp_path: Path) -> None:
    reference, _, final = undisturbed
    run = Run(tmp_path / "run")

    with pytest.raises(KeyboardInterrupt):
        run.go(after_step=die_after(7), recipe=RECIPE.model_copy(update={"checkpoint_every": 0.0}))
    assert run.state()["step"] == 6
    assert same(run.go()[1], final)
    assert run.records() == reference.records()


def test_a_crash_while_the_state_after_an_epoch_is_written_leaves_the_one_before_its_end(
    undisturbed: tuple[Run, Fitted, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both belong to the same step."""
    reference, _, final = undisturbed
    run = Run(tmp_path / "run")
    written = checkpoint.write_file_with_digest

    def crash_at_the_end_of_an_epoch(path: Path, writer: Any) -> Path:
        if path.name.endswith("-000001.pt"):
            raise KeyboardInterrupt
        return written(path, writer)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_file_with_digest", crash_at_the_end_of_an_epoch)
        with pytest.raises(KeyboardInterrupt):
            run.go(recipe=RECIPE.model_copy(update={"checkpoint_every": 0.0}))
    assert (run.state()["step"], run.state()["epochs_done"]) == (4, 0)
    assert same(run.go()[1], final)
    assert run.records() == reference.records()


ODD_RECORD = {"kind": "step", "step": 1, "epoch": 1.0, "values": {"loss": 1.0}}
ODD = {
    "seconds": ("long", math.nan, -1.0),
    "step": ("x", 10**9, -3, 0),
    "epochs_done": (10**9, 1.5, 0),
    "records": (3, *([ODD_RECORD | change] for change in ({"epoch": "x"}, {"values": 3}, {"values": {"loss": math.nan}}, {"values": {"loss": "x"}}))),
    "last": ({"accuracy": "x", "nll": 1.0}, {"accuracy": 1.0, "nll": math.nan}, 3),
    "best": ({"accuracy": "x", "nll": 1.0}, 3),
    "best_epoch": ("x", -1),
    "best_weights": (3, {"a": 3}, {}, {"a": torch.zeros(3)}),
    "means": ([], [{"sums": {"loss": torch.zeros(3)}, "steps": 1}] * 2, [{"sums": {"loss": torch.zeros(())}, "steps": "x"}] * 2),
}
"""What no training has ever saved."""


@pytest.mark.parametrize(("part", "value"), [(part, value) for part, values in ODD.items() for value in values])
def test_a_state_of_somebody_else_whose_values_make_no_sense_is_refused(part: str, value: Any, stopped_later: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    state = stopped_later.state()
    assert part in state
    checkpoint.save_state(run.folder / "checkpoint", state | {part: value}, name="1")
    with pytest.raises(IntegrityError, match="the training state is none of this network and recipe"):
        run.go()


@pytest.fixture(scope="module")
def stopped_later(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Stopped in its second epoch."""
    run = Run(tmp_path_factory.mktemp("later") / "run")
    run.stop(8)
    return run


@pytest.mark.parametrize("rate", [None, "x", math.nan, -1.0])
def test_a_rate_that_is_none_is_refused(rate: Any, stopped_later: Run, tmp_path: Path) -> None:
    run, state = Run(tmp_path / "run"), stopped_later.state()
    state["optimizer"]["param_groups"][0]["lr"] = rate
    checkpoint.save_state(run.folder / "checkpoint", state, name="1")
    with pytest.raises(IntegrityError, match="none of this network and recipe"):
        run.go()


def test_moments_of_other_weights_are_refused(stopped_later: Run, tmp_path: Path) -> None:
    run, state = Run(tmp_path / "run"), stopped_later.state()
    state["optimizer"]["state"][0]["momentum_buffer"] = torch.zeros(5, 5)
    checkpoint.save_state(run.folder / "checkpoint", state, name="1")
    with pytest.raises(IntegrityError, match=r"none of this network and recipe[\s\S]*its moments are those of other weights"):
        run.go()


def test_how_the_optimizer_works_is_said_by_the_recipe_and_not_by_the_state(undisturbed: tuple[Run, Fitted, Any], tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    state = run.stop(8)
    for group in state["optimizer"]["param_groups"]:
        group |= {"momentum": "much", "weight_decay": 3.0}
    checkpoint.save_state(run.folder / "checkpoint", state, name="99999999")
    assert same(run.go()[1], undisturbed[2])
