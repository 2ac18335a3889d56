"""Draws from Beta(α, α), against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from darkknowledge.data._beta import WHOLE, shares

ALPHAS = [1e-3, 0.05, 0.2, 0.5, 1.0, 2.5, 8.0, 100.0]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_share_is_the_rounded_quantile(alpha: float) -> None:
    numbers = torch.cat([torch.arange(0, 1 << 24, 311), torch.arange(500), (1 << 24) - 1 - torch.arange(500)])
    expected = np.round(scipy.special.betaincinv(alpha, alpha, (numbers.numpy() + 0.5) / 2**24) * WHOLE)
    np.testing.assert_array_equal(shares(numbers, alpha).numpy(), expected)


@pytest.mark.parametrize("alpha", [1.0, 2.5, 8.0])  # below 1 the steps at both ends hold too much for this test
def test_drawn_shares_follow_the_distribution(alpha: float) -> None:
    numbers = torch.randint(0, 1 << 24, (20_000,), generator=torch.Generator().manual_seed(0))
    drawn = (shares(numbers, alpha).numpy() + np.random.default_rng(0).uniform(-0.5, 0.5, 20_000)) / WHOLE  # no longer in steps
    assert scipy.stats.kstest(drawn.clip(0, 1), scipy.stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_both_ends_can_be_reached_and_the_middle_is_a_half() -> None:
    assert shares(torch.tensor([0, (1 << 23), (1 << 24) - 1]), 0.2).tolist() == [0, WHOLE // 2, WHOLE]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: shares on a GPU are not compared")
def test_a_share_is_the_same_on_a_gpu() -> None:
    numbers = torch.arange(0, 1 << 24, 31)
    for alpha in ALPHAS:
        assert torch.equal(shares(numbers.cuda(), alpha).cpu(), shares(numbers, alpha))
