from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from darkknowledge.contract import Batch, Output
from darkknowledge.errors import DivergedError, Interrupted
from darkknowledge.objective import DistillationLoss
from darkknowledge.training import Fitted, Recipe, Student, fit, fit_together
from darkknowledge.training.checkpoint import read_state, saved_states
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.recipe import same_batches
from training.small import Answers, Bounded, CrossEntropy, Notes, Points, mlp, points, same, weights

RECIPE = Recipe(epochs=3, batch_size=7, learning_rate=0.2, warmup=0.5, log_every=3, checkpoint_every=1e9, precision="fp32", device="cpu", seed=4)
TRAIN, VALIDATION = points(26, noise=0.2), points(15, seed=1)
OWN = {
    "plain": {},
    "averaged": {"ema": 0.8, "weight_decay": 1e-3},
    "clipped": {"clip_norm": 0.1, "log_every": 2},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "schedule": "constant"},
    "slower": {"learning_rate": 0.02, "warmup": 0.0},
}
"""Everything that runs on the same batches may have of their own."""
NAMES = [*OWN, "wider", "harder"]


def soft(temperature: float, alpha: float = 0.7) -> Any:
    return DistillationLoss(temperature=temperature, alpha=alpha).mixture


def student(name: str, folder: Path, *, accumulate: int = 1, after_step: Callable[[int], None] = lambda done: None) -> Student:
    """One of several that differ in size, objective and recipe; with dropout, batch normalisation and a bound on the weights."""
    network: nn.Module = mlp(width=20, dropout=0.4) if name == "wider" else Bounded()
    recipe = RECIPE.model_copy(update={**OWN.get(name, {}), "accumulate": accumulate})
    folder.mkdir(parents=True, exist_ok=True)
    watchers = [MetricFiles(folder), Notes(after_step)]
    return Student(network, soft(2.0 + NAMES.index(name)) if name != "harder" else CrossEntropy(), recipe, name, watchers, folder / "checkpoint")


def alone(each: Student) -> Fitted:
    return fit(
        each.network,
        each.objective,
        TRAIN,
        each.recipe,
        validation=VALIDATION,
        teacher=Answers(mlp(seed=5)),
        watchers=each.watchers,
        checkpoint=each.checkpoint,
    )


def together(students: list[Student], *, train: Points = TRAIN, teacher: Any = None) -> list[Fitted | DivergedError]:
    return fit_together(students, train, validation=VALIDATION, teacher=teacher or Answers(mlp(seed=5)))


def records(folder: Path) -> str:
    return (folder / "metrics.jsonl").read_text() + (folder / "metrics.csv").read_text()


def scores(fitted: Any) -> Any:
    return fitted.last, fitted.best, fitted.best_epoch, fitted.steps


@pytest.fixture(scope="module", params=[1, 2])
def apart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path, dict[str, Student], dict[str, Fitted]]:
    """Each student trained by itself, in one and in two pieces of a batch."""
    folder = tmp_path_factory.mktemp("apart")
    students = {name: student(name, folder / name, accumulate=request.param) for name in NAMES}
    return request.param, folder, students, {name: alone(each) for name, each in students.items()}


def require_as_apart(group: dict[str, Student], fitted: list[Any], folder: Path, apart: Any) -> None:
    _, reference_folder, reference, fitted_apart = apart
    for (name, each), found in zip(group.items(), fitted, strict=True):
        assert same(weights(each.network), weights(reference[name].network)), name
        assert same(found.best_weights, fitted_apart[name].best_weights), name
        assert scores(found) == scores(fitted_apart[name])
        assert records(folder / name) == records(reference_folder / name)


def test_each_student_ends_to_the_last_bit_as_it_would_alone(apart: Any, tmp_path: Path) -> None:
    group = {name: student(name, tmp_path / name, accumulate=apart[0]) for name in NAMES}
    require_as_apart(group, together(list(group.values())), tmp_path, apart)
    ends = [weights(each.network) for name, each in group.items() if name != "wider"]
    assert not any(same(one, other) for index, one in enumerate(ends) for other in ends[:index])


