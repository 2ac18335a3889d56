"""Hard labels of mixed pictures, shares (B, C), against PyTorch and by identity."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from darkknowledge.contract import IGNORED, Output
from darkknowledge.errors import UsageError
from darkknowledge.objective import DistillationLoss, HardLabel, Hinton, Mixture
from darkknowledge.objective.hard_label import hard_label

GENERATOR = torch.Generator().manual_seed(0)
STUDENT, TEACHER = 3 * torch.randn(2, 8, 10, generator=GENERATOR)
FIRST, SECOND = torch.randint(0, 10, (2, 8), generator=GENERATOR)
UNKNOWN = torch.tensor([0, 0, 1, 0, 0, 1, 0, 0], dtype=torch.bool)


def shares(first_share: float) -> Tensor:
    return first_share * F.one_hot(FIRST, 10).float() + (1 - first_share) * F.one_hot(SECOND, 10).float()


def hidden(labels: Tensor) -> Tensor:
    return labels.masked_fill(UNKNOWN[:, None], 0) if labels.ndim == 2 else labels.masked_fill(UNKNOWN, IGNORED)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_each_value_is_that_of_pytorch(smoothing: float) -> None:
    expected = F.cross_entropy(STUDENT, shares(0.3), reduction="none", label_smoothing=smoothing)
    found = hard_label(STUDENT, shares(0.3), label_smoothing=smoothing)
    torch.testing.assert_close(found, expected)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_one_is_no_mixing(share: float, smoothing: float) -> None:
    alone = FIRST if share else SECOND
    student = [STUDENT.clone().requires_grad_() for _ in range(2)]
    losses = [HardLabel(smoothing)(logits, hidden(labels)) for logits, labels in zip(student, (shares(share), alone), strict=True)]
    torch.testing.assert_close(losses[0], losses[1])
    gradients = [torch.autograd.grad(loss, logits)[0] for loss, logits in zip(losses, student, strict=True)]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_linear_in_the_share(smoothing: float) -> None:
    ends = hard_label(STUDENT, FIRST, label_smoothing=smoothing), hard_label(STUDENT, SECOND, label_smoothing=smoothing)
    for share in (0.125, 0.5, 0.8):
        torch.testing.assert_close(hard_label(STUDENT, shares(share), label_smoothing=smoothing), share * ends[0] + (1 - share) * ends[1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_row_of_zeros_does_not_count(smoothing: float) -> None:
    term, known = HardLabel(smoothing), ~UNKNOWN
    student = STUDENT.clone().requires_grad_()
    loss = term(student, hidden(shares(0.3)))
    torch.testing.assert_close(loss, F.cross_entropy(student[known], shares(0.3)[known], label_smoothing=smoothing))
    assert (torch.autograd.grad(loss, student)[0][UNKNOWN] == 0).all()
    assert int(term.count(hidden(shares(0.3)))) == 6


def test_a_batch_of_rows_of_zeros_gives_zero_with_a_graph() -> None:
    student = STUDENT.clone().requires_grad_()
    loss = HardLabel(0.1)(student, torch.zeros(8, 10))
    loss.backward()
    assert loss == 0
    assert student.grad is not None
    assert (student.grad == 0).all()


def test_a_mixture_takes_both_kinds_of_labels_and_counts_the_same_examples() -> None:
    mixture = Mixture({"soft": (Hinton(4.0), 0.9), "hard": (HardLabel(), 0.1)})
    answer = Output.single(TEACHER)
    plain, mixed = (mixture.loss(STUDENT, answer, hidden(labels), epoch=0.0) for labels in (FIRST, shares(1.0)))
    torch.testing.assert_close(dict(mixed.terms), dict(plain.terms))
    assert {name: int(count) for name, count in mixture.counts(hidden(shares(0.3))).items()} == {"soft": 8, "hard": 6}


@pytest.mark.parametrize("pieces", [2, 3, 8])
def test_the_pieces_of_a_mixed_batch_add_up_to_the_batch(pieces: int) -> None:
    mixture, labels = Mixture({"soft": (Hinton(4.0), 0.9), "hard": (HardLabel(), 0.1)}), hidden(shares(0.3))
    counts = mixture.counts(labels)
    found = [
        mixture.loss(STUDENT[rows], Output.single(TEACHER[rows]), labels[rows], epoch=0.0, counts=counts).total
        for rows in torch.arange(8).tensor_split(pieces)
    ]
    torch.testing.assert_close(torch.stack(found).sum(), mixture.loss(STUDENT, Output.single(TEACHER), labels, epoch=0.0).total)


def test_the_usual_loss_takes_shares() -> None:
    loss = DistillationLoss(temperature=4.0, alpha=0.5)
    expected = 0.5 * Hinton(4.0)(STUDENT, TEACHER) + 0.5 * F.cross_entropy(STUDENT, shares(0.3))
    torch.testing.assert_close(loss(STUDENT, TEACHER, shares(0.3)), expected)


def test_labels_receive_no_gradient_and_narrow_shares_are_taken() -> None:
    labels = shares(0.25).requires_grad_()
    assert not hard_label(STUDENT, labels).requires_grad
    torch.testing.assert_close(hard_label(STUDENT, labels.detach().to(torch.bfloat16)), hard_label(STUDENT, labels.detach()))


@pytest.mark.parametrize("row", [[0.5] * 10, [-0.5, 1.5] + [0.0] * 8, [0.5] + [0.0] * 9, [float("nan")] + [0.0] * 9, [0.5, -0.5] + [0.0] * 8])
def test_a_row_that_holds_no_shares_is_refused_by_its_number(row: list[float]) -> None:
    labels = shares(0.3)
    labels[4] = torch.tensor(row)
    with pytest.raises(UsageError, match="row 4 of the labels holds no shares of 10 classes"):
        hard_label(STUDENT, labels)


@pytest.mark.parametrize("labels", [torch.zeros(8), torch.zeros(8, 9), torch.zeros(8, 10, dtype=torch.int64), torch.zeros(8, 10, dtype=torch.bool)])
def test_labels_of_another_shape_or_dtype_are_refused(labels: Tensor) -> None:
    with pytest.raises(UsageError, match=r"integer class indices of shape \(8,\)(.|\n)*shares of shape \(8, 10\)"):
        hard_label(STUDENT, labels)
