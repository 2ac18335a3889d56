"""The composer of weighted terms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Output
from darkknowledge.errors import UsageError
from darkknowledge.objective import HardLabel, Hinton, LogitMatching, Mixture, SoftCrossEntropy, Term, WarmUp

GENERATOR = torch.Generator().manual_seed(0)
STUDENT, TEACHER = 3 * torch.randn(2, 12, 10, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(0, 10, (12,), generator=GENERATOR)
LABELS[[0, 1, 5]] = IGNORED
MIXTURE = Mixture({"soft": (Hinton(4.0), 0.9), "hard": (HardLabel(), 0.1), "match": (LogitMatching(), WarmUp(0.5, 10))})


def test_the_total_is_the_sum_of_the_terms_each_logged_weighted_and_detached_under_its_name() -> None:
    student = STUDENT.clone().requires_grad_()
    loss = MIXTURE.loss(student, Output.single(TEACHER), LABELS, epoch=5.0)
    expected = {
        "soft": 0.9 * Hinton(4.0)(STUDENT, TEACHER),
        "hard": 0.1 * HardLabel()(STUDENT, LABELS),
        "match": 0.25 * LogitMatching()(STUDENT, TEACHER),
    }
    torch.testing.assert_close(dict(loss.terms), expected)
    torch.testing.assert_close(loss.total.detach(), sum(expected.values()))
    assert loss.total.requires_grad
    assert not any(term.requires_grad for term in loss.terms.values())


def test_weights_follow_the_epoch() -> None:
    weight = [float(MIXTURE.loss(STUDENT, Output.single(TEACHER), LABELS, epoch=epoch).terms["match"]) for epoch in (0.0, 2.5, 10.0, 11.0)]
    assert weight == pytest.approx([0.0, weight[2] / 4, weight[2], weight[2]])


def test_soft_terms_count_all_examples_and_hard_terms_those_with_a_label() -> None:
    assert {name: int(count) for name, count in MIXTURE.counts(LABELS).items()} == {"soft": 12, "hard": 9, "match": 12}


@pytest.mark.parametrize("pieces", [2, 3, 5, 12])
def test_the_pieces_of_a_batch_add_up_to_the_batch(pieces: int) -> None:
    whole = STUDENT.clone().requires_grad_()
    MIXTURE.loss(whole, Output.single(TEACHER), LABELS, epoch=1.0).total.backward()
    student, counts, total = STUDENT.clone().requires_grad_(), MIXTURE.counts(LABELS), 0.0
    for rows in torch.arange(12).tensor_split(pieces):
        piece = MIXTURE.loss(student[rows], Output.single(TEACHER[rows]), LABELS[rows], epoch=1.0, counts=counts)
        piece.total.backward()
        total += float(piece.total.detach())
    torch.testing.assert_close(student.grad, whole.grad)
    assert total == pytest.approx(float(MIXTURE.loss(STUDENT, Output.single(TEACHER), LABELS, epoch=1.0).total))


def test_a_piece_without_a_label_adds_nothing_to_the_hard_term() -> None:
    loss = MIXTURE.loss(STUDENT[:2], Output.single(TEACHER[:2]), LABELS[:2], epoch=0.0)
    assert loss.terms["hard"] == 0
    assert loss.terms["soft"] > 0


def test_each_term_averages_the_members_of_a_teacher_at_its_own_temperature() -> None:
    members = Output(torch.stack([TEACHER, TEACHER.flip(1)]), torch.tensor([0.25, 0.75], dtype=torch.float64))
    terms = Mixture({"soft": (SoftCrossEntropy(3.0), 1.0), "match": (LogitMatching(), 1.0)}).loss(STUDENT, members, LABELS, epoch=0.0).terms
    p = 0.25 * torch.softmax(TEACHER / 3, -1) + 0.75 * torch.softmax(TEACHER.flip(1) / 3, -1)
    expected = -9 * (p * torch.log_softmax(STUDENT / 3, -1)).sum(-1).mean()
    torch.testing.assert_close(terms["soft"], expected, rtol=1e-5, atol=0)
    mean_logits = 0.25 * TEACHER + 0.75 * TEACHER.flip(1)
    torch.testing.assert_close(terms["match"], LogitMatching()(STUDENT, mean_logits), rtol=1e-5, atol=0)


def test_a_term_whose_weight_is_always_zero_needs_nothing() -> None:
    mixture = Mixture({"soft": (Hinton(), 1.0), "hard": (HardLabel(), 0)})
    assert mixture.needs == {"teacher"}
    assert Mixture({"soft": (Hinton(), WarmUp(0.5, 3)), "hard": (HardLabel(), 1)}).needs == {"teacher", "labels"}


def test_a_step_without_the_teacher_is_refused() -> None:
    with pytest.raises(UsageError, match="'soft' needs a teacher"):
        MIXTURE.loss(STUDENT, None, LABELS, epoch=0.0)
    assert Mixture({"hard": (HardLabel(), 1.0)}).loss(STUDENT, None, LABELS, epoch=0.0).total > 0


def test_a_mixture_of_nothing_is_refused() -> None:
    for terms in ({}, {"soft": (Hinton(), 0.0)}):
        with pytest.raises(UsageError, match="no term has a weight above 0"):
            Mixture(terms)


class Margin(Term):
    """A user's own term: the squared gap of the labelled logit to the teacher's."""

    needs: ClassVar[frozenset[str]] = frozenset({"teacher", "labels"})

    def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        rows = torch.arange(len(student))
        return torch.where(labels == IGNORED, 0.0, (student - teacher)[rows, labels.clamp_min(0)].square())

    def formula(self) -> str:
        return "(z_y − v_y)²"


def test_a_users_own_term_is_weighed_like_any_other_and_works_alone() -> None:
    loss = Mixture({"mine": (Margin(), 2.0)}).loss(STUDENT, Output.single(TEACHER), LABELS, epoch=0.0)
    torch.testing.assert_close(loss.total, 2 * Margin()(STUDENT, TEACHER, LABELS))
    assert float(Margin()(STUDENT, TEACHER, torch.full((12,), IGNORED))) == 0


def test_what_is_no_term_is_refused() -> None:
    class Hungry(Margin):
        needs: ClassVar[frozenset[str]] = frozenset({"features"})

    with pytest.raises(UsageError, match="needs features"):
        Mixture({"mine": (Hungry(), 1.0)})
    with pytest.raises(UsageError, match="no Term but MSELoss"):
        Mixture({"mine": (torch.nn.MSELoss(), 1.0)})  # type: ignore[dict-item]


def test_a_term_that_would_have_to_be_trained_is_refused() -> None:
    class Learned(Margin):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

    with pytest.raises(UsageError, match="'mine' has parameters to train"):
        Mixture({"mine": (Learned(), 1.0)})
    assert Mixture({"mine": (Learned().requires_grad_(False), 1.0)}).needs == {"teacher", "labels"}


@pytest.mark.parametrize(
    "reduced",
    [lambda gap: gap.square().mean(), lambda gap: gap.square(), lambda gap: gap.square().sum(1, keepdim=True), lambda gap: gap.square().sum(0)],
    ids=["mean", "classes", "column", "examples summed"],
)
def test_a_term_that_gives_something_else_than_a_value_for_each_example_is_refused(reduced: Callable[[Tensor], Tensor]) -> None:
    class Reduced(Margin):
        needs: ClassVar[frozenset[str]] = frozenset({"teacher"})

        def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
            return reduced(student - teacher)

    with pytest.raises(UsageError, match=r"Reduced\.per_example gives shape \(.*\) for 12 examples; \(12,\) is expected"):
        Mixture({"mine": (Reduced(), 1.0)}).loss(STUDENT, Output.single(TEACHER), LABELS, epoch=0.0)
    with pytest.raises(UsageError, match="for 12 examples"):
        Reduced()(STUDENT, TEACHER)


@pytest.mark.parametrize("name", ["kind", "step", "epoch", "loss", "learning_rate", "validation_accuracy", "validation_nll"])
def test_a_term_may_not_have_the_name_of_something_else_that_a_run_records(name: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be called '{name}'"):
        Mixture({name: (Hinton(), 1.0)})


@pytest.mark.parametrize("name", ["a\ud800", "a\nb", "\x1b[2J"])
def test_a_name_that_no_record_can_hold_is_refused_before_anything_is_trained(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        Mixture({name: (HardLabel(), 1.0)})


def test_the_formula_is_one_line_that_names_every_weight() -> None:
    assert MIXTURE.formula() == "0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z)) + (0 → 0.5 in 10 epochs) × ½ Var(z − v)"
    assert str(Hinton(2.5)) == "Hinton(2.5² KL(softmax(v/2.5) ‖ softmax(z/2.5)))"
    assert math.isinf(LogitMatching().temperature)