@pytest.mark.parametrize("step", [1, 4, 6, 12])
def test_a_group_stopped_by_a_signal_saves_all_and_goes_on_as_if_it_had_not_been(step: int, apart: Any, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    def group(after_step: Callable[[int], None] = lambda done: None) -> dict[str, Student]:
        last = NAMES[2]
        return {
            name: student(name, tmp_path / name, accumulate=apart[0], after_step=after_step if name == last else lambda done: None) for name in NAMES
        }

    with pytest.raises(Interrupted, match=f"after step {step} of 12; the states of {len(NAMES)} students are saved") as stopped:
        together(list(group(stop).values()))
    assert stopped.value.exit_code == 143
    for name in NAMES:
        (path,) = saved_states(tmp_path / name / "checkpoint")
        assert read_state(path)["step"] == step
    resumed = group()
    require_as_apart(resumed, together(list(resumed.values())), tmp_path, apart)


def test_a_group_whose_saved_states_are_of_different_steps_goes_on_from_each(apart: Any, tmp_path: Path) -> None:
    """As a kill between two saves leaves them."""
    for name, step in zip(NAMES, (3, 3, 9, 9, 3), strict=False):  # the last ones have saved nothing

        def stop(done: int, step: int = step) -> None:
            if done == step:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(Interrupted):
            alone(student(name, tmp_path / name, accumulate=apart[0], after_step=stop))
    group = {name: student(name, tmp_path / name, accumulate=apart[0]) for name in NAMES}
    require_as_apart(group, together(list(group.values())), tmp_path, apart)


def test_a_state_that_is_due_is_saved_for_all_at_the_same_step(tmp_path: Path) -> None:
    def die(done: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    group = [student(name, tmp_path / name, after_step=die if name == "slower" else lambda done: None) for name in OWN]
    eager = group[0].recipe.model_copy(update={"checkpoint_every": 0.0})
    group[0] = Student(group[0].network, group[0].objective, eager, "plain", group[0].watchers, group[0].checkpoint)
    with pytest.raises(KeyboardInterrupt):
        together(group)
    found = [[path.name[:21] for path in saved_states(tmp_path / name / "checkpoint")] for name in OWN]
    assert found == [["state-00000006-000001", "state-00000007-000001"]] * len(OWN)


class Counting(Answers):
    """Asked once for each batch, whoever learns from it."""

    def __call__(self, batch: Batch) -> Output:
        assert batch.views is not None
        return super().__call__(batch)


def test_data_and_teacher_are_asked_once_for_each_batch(tmp_path: Path) -> None:
    passes: list[int | None] = []
    train = points(26, noise=0.2, asked=passes.append)
    validations: list[int | None] = []
    teacher = Counting(mlp(seed=5))
    group = [student(name, tmp_path / name) for name in NAMES]
    fit_together(group, train, validation=points(15, seed=1, asked=validations.append), teacher=teacher)
    assert (len(passes), len(validations), len(teacher.shown)) == (3, 3, 12)


def bare(name: str, recipe: Recipe, notes: Notes, seed: int = 0) -> Student:
    return Student(mlp(seed=seed), CrossEntropy(), recipe, name, [notes])


class Exploding(CrossEntropy):
    """A loss that is infinite from some step on."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def loss(self, student: Tensor, teacher: Any, labels: Tensor, *, epoch: float, counts: Any = None) -> Any:
        found = super().loss(student, teacher, labels, epoch=epoch, counts=counts)
        return type(found)(found.total * (float("inf") if len(self.seen) > self.step else 1.0), found.terms)


@pytest.mark.parametrize("step", [0, 5])
def test_one_that_diverges_drops_out_and_the_others_go_on(step: int) -> None:
    notes = [Notes() for _ in range(3)]
    group = [bare(str(index), RECIPE, each, seed=index) for index, each in enumerate(notes)]
    group[1] = Student(group[1].network, Exploding(step), RECIPE, "1", [notes[1]])
    first, second, third = fit_together(group, TRAIN)
    assert isinstance(second, DivergedError)
    assert "no longer finite after step" in str(second)
    assert len(notes[1].steps) < 12
    assert [each.ended for each in notes] == [1, 1, 1]
    for index, found in ((0, first), (2, third)):
        assert isinstance(found, Fitted)
        reference = bare("alone", RECIPE, Notes(), seed=index)
        fit(reference.network, reference.objective, TRAIN, RECIPE)
        assert same(weights(group[index].network), weights(reference.network))


def test_when_all_diverge_nothing_goes_on() -> None:
    group = [Student(mlp(seed=seed), Exploding(0), RECIPE, str(seed), []) for seed in range(2)]
    assert all(isinstance(each, DivergedError) for each in fit_together(group, TRAIN, validation=VALIDATION))


@pytest.mark.parametrize(
    "update",
    [
        {"seed": 1},
        {"batch_size": 8},
        {"epochs": 4},
        {"steps": 5},
        {"views": 2},
        {"accumulate": 2},
        {"shuffle_block": 4},
        {"validate_every": 2},
        {"threads": 1},
    ],
)
def test_other_batches_are_no_group(update: dict[str, int]) -> None:
    assert not same_batches(RECIPE, RECIPE.model_copy(update=update))


def test_learning_rate_and_its_like_are_each_ones_own() -> None:
    assert all(same_batches(RECIPE, RECIPE.model_copy(update=own)) for own in OWN.values())


def test_the_files_of_each_hold_its_own_numbers(tmp_path: Path) -> None:
    together([student(name, tmp_path / name) for name in NAMES])
    losses = [json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0])["loss"] for name in NAMES]
    assert len(set(losses)) == len(NAMES)
