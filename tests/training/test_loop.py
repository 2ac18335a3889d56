from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkknowledge.contract import IGNORED, Loss
from darkknowledge.errors import DataError, DivergedError
from darkknowledge.objective import DistillationLoss
from darkknowledge.teacher import Frozen
from darkknowledge.training import Recipe, fit
from darkknowledge.training.randomness import order
from darkknowledge.training.validation import Score
from training.small import CLASSES, Answers, Bounded, CrossEntropy, Notes, Points, mlp, points, same, weights

PLAIN = Recipe(epochs=2, batch_size=8, learning_rate=0.1, warmup=0, precision="fp32", device="cpu")


def accuracy_and_nll(network: nn.Module, examples: Points) -> tuple[float, float]:
    network.eval()
    with torch.no_grad():
        log_p = network(examples.inputs).log_softmax(-1)
    right = log_p.argmax(-1) == examples.labels
    return right.float().mean().item(), -log_p.gather(1, examples.labels[:, None]).mean().item()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_weights_are_those_of_a_bare_loop(optimizer: str) -> None:
    recipe = PLAIN.model_copy(update={"optimizer": optimizer, "epochs": 3, "weight_decay": 0.01, "momentum": 0.8, "seed": 11, "clip_norm": 0.4})
    train, network, bare = points(30), mlp(), mlp()
    fit(network, CrossEntropy(), train, recipe)

    matrices, biases = ([p for p in bare.parameters() if (p.ndim == 2) == wanted] for wanted in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}]
    if optimizer == "sgd":
        reference: Any = torch.optim.SGD(groups, lr=0.1, momentum=0.8, nesterov=True)
    else:
        reference = torch.optim.AdamW(groups, lr=0.1, betas=(0.8, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=12)
    for epoch in range(3):
        for rows in order(30, seed=11, epoch=epoch).split(8):
            reference.zero_grad()
            F.cross_entropy(bare(train.inputs[rows]), train.labels[rows]).backward()
            nn.utils.clip_grad_norm_(bare.parameters(), 0.4)
            reference.step()
            schedule.step()
    for name, tensor in bare.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, rtol=1e-6, atol=1e-6)


