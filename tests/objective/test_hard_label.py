"""Cross-entropy with hard labels, against PyTorch and by identity."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError
from darkknowledge.objective import HardLabel
from darkknowledge.objective.hard_label import hard_label, hard_label_from_probabilities

LOGITS = 3 * torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, IGNORED, 0, 9, IGNORED, 2, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_mean_is_over_the_labelled_examples_as_in_pytorch(smoothing: float) -> None:
    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing)
    torch.testing.assert_close(HardLabel(label_smoothing=smoothing)(LOGITS, LABELS), expected)


def test_a_batch_without_labels_gives_zero_with_a_graph() -> None:
    student = LOGITS.clone().requires_grad_()
    loss = HardLabel()(student, torch.full((8,), IGNORED))
    loss.backward()
    assert loss == 0
    assert student.grad is not None
    assert (student.grad == 0).all()


def test_a_uniform_student_pays_the_logarithm_of_the_number_of_classes() -> None:
    torch.testing.assert_close(hard_label(torch.zeros(1, 10), torch.tensor([4])), torch.tensor([math.log(10)]))


def test_one_hot_probabilities_are_the_label() -> None:
    labels = LABELS.clamp_min(0)
    torch.testing.assert_close(hard_label_from_probabilities(LOGITS, F.one_hot(labels, 10).float()), hard_label(LOGITS, labels))


def test_smoothing_is_a_mixture_with_the_uniform_distribution() -> None:
    labels = LABELS.clamp_min(0)
    smooth = 0.8 * F.one_hot(labels, 10) + 0.02
    torch.testing.assert_close(hard_label_from_probabilities(LOGITS, smooth), hard_label(LOGITS, labels, label_smoothing=0.2))


def test_narrow_integer_labels_are_taken() -> None:
    labels = LABELS.clamp_min(0)
    torch.testing.assert_close(hard_label(LOGITS, labels.to(torch.uint8)), hard_label(LOGITS, labels))


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, math.nan, "0.1"])
def test_smoothing_outside_its_range_is_refused(smoothing: float) -> None:
    with pytest.raises(UsageError, match="label_smoothing="):
        HardLabel(label_smoothing=smoothing)


def test_a_single_logit_is_refused_for_its_softmax_is_always_one() -> None:
    with pytest.raises(UsageError, match="one class"):
        hard_label(torch.zeros(8, 1), torch.zeros(8, dtype=torch.int64))


def test_a_term_called_with_too_many_targets_says_what_it_takes() -> None:
    with pytest.raises(UsageError, match=r"takes 1: labels(.|\n)*DistillationLoss"):
        HardLabel()(LOGITS, LOGITS, LABELS)
