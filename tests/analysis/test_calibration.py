from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from darkknowledge.analysis import brier, ece, equal_mass_bins, equal_width_bins, measure_calibration, nll
from darkknowledge.errors import UsageError


def drawn(examples: int = 997, classes: int = 10, *, scale: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(examples, classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial((0.6 * logits).softmax(-1), 1, generator=generator)[:, 0]
    return logits, labels


def equal_mass_in_numpy(logits: NDArray[np.float64], labels: NDArray[np.int64], bins: int) -> float:
    confidence, right = softmax(logits, axis=1).max(1), logits.argmax(1) == labels
    order = np.argsort(confidence)
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return float(sum(len(part) / len(labels) * abs(right[part].mean() - confidence[part].mean()) for part in parts))


def test_nll_and_brier_are_those_of_numpy_and_scikit_learn() -> None:
    logits, labels = drawn()
    p = softmax(logits.numpy(), axis=1)
    assert nll(logits, labels) == pytest.approx(log_loss(labels, p), rel=1e-12)
    assert nll(logits, labels) == pytest.approx(-log_softmax(logits.numpy(), axis=1)[np.arange(997), labels].mean(), rel=1e-12)
    assert brier(logits, labels) == pytest.approx(((p - np.eye(10)[labels]) ** 2).sum(1).mean(), rel=1e-12)


def test_brier_goes_from_0_to_2() -> None:
    sure = torch.tensor([[1000.0, 0.0]])
    assert brier(sure, torch.tensor([0])) == 0.0
    assert brier(sure, torch.tensor([1])) == 2.0


@pytest.mark.parametrize("bins", [1, 10, 15, 40])
@pytest.mark.parametrize("scale", [0.3, 2.0, 5.0])
def test_equal_width_ece_is_that_of_torchmetrics(bins: int, scale: float) -> None:
    logits, labels = drawn(scale=scale)
    expected = multiclass_calibration_error(logits.softmax(-1), labels, num_classes=10, n_bins=bins, norm="l1").item()
    assert ece(equal_width_bins(logits, labels, bins=bins)) == pytest.approx(expected, abs=1e-6)  # it works in float32


@pytest.mark.parametrize("bins", [1, 10, 15, 2000])
def test_equal_mass_ece_is_that_of_numpy(bins: int) -> None:
    logits, labels = drawn()
    assert ece(equal_mass_bins(logits, labels, bins=bins)) == pytest.approx(equal_mass_in_numpy(logits.numpy(), labels.numpy(), bins), abs=1e-12)


def test_a_probability_of_one_belongs_to_the_last_bin() -> None:
    logits = torch.tensor([[1000.0, 0.0], [1000.0, 0.0], [3.0, 0.0]])
    (last,) = equal_width_bins(logits, torch.tensor([0, 1, 0]))
    assert (last.low, last.high, last.count) == (14 / 15, 1.0, 3)
    assert last.accuracy == pytest.approx(2 / 3)
    assert last.confidence == pytest.approx((2 + 1 / (1 + np.exp(-3))) / 3)


def test_a_probability_on_an_edge_belongs_to_the_upper_bin() -> None:
    (only,) = equal_width_bins(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), bins=10)
    assert (only.low, only.high) == (0.5, 0.6)


def test_bins_hold_every_example_once_between_their_ends() -> None:
    logits, labels = drawn()
    for bins in (equal_width_bins(logits, labels), equal_mass_bins(logits, labels)):
        assert sum(one.count for one in bins) == 997
        assert all(one.low <= one.confidence <= one.high for one in bins)
    assert {one.count for one in equal_mass_bins(logits, labels)} == {66, 67}


def test_equal_mass_does_not_depend_on_the_order_of_equally_sure_examples() -> None:
    logits = torch.tensor([[0.5, 0.0]]).repeat(60, 1)
    labels = torch.tensor([0] * 45 + [1] * 15)
    expected = 45 / 60 - 1 / (1 + np.exp(-0.5))
    for seed in range(3):
        order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
        assert ece(equal_mass_bins(logits, labels[order])) == pytest.approx(expected)


def test_labels_drawn_from_the_probabilities_give_almost_no_error() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(100_000, 10, generator=generator)
    labels = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    assert ece(equal_width_bins(logits, labels)) < 0.01
    assert ece(equal_mass_bins(logits, labels)) < 0.01
    assert ece(equal_width_bins(3 * logits, labels)) > 0.1


def test_the_record_holds_each_measure() -> None:
    logits, labels = drawn()
    seen = measure_calibration(logits, labels, bins=10)
    assert seen.reliability == equal_width_bins(logits, labels, bins=10)
    assert (seen.nll, seen.brier) == (nll(logits, labels), brier(logits, labels))
    assert (seen.ece, seen.ece_equal_mass) == (ece(seen.reliability), ece(equal_mass_bins(logits, labels, bins=10)))


def test_there_is_at_least_one_bin() -> None:
    with pytest.raises(UsageError, match="0 bins"):
        measure_calibration(*drawn(), bins=0)
