"""P8 of the MNIST experiments: who sees which cases, how many steps long, and how often labels are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks.hinton2015.few import SHARES, few
from benchmarks.hinton2015.jobs import Job
from benchmarks.hinton2015.recipe import FEW_WARMUPS, SEEDS

from darkknowledge import Dataset
from darkknowledge.contract import IGNORED
from darkknowledge.data import load
from darkknowledge.training.passes import Passes
from darkknowledge.training.recipe import Recipe
from pipeline.small import write_mnist

STEPS, BATCH = 4000, 128
ARMS = ("few-hard", "few-soft", "few-labels")


def of(arm: str) -> dict[tuple[float, int], Job]:
    """The jobs of an arm by share and seed."""
    return {(job.note["share"], job.note["seed"]): job for job in few() if job.note["arm"] == arm}


def passes(job: Job) -> Passes:
    """Through so many of the 60,000 pictures as are left for training."""
    data = job.arguments["data"]
    cases = round((60_000 - data["validation"]) * data.get("fraction", 1.0))
    return Passes(torch.arange(cases), Recipe(**job.arguments["training"]))


def looks(job: Job) -> int:
    """How often the run sees its validation pictures: every so many epochs, and after the last."""
    epochs, every = passes(job).epochs, passes(job).recipe.validate_every
    return len({*range(every, epochs + 1, every), epochs})


def test_every_arm_has_every_share_and_seed() -> None:
    every = {(share, seed) for share in SHARES for seed in SEEDS}
    found = [of(arm).keys() for arm in ARMS]
    assert found == [every, every, {(share, seed) for share, seed in every if share < 1}]


@pytest.mark.parametrize("arm", ARMS)
def test_every_student_takes_as_many_steps_of_as_many_pictures(arm: str) -> None:
    for job in of(arm).values():
        walked = passes(job)
        assert (walked.steps, walked.recipe.batch_size) == (STEPS, BATCH)
        assert walked.epochs == walked.recipe.epochs, "no epoch is planned that the steps don't reach"


@pytest.mark.parametrize("arm", ARMS)
def test_the_warm_up_is_an_epoch_or_has_as_many_steps_as_an_epoch_of_all_cases(arm: str) -> None:
    kind = FEW_WARMUPS["few-hard" if arm == "few-hard" else "few-soft"]
    for job in of(arm).values():
        walked = passes(job)
        if kind == "short":
            assert walked.recipe.warmup == 1
        else:
            assert walked.recipe.warmup * walked.per_epoch == pytest.approx(391, abs=0.1)
        assert walked.recipe.warmup < walked.epochs / 2, "the schedule would cut it short"


def test_labels_are_looked_at_about_a_hundred_times_or_after_every_epoch_and_judged_by_the_best() -> None:
    for job in of("few-hard").values():
        epochs = passes(job).epochs
        assert min(epochs, 100) <= looks(job) <= 112
        assert job.weights == "best"


def test_soft_targets_are_not_stopped() -> None:
    for job in (*of("few-soft").values(), *of("few-labels").values()):
        assert looks(job) == 1
        assert job.weights == "last"


def test_a_seed_draws_the_same_cases_for_all_arms_and_each_seed_others(tmp_path: Path) -> None:
    write_mnist(tmp_path)

    def drawn(job: Job) -> Dataset:
        return load("mnist", root=tmp_path, **{**job.arguments["data"], "validation": 60})

    hard, soft, labels = ({place: drawn(job) for place, job in of(arm).items()} for arm in ARMS)
    for (share, seed), own in hard.items():
        assert len(own.train) == round(240 * share)
        assert torch.equal(own.train.ids, soft[share, seed].train.ids)
        assert torch.equal(own.validation.ids, soft[share, seed].validation.ids)
    for (share, seed), own in labels.items():
        assert torch.equal(own.train.ids, hard[1.0, seed].train.ids), "all pictures"
        assert int((own.train.labels != IGNORED).sum()) == round(240 * share), "and so many labels"
    for share in SHARES:
        assert len({tuple(hard[share, seed].train.ids.tolist()) for seed in SEEDS}) == len(SEEDS)
