from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from torch import Tensor

from darkknowledge.analysis import correct, measure_accuracy, measure_calibration, measure_fidelity, nll, top_k_accuracy
from darkknowledge.contract import IGNORED
from darkknowledge.errors import DataError, UsageError


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(101, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.randint(12, (101,), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("k", [1, 2, 5, 12])
def test_top_k_accuracy_is_that_of_scikit_learn(logits: Tensor, labels: Tensor, k: int) -> None:
    if k == 12:
        assert top_k_accuracy(logits, labels, k=k) == 1.0
    else:
        assert top_k_accuracy(logits, labels, k=k) == top_k_accuracy_score(labels, logits, k=k, labels=range(12))


def test_errors_and_accuracy_per_class_are_counted(logits: Tensor, labels: Tensor) -> None:
    seen = measure_accuracy(logits, labels)
    predicted, expected = logits.argmax(-1).numpy(), labels.numpy()
    assert seen.examples == 101
    assert seen.errors == (predicted != expected).sum()
    assert seen.top1 == pytest.approx(1 - seen.errors / 101)
    assert seen.top5 == top_k_accuracy(logits, labels, k=5)
    assert seen.per_class == tuple(np.mean(predicted[expected == c] == c) for c in range(12))
    assert correct(logits, labels).tolist() == (predicted == expected).tolist()


def test_a_class_without_examples_has_no_accuracy() -> None:
    assert measure_accuracy(torch.eye(3), torch.tensor([0, 1, 1])).per_class == (1.0, 0.5, None)


def test_top_5_says_nothing_about_five_classes() -> None:
    assert measure_accuracy(torch.eye(5), torch.arange(5)).top5 is None
    assert measure_accuracy(torch.eye(6), torch.arange(6)).top5 == 1.0


def test_equal_logits_are_ranked_by_class_as_argmax_does() -> None:
    labels = torch.arange(6)
    assert [top_k_accuracy(torch.zeros(6, 6), labels, k=k) for k in range(1, 7)] == [k / 6 for k in range(1, 7)]
    assert correct(torch.zeros(6, 6), labels).tolist() == [True, *[False] * 5]


def test_ignored_examples_are_left_out_wherever_a_label_matters(logits: Tensor, labels: Tensor) -> None:
    hidden = labels.clone()
    hidden[::3] = IGNORED
    kept = hidden != IGNORED
    assert measure_accuracy(logits, hidden) == measure_accuracy(logits[kept], labels[kept])
    assert measure_calibration(logits, hidden) == measure_calibration(logits[kept], labels[kept])
    some = measure_fidelity(student=logits, teacher=logits * 2, labels=hidden)
    known = measure_fidelity(student=logits[kept], teacher=logits[kept] * 2, labels=labels[kept])
    assert (some.teacher_right, some.teacher_wrong) == (known.teacher_right, known.teacher_wrong)
    # Two networks agree or not, whatever the label.
    assert some.overall == measure_fidelity(student=logits, teacher=logits * 2, labels=labels).overall
    nothing = measure_fidelity(student=logits, teacher=logits * 2, labels=torch.full_like(labels, IGNORED))
    assert (nothing.overall, nothing.teacher_right, nothing.teacher_wrong) == (some.overall, None, None)


@pytest.mark.parametrize("measure", [measure_accuracy, measure_calibration, correct, top_k_accuracy])
@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (torch.zeros(3, 10), torch.zeros(4, dtype=torch.long), UsageError, r"\(3, 10\) and labels \(4,\)"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.long), UsageError, r"\(3,\) and labels \(3,\)"),
        (torch.zeros(3, 10), torch.zeros(3, 1, dtype=torch.long), UsageError, r"\(3, 1\)"),
        (torch.zeros(3, 10), torch.zeros(3), UsageError, "float32"),
        (torch.zeros(3, 10), torch.tensor([0, 10, 1]), DataError, "label 10 is not a class"),
        (torch.zeros(3, 10), torch.tensor([0, -1, 1]), DataError, "label -1 is not a class"),
        (torch.zeros(3, 10), torch.full((3,), IGNORED), DataError, "none of the 3 examples is labelled"),
        (torch.tensor([[0.0, 0.0], [0.0, float("nan")]]), torch.tensor([0, 1]), DataError, "example 1 are not finite"),
        (torch.tensor([[0.0, 0.0], [0.0, float("inf")]]), torch.tensor([0, 1]), DataError, "example 1 are not finite"),
    ],
)
def test_mistakes_are_named(
    measure: Callable[[Tensor, Tensor], object], logits: Tensor, labels: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        measure(logits, labels)


@pytest.mark.parametrize("k", [0, -1, 13])
def test_top_k_needs_k_classes(logits: Tensor, labels: Tensor, k: int) -> None:
    with pytest.raises(UsageError, match="choose k between 1 and 12"):
        top_k_accuracy(logits, labels, k=k)


def test_half_precision_logits_are_measured_in_float64() -> None:
    logits = torch.tensor([[12.0, 0.0, 0.0]], dtype=torch.bfloat16)
    assert nll(logits, torch.tensor([0])) == pytest.approx(np.log1p(2 * np.exp(-12.0)), rel=1e-9)
