"""The peers of the race do what they say: on the same batch they have our loss, and the same steps lead to the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from benchmarks._measuring import Run
from benchmarks.step import measure as race
from benchmarks.step.peers import ALPHA, PEERS, TEMPERATURE, Job, Mean, by_hand, train
from benchmarks.step.workload import Workload, job, make_data, network, share
from torch import nn

from darkknowledge.contract import Batch
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Ensemble, Frozen

SMALL = Workload("hinton_mlp", {"hidden": (16,)}, {"hidden": (24,)}, (1, 8, 8), steps=3, batch_size=32, batches=1)
NEEDS = {"timm": "timm.task", "torchdistill": "torchdistill.core.distillation"}


def made(members: int) -> tuple[Job, Frozen | Ensemble]:
    """A job of the peers, and our teacher of the same networks."""
    data = make_data(SMALL)
    teachers = tuple(network(SMALL, data, SMALL.teacher, seed=1 + number) for number in range(members))
    student = network(SMALL, data, SMALL.student)
    return job(SMALL, data, student, teachers, precision="fp32"), race.asked(data, teachers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", PEERS)
def test_each_peer_has_our_loss_for_the_same_weights_and_pictures(name: str, members: int) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"{name} is in the dependency group bench: uv run --group bench pytest")
    task, teacher = made(members)
    inputs = task.images.float() / 255
    batch = Batch(torch.arange(len(inputs)), inputs, task.labels)
    objective = build_objective("distillation", temperature=TEMPERATURE, alpha=ALPHA)
    expected = objective.loss(task.student(inputs), teacher(batch), task.labels, epoch=0.0).total.item()
    assert train(PEERS[name], task)[0].item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NEEDS)
def test_the_steps_of_every_peer_lead_to_the_weights_of_the_loop_written_by_hand(name: str) -> None:
    pytest.importorskip(NEEDS[name], reason=f"{name} is in the dependency group bench: uv run --group bench pytest")
    first, _ = made(1)
    second, _ = made(1)
    train(by_hand, first)
    train(PEERS[name], second)
    for mine, theirs in zip(first.student.parameters(), second.student.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_our_steps_lead_to_the_weights_of_the_loop_written_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    task, teacher = made(1)
    data, student = make_data(SMALL), copy.deepcopy(task.student)
    monkeypatch.setattr(race, "seconds_of_steps", lambda start, **_: start(_Silent()))
    monkeypatch.setattr(race.copy, "deepcopy", lambda network: network)
    race.fitted(SMALL, data, student, teacher, "fp32")
    train(by_hand, task)
    for mine, theirs in zip(student.parameters(), task.student.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


def test_several_teachers_as_one_have_the_mean_of_their_softened_probabilities() -> None:
    teachers = (nn.Linear(4, 3), nn.Linear(4, 3))
    inputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    mean = sum(torch.softmax(teacher(inputs) / TEMPERATURE, dim=-1) for teacher in teachers) / 2
    torch.testing.assert_close(torch.softmax(Mean(teachers, TEMPERATURE)(inputs) / TEMPERATURE, dim=-1), mean)


def test_the_share_of_a_teacher_is_its_forward_pass_over_three_of_the_student_but_for_the_first_layers_input() -> None:
    student, teacher = nn.Linear(10, 10, bias=False), nn.Linear(10, 40, bias=False)
    assert share(student, (teacher,), torch.ones(1, 10)) == pytest.approx(400 / 200)
    assert share(student, (teacher, teacher), torch.ones(1, 10)) == pytest.approx(800 / 200)


@pytest.mark.filterwarnings("ignore")
def test_a_race_of_tiny_networks_compares_all_that_are_there(tmp_path) -> None:
    run = Run("step", repeats=1, quick=True)
    race.race(run, "tiny", SMALL, 1, "fp32", {"by hand": by_hand}, tmp_path)
    assert set(run.parts["tiny"]["ratio to"]["student alone"]) == {"recorded", "ours, live", "by hand", race.PASSES}
    assert run.parts["tiny: in short"]["by hand / recorded"] > 0


class _Silent:
    """A watcher that does nothing."""

    def begin(self, plan: object) -> None: ...

    def step(self, done: int) -> None: ...

    def record(self, record: object) -> None: ...

    def end(self) -> None: ...
