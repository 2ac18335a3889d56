"""The drop-in loss, as a user of any loop meets it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from darkknowledge.contract import IGNORED, Output
from darkknowledge.errors import UsageError
from darkknowledge.objective import DistillationLoss, build

STUDENT, TEACHER = 3 * torch.randn(2, 12, 10, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 10


def textbook(temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    log_q, log_p = torch.log_softmax(STUDENT / temperature, -1), torch.log_softmax(TEACHER / temperature, -1)
    return temperature**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True), F.cross_entropy(STUDENT, LABELS)


def test_alpha_weighs_the_soft_term_and_the_rest_the_hard_term() -> None:
    soft, hard = textbook(2.0)
    torch.testing.assert_close(DistillationLoss(temperature=2.0, alpha=0.7)(STUDENT, TEACHER, LABELS), 0.7 * soft + 0.3 * hard)


def test_without_arguments_it_is_half_and_half_at_temperature_two() -> None:
    soft, hard = textbook(2.0)
    torch.testing.assert_close(DistillationLoss()(STUDENT, TEACHER, LABELS), (soft + hard) / 2)


def test_without_labels_alpha_times_the_soft_term_remains() -> None:
    soft, _ = textbook(4.0)
    torch.testing.assert_close(DistillationLoss(4.0, 0.3)(STUDENT, TEACHER), 0.3 * soft)
    torch.testing.assert_close(DistillationLoss(4.0, 0.3)(STUDENT, TEACHER, None), 0.3 * soft)


def test_the_free_form_has_two_weights_that_need_not_sum_to_one() -> None:
    soft, hard = textbook(2.0)
    torch.testing.assert_close(DistillationLoss(hard_weight=1.0, soft_weight=5.0)(STUDENT, TEACHER, LABELS), 5 * soft + hard)


@pytest.mark.parametrize(("alpha", "part"), [(0.0, 1), (1.0, 0)])
def test_at_its_ends_alpha_leaves_one_term(alpha: float, part: int) -> None:
    torch.testing.assert_close(DistillationLoss(alpha=alpha)(STUDENT, TEACHER, LABELS), textbook(2.0)[part])


def test_ignored_labels_keep_their_soft_target() -> None:
    labels = LABELS.clone()
    labels[::2] = IGNORED
    soft, _ = textbook(2.0)
    torch.testing.assert_close(DistillationLoss()(STUDENT, TEACHER, labels), soft / 2 + F.cross_entropy(STUDENT[1::2], LABELS[1::2]) / 2)
    torch.testing.assert_close(DistillationLoss()(STUDENT, TEACHER, torch.full((12,), IGNORED)), soft / 2)


def test_it_is_the_objective_that_the_command_line_builds() -> None:
    objective = build("distillation", temperature=3.0, alpha=0.8)
    loss = objective.loss(STUDENT, Output.single(TEACHER), LABELS, epoch=7.0)
    torch.testing.assert_close(loss.total, DistillationLoss(3.0, 0.8)(STUDENT, TEACHER, LABELS))
    assert set(loss.terms) == {"soft", "hard"}
    assert objective.needs == {"teacher", "labels"}


def test_a_student_trained_with_it_in_a_plain_loop_learns() -> None:
    torch.manual_seed(0)
    student = torch.nn.Linear(10, 10)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.1)
    loss_function = DistillationLoss(temperature=4.0, alpha=0.9)
    losses = []
    for _ in range(50):
        loss = loss_function(student(TEACHER), TEACHER, LABELS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_under_autocast_it_is_computed_in_full_precision() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = DistillationLoss()(STUDENT, TEACHER, LABELS)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, DistillationLoss()(STUDENT, TEACHER, LABELS), rtol=1e-6, atol=0)


def test_printed_it_shows_its_formula() -> None:
    assert str(DistillationLoss(4, 0.9)) == "DistillationLoss(0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z)))"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, "alpha=1.5 is not between 0 and 1"),
        ({"alpha": -0.1}, "alpha=-0.1"),
        ({"alpha": math.nan}, "alpha=nan"),
        ({"alpha": "0.5"}, "alpha='0.5'"),
        ({"alpha": 0.5, "hard_weight": 1.0, "soft_weight": 1.0}, "together"),
        ({"alpha": 0.5, "soft_weight": 1.0}, "together"),
        ({"soft_weight": 1.0}, "hard_weight is missing"),
        ({"hard_weight": 1.0}, "soft_weight is missing"),
        ({"hard_weight": -1.0, "soft_weight": 1.0}, "hard_weight=-1.0"),
        ({"hard_weight": 0.0, "soft_weight": 0.0}, "no term has a weight above 0"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"temperature": -1}, "temperature=-1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DistillationLoss(**options)


def test_a_teacher_with_another_number_of_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(12, 10\).*\(12, 100\)"):
        DistillationLoss()(STUDENT, torch.zeros(12, 100), LABELS)
