from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from darkknowledge.errors import DivergedError, Interrupted
from darkknowledge.model._dropout import Dropout
from darkknowledge.objective import DistillationLoss
from darkknowledge.training import Fitted, Recipe, Student, batched, fit, fit_together, loop
from darkknowledge.training.learner import Learner
from training.small import CLASSES, Answers, CrossEntropy, Notes, mlp, points, same, weights

RECIPE = Recipe(epochs=2, batch_size=7, learning_rate=0.2, warmup=0.5, log_every=3, checkpoint_every=1e9, precision="fp32", device="cpu")
TRAIN, VALIDATION = points(26, noise=0.2), points(15, seed=1)
OWN: list[dict[str, Any]] = [{}, {"ema": 0.8}, {"clip_norm": 0.1}, {"optimizer": "adamw", "learning_rate": 0.01}, {"weight_decay": 0.1}]


def network(seed: int, width: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(2, width), nn.ReLU(), nn.Linear(width, CLASSES))


def students(count: int = batched.MANY, folder: Path | None = None, *, notes: Notes | None = None, accumulate: int = 1) -> list[Student]:
    return [
        Student(
            network(seed=index % 3),
            DistillationLoss(temperature=1.0 + index, alpha=0.6).mixture if index % 4 else CrossEntropy(),
            RECIPE.model_copy(update=OWN[index % len(OWN)] | {"accumulate": accumulate}),
            str(index),
            [notes] if notes and index == 2 else [],
            folder / str(index) if folder else None,
        )
        for index in range(count)
    ]


def train(group: list[Student]) -> list[Any]:
    return fit_together(group, TRAIN, validation=VALIDATION, teacher=Answers(mlp(seed=5)))


@pytest.fixture
def advanced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of networks in each batched step."""
    found: list[int] = []
    usual = batched.Batched.advance
    monkeypatch.setattr(batched.Batched, "advance", lambda self, *given: found.append(len(self.learners)) or usual(self, *given))
    return found


def require_close(one: nn.Module, other: nn.Module) -> None:
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_many_small_networks_computed_as_one_learn_what_each_would_by_itself(accumulate: int, advanced: list[int]) -> None:
    group = students(accumulate=accumulate)
    found = train(group)
    assert advanced == [batched.MANY] * 8
    for each, fitted, reference in zip(group, found, students(accumulate=accumulate), strict=True):
        alone = fit(
            reference.network, reference.objective, TRAIN, reference.recipe, validation=VALIDATION, teacher=Answers(mlp(seed=5))
        )  # fmt: skip
        require_close(each.network, reference.network)
        assert fitted.last.nll == pytest.approx(alone.last.nll if alone.last else None, rel=1e-4)
    assert len(advanced) == 8


def test_a_batched_group_goes_on_to_the_last_bit_after_a_signal(tmp_path: Path, advanced: list[int]) -> None:
    undisturbed = students()
    train(undisturbed)
    with pytest.raises(Interrupted):
        train(students(folder=tmp_path, notes=Notes(lambda done: signal.raise_signal(signal.SIGTERM) if done == 5 else None)))
    state = next((tmp_path / "0").glob("state-*.pt"))
    assert state.stat().st_size < 12_000, "the state of one holds the parameters of all"
    resumed = students(folder=tmp_path)
    train(resumed)
    for one, other in zip(resumed, undisturbed, strict=True):
        assert same(weights(one.network), weights(other.network))


def test_each_network_has_its_own_parameters_again_in_the_end() -> None:
    group = students()
    train(group)
    for each in group:
        for parameter in each.network.parameters():
            assert parameter.untyped_storage().nbytes() == parameter.nbytes


def test_when_one_diverges_the_others_go_on_by_themselves(advanced: list[int]) -> None:
    group = students()
    wild = RECIPE.model_copy(update={"learning_rate": 1e30})
    group[3] = Student(group[3].network, group[3].objective, wild, "3")
    found = train(group)
    assert isinstance(found[3], DivergedError)
    assert sum(isinstance(each, Fitted) for each in found) == batched.MANY - 1
    assert len(advanced) < 8
    reference = students()[5]
    fit(reference.network, reference.objective, TRAIN, reference.recipe, teacher=Answers(mlp(seed=5)))
    require_close(group[5].network, reference.network)


def learners(group: list[Student]) -> list[Learner]:
    return [Learner(each, TRAIN.ids) for each in group]


class Own(nn.Sequential):
    """A class of somebody's own, which might do anything."""


@pytest.mark.parametrize(
    "other", [network(0, width=7), nn.Sequential(nn.Flatten(), nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, CLASSES)), nn.Linear(2, CLASSES)]
)
def test_networks_that_are_not_alike_are_computed_one_by_one(other: nn.Module) -> None:
    group = students()
    assert batched.worth_batching(learners(group))
    group[4] = Student(other, CrossEntropy(), RECIPE)
    assert not batched.worth_batching(learners(group))


@pytest.mark.parametrize("layers", [[nn.Dropout(0.5)], [Dropout(0.5)], [nn.BatchNorm1d(6)], [Own(nn.Linear(6, 6))]])
def test_layers_that_draw_numbers_keep_statistics_or_are_somebodys_own_are_not_batched(layers: list[nn.Module]) -> None:
    def made() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 6), *layers, nn.Linear(6, CLASSES))

    group = [Student(made(), CrossEntropy(), RECIPE) for _ in range(batched.MANY)]
    assert not batched.worth_batching(learners(group))


def test_few_or_large_networks_are_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not batched.worth_batching(learners(students(batched.MANY - 1)))
    group = learners(students())
    weighing = sum(parameter.numel() for parameter in group[0].network.parameters()) * RECIPE.batch_size
    monkeypatch.setattr(batched, "SMALL", weighing)
    assert batched.worth_batching(group)
    monkeypatch.setattr(batched, "SMALL", weighing - 1)
    assert not batched.worth_batching(group)


def test_a_single_run_is_never_batched(advanced: list[int]) -> None:
    fit(network(0), CrossEntropy(), TRAIN, RECIPE)
    assert advanced == []
    assert loop.Batched is batched.Batched