def partly_labelled(count: int) -> Points:
    """The first half without labels, so that the pieces of a batch have unequal numbers of them."""
    found = points(count)
    labels = torch.where(torch.arange(count) % 5 < 3, IGNORED, found.labels)
    return Points(found.inputs, labels)


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize("pieces", [2, 3, 8, 100])
@pytest.mark.parametrize("distilled", [False, True])
def test_a_batch_in_pieces_is_the_whole_batch(distilled: bool, pieces: int, clip_norm: float | None) -> None:
    recipe = PLAIN.model_copy(update={"clip_norm": clip_norm})
    found, losses = [], []
    for accumulate in (1, pieces):
        network, notes = mlp(), Notes()
        objective: Any = DistillationLoss(temperature=4, alpha=0.3).mixture if distilled else CrossEntropy()
        teacher = Answers(mlp(seed=3)) if distilled else None
        fit(
            network,
            objective,
            partly_labelled(21),
            recipe.model_copy(update={"accumulate": accumulate}),
            teacher=teacher,
            watchers=[notes],
        )
        found.append(network)
        losses.append([record.values for record in notes.records])
    for one, other in zip(*(network.parameters() for network in found), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    for one, other in zip(*losses, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


def test_the_logged_terms_are_the_means_over_the_steps() -> None:
    train, teacher, notes, network = points(20), mlp(seed=3), Notes(), mlp()
    before: list[dict[str, Tensor]] = [weights(network)]
    notes.after_step = lambda done: before.append(weights(network))
    fit(
        network,
        DistillationLoss(temperature=4, alpha=0.3).mixture,
        train,
        PLAIN.model_copy(update={"log_every": 2}),
        teacher=Answers(teacher),
        watchers=[notes],
    )
    hard, soft = [], []
    for step in range(6):
        rows = order(20, seed=0, epoch=step // 3)[8 * (step % 3) :][:8]
        student = mlp()
        student.load_state_dict(before[step])
        with torch.no_grad():
            z, v = student(train.inputs[rows]).double(), teacher(train.inputs[rows]).double()
        p = (v / 4).softmax(-1)
        soft.append(0.3 * 16 * (p * (p.log() - (z / 4).log_softmax(-1))).sum(-1).mean().item())
        hard.append(0.7 * F.cross_entropy(z, train.labels[rows]).item())
    assert [record.step for record in notes.of("step")] == [2, 4, 6]
    assert [record.step for record in notes.of("epoch")] == [3, 6]
    for record, begin in [*zip(notes.of("step"), (0, 2, 4), strict=True), *zip(notes.of("epoch"), (0, 3), strict=True)]:
        steps = slice(begin, record.step)
        expected = {"soft": sum(soft[steps]), "hard": sum(hard[steps]), "loss": sum(soft[steps]) + sum(hard[steps])}
        count = record.step - begin
        assert {name: record.values[name] for name in expected} == pytest.approx({name: value / count for name, value in expected.items()}, rel=1e-4)
        assert record.epoch == record.step / 3
        assert 0 < record.values["learning_rate"] <= 0.1


def test_the_network_ends_with_the_averaged_weights_and_they_are_validated() -> None:
    network, notes, validation, trajectory = mlp(dropout=0.2, norm=True), Notes(), points(40, seed=2), []
    notes.after_step = lambda done: trajectory.append(weights(network))
    fitted = fit(network, CrossEntropy(), points(32), PLAIN.model_copy(update={"ema": 0.9}), validation=validation, watchers=[notes])
    average = {name: tensor.double() for name, tensor in trajectory[0].items()}
    scores = []
    for step, state in enumerate(trajectory, start=1):
        if step > 1:
            average = {name: 0.9 * tensor + 0.1 * state[name] for name, tensor in average.items()}
        if step in (4, 8):
            averaged = mlp(norm=True)
            averaged.load_state_dict({name: tensor.to(state[name].dtype) for name, tensor in average.items()})
            scores.append(accuracy_and_nll(averaged, validation))
    for name, tensor in average.items():
        if tensor.ndim:  # a counter of batches is no weight
            torch.testing.assert_close(network.state_dict()[name].double(), tensor, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(network[0].weight, trajectory[-1]["0.weight"])
    for record, score in zip(notes.of("epoch"), scores, strict=True):
        assert (record.values["validation_accuracy"], record.values["validation_nll"]) == pytest.approx(score, rel=1e-5)
    assert fitted.last is not None
    assert (fitted.last.accuracy, fitted.last.nll) == pytest.approx(scores[-1], rel=1e-5)


def test_a_bound_on_the_weights_holds_after_every_step() -> None:
    network, largest = Bounded(), []
    notes = Notes(lambda done: largest.append(max(layer.weight.norm(dim=1).max().item() for layer in (network.body[0], network.body[-1]))))
    fit(network, CrossEntropy(), points(32), PLAIN.model_copy(update={"learning_rate": 1.0}), watchers=[notes])
    assert len(largest) == 8
    assert max(largest) == pytest.approx(0.9, abs=1e-5)


def test_the_teacher_sees_the_very_tensors_that_the_student_sees() -> None:
    network, teacher, shown = mlp(), Answers(mlp(seed=3)), []
    network[0].register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]) if module.training else None)
    fit(
        network,
        DistillationLoss().mixture,
        points(20, noise=0.5),
        PLAIN.model_copy(update={"accumulate": 2}),
        validation=points(9),
        teacher=teacher,
    )
    assert len(shown) == len(teacher.shown) == 12
    assert all(one.data_ptr() == other.data_ptr() and torch.equal(one, other) for one, other in zip(shown, teacher.shown, strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_teacher_is_bit_identical_after_training_and_never_optimised(tmp_path: Path, precision: str) -> None:
    network = mlp(seed=3, dropout=0.5, norm=True)
    before = weights(network)
    student, checkpoint = mlp(), tmp_path / "checkpoint"
    recipe = PLAIN.model_copy(update={"precision": precision, "checkpoint_every": 0.0, "weight_decay": 0.1})
    fit(student, DistillationLoss().mixture, points(20), recipe, teacher=Frozen(network, ("a", "b", "c")), checkpoint=checkpoint)
    assert same(weights(network), before)
    assert all(parameter.grad is None for parameter in network.parameters())
    *_, newest = sorted(checkpoint.glob("*.pt"))
    state = torch.load(newest, weights_only=True)
    assert sum(len(group["params"]) for group in state["optimizer"]["param_groups"]) == len(list(student.parameters()))
    assert state["network"].keys() == student.state_dict().keys()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_in_bfloat16_the_objective_and_the_weights_stay_float32(optimizer: str) -> None:
    network, objective, inside = mlp(), CrossEntropy(), []
    network[0].register_forward_hook(lambda module, inputs, output: inside.append(output.dtype))
    fitted = fit(network, objective, points(20), PLAIN.model_copy(update={"precision": "bf16", "optimizer": optimizer}))
    assert fitted.precision == "bf16"
    assert set(inside) == {torch.bfloat16}
    assert {dtype for dtype, _ in objective.seen} == {torch.float32}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_the_objective_hears_the_time_in_epochs() -> None:
    objective = CrossEntropy()
    fit(mlp(), objective, points(20), PLAIN)
    assert [epoch for _, epoch in objective.seen] == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])


class Spoiled(CrossEntropy):
    """Its loss is no number from some step on."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.step, self.value = step, value

    def loss(self, student: Tensor, *others: Any, **named: Any) -> Loss:
        found = super().loss(student, *others, **named)
        return found if len(self.seen) < self.step else Loss(found.total + self.value, {"hard": found.total.detach() + self.value})


@pytest.mark.parametrize("step", [1, 4, 6])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run(step: int, value: float) -> None:
    notes = Notes()
    with pytest.raises(DivergedError, match="no longer finite after step") as diverged:
        fit(mlp(), Spoiled(step, value), points(20), PLAIN, validation=points(9), watchers=[notes])
    assert diverged.value.exit_code == 6
    assert [record.step for record in notes.records] == [3][: (step - 1) // 3]
    assert notes.ended == 1


def test_weights_that_the_last_step_ruins_end_the_run() -> None:
    """The loss of the last step is still finite, and nothing is validated after it."""

    def ruin(done: int) -> None:
        if done == 6:
            with torch.no_grad():
                network[0].weight[0, 0] = math.inf

    network = mlp()
    with pytest.raises(DivergedError):
        fit(network, CrossEntropy(), points(20), PLAIN, watchers=[Notes(ruin)])


def test_a_validation_that_is_no_number_is_recorded_nowhere() -> None:
    notes, network = Notes(), mlp()

    def ruin(done: int) -> None:
        with torch.no_grad():
            network[0].weight.fill_(math.nan)

    notes.after_step = ruin
    with pytest.raises(DivergedError, match="validation_nll nan"):
        fit(network, CrossEntropy(), points(8), PLAIN, validation=points(9), watchers=[notes])
    assert notes.records == []


ASKS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "__len__")
"""What makes Python wait for a value on the device; ``__len__`` does not and shows that the count works."""


@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch, accumulate: int) -> None:
    asked: dict[str, int] = {}

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(Tensor, name)

        def method(self: Tensor, *arguments: Any, **named: Any) -> Any:
            asked[name] = asked.get(name, 0) + 1
            return original(self, *arguments, **named)

        return method

    for name in ASKS:
        monkeypatch.setattr(Tensor, name, counted(name))
    assert bool(torch.ones(()))
    assert float(torch.ones(()))
    assert asked == {"__bool__": 1, "__float__": 1}
    found = []
    for steps in (5, 25):
        asked.clear()
        recipe = PLAIN.model_copy(update={"epochs": 1, "clip_norm": 0.5, "accumulate": accumulate})
        fit(Bounded(), CrossEntropy(), points(8 * steps), recipe, validation=points(9), teacher=Answers(mlp()))
        assert asked.pop("__len__") > steps
        found.append(dict(asked))
    assert found[0] == found[1]
    assert found[0]["tolist"] == 2, "one for the record of the epoch, one for its validation"


@pytest.mark.parametrize("seed", range(3))
def test_the_best_epoch_is_kept(seed: int) -> None:
    validation, notes = points(12, seed=seed + 50), Notes()
    recipe = PLAIN.model_copy(update={"epochs": 12, "learning_rate": 0.8, "seed": seed})
    network = mlp(seed=seed)
    fitted = fit(network, CrossEntropy(), points(20, seed=seed), recipe, validation=validation, watchers=[notes])
    scores = [(record.values["validation_accuracy"], -record.values["validation_nll"]) for record in notes.of("epoch")]
    best = max(range(12), key=lambda epoch: scores[epoch])
    assert fitted.best_epoch == best + 1
    assert fitted.best == Score(scores[best][0], -scores[best][1])
    assert fitted.last == Score(scores[-1][0], -scores[-1][1])
    assert accuracy_and_nll(network, validation) == pytest.approx((fitted.last.accuracy, fitted.last.nll))
    assert fitted.best_weights is not None
    network.load_state_dict(dict(fitted.best_weights))
    assert accuracy_and_nll(network, validation) == pytest.approx((fitted.best.accuracy, fitted.best.nll))


def test_of_equally_accurate_epochs_the_one_with_the_lower_nll_is_better_and_of_equals_the_first() -> None:
    assert Score(0.9, 2.0).better_than(Score(0.8, 0.1))
    assert Score(0.9, 0.1).better_than(Score(0.9, 0.2))
    assert not Score(0.9, 0.2).better_than(Score(0.9, 0.2))
    assert Score(0.0, 9.0).better_than(None)


@pytest.mark.parametrize("validation", [None, points(0)], ids=["none", "empty"])
def test_training_needs_no_validation(validation: Points | None) -> None:
    notes = Notes()
    fitted = fit(mlp(), CrossEntropy(), points(20), PLAIN, validation=validation, watchers=[notes])
    assert (fitted.last, fitted.best, fitted.best_epoch, fitted.best_weights) == (None, None, None, None)
    assert not any(name.startswith("validation") for record in notes.records for name in record.values)


def test_validation_leaves_out_the_unlabelled_and_counts_a_ragged_batch_once() -> None:
    """1030 examples make a full batch of 1024 and one of 6."""
    examples = points(1030)
    hidden = Points(examples.inputs, torch.where(torch.arange(1030) < 500, IGNORED, examples.labels))
    rest = Points(examples.inputs[500:], examples.labels[500:])
    network = mlp()
    fitted = fit(network, CrossEntropy(), points(20), PLAIN, validation=hidden)
    assert fitted.last is not None
    assert (fitted.last.accuracy, fitted.last.nll) == pytest.approx(accuracy_and_nll(network, rest), rel=1e-5)


@pytest.mark.parametrize(("count", "batch_size", "per_epoch"), [(1, 8, 1), (5, 8, 1), (8, 8, 1), (9, 8, 2), (17, 8, 3), (3, 1, 3)])
def test_every_example_is_seen_once_an_epoch(count: int, batch_size: int, per_epoch: int) -> None:
    teacher = Answers(mlp())
    recipe = PLAIN.model_copy(update={"batch_size": batch_size, "accumulate": 3})
    fitted = fit(mlp(), DistillationLoss().mixture, points(count), recipe, teacher=teacher)
    assert fitted.steps == 2 * per_epoch
    shown = torch.cat(teacher.shown)
    for epoch in (shown[:count], shown[count:]):
        torch.testing.assert_close(epoch.sort(0).values, points(count).inputs.sort(0).values)


def test_every_epoch_shows_a_view_of_its_own_and_validation_the_plain_pictures() -> None:
    asked: list[int | None] = []
    fit(mlp(), CrossEntropy(), points(20, asked=asked.append), PLAIN, validation=points(9, asked=asked.append))
    assert asked == [0, None, 1, None]


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(DataError, match="the training split is empty"):
        fit(mlp(), CrossEntropy(), points(0), PLAIN)


def test_a_cap_on_the_steps_shortens_the_schedule() -> None:
    notes, validation = Notes(), points(9)
    recipe = PLAIN.model_copy(update={"epochs": 10, "steps": 5, "log_every": 1})
    fitted = fit(mlp(), CrossEntropy(), points(20), recipe, validation=validation, watchers=[notes])
    assert fitted.steps == 5
    assert (notes.plans[0].steps, notes.plans[0].epochs) == (5, 2)
    rates = [record.values["learning_rate"] for record in notes.of("step")]
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 5)) for step in range(5)])
    assert [record.step for record in notes.of("epoch")] == [3, 5]
    assert all("validation_accuracy" in record.values for record in notes.of("epoch"))


def test_a_cap_beyond_the_end_changes_nothing() -> None:
    found = []
    for steps in (None, 1000):
        network = mlp()
        fitted = fit(network, CrossEntropy(), points(20), PLAIN.model_copy(update={"steps": steps}))
        found.append((fitted.steps, weights(network)))
    assert same(*found)


def test_dropout_and_order_follow_from_the_recipe_seed_alone() -> None:
    def trained(seed: int, *, stir: int) -> dict[str, Tensor]:
        network = mlp(dropout=0.5)
        torch.manual_seed(stir)
        fit(network, CrossEntropy(), points(20), PLAIN.model_copy(update={"seed": seed}))
        return weights(network)

    first = trained(1, stir=0)
    assert same(first, trained(1, stir=99))
    assert not same(first, trained(2, stir=0))


def test_all_watchers_end_also_when_one_cannot_begin() -> None:
    class Broken(Notes):
        def begin(self, plan: Any) -> None:
            raise OSError("no")

    before, after = Notes(), Notes()
    with pytest.raises(OSError, match="no"):
        fit(mlp(), CrossEntropy(), points(20), PLAIN, watchers=[before, Broken(), after])
    assert all(len(notes.plans) == notes.ended for notes in (before, after))
    assert after.ended == 1


def test_watchers_hear_of_every_step_and_may_be_many() -> None:
    some = [Notes(), Notes()]
    fit(mlp(), CrossEntropy(), points(20), PLAIN, watchers=some, name="mine")
    for notes in some:
        assert notes.steps == [1, 2, 3, 4, 5, 6]
        assert notes.plans[0].name == "mine"


def test_the_network_is_handed_back_ready_to_answer() -> None:
    network = mlp(dropout=0.5, norm=True)
    fit(network, CrossEntropy(), points(20), PLAIN)
    assert not network.training
    assert type(network) is nn.Sequential
    assert network(torch.zeros(1, 2)).shape == (1, CLASSES)
