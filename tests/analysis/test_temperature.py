from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.optimize import minimize_scalar
from torch import Tensor

from darkknowledge.analysis import correct, fit_temperature, nll


def drawn(examples: int, *, planted: float, scale: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits whose labels are drawn from their softmax at the temperature ``planted``."""
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(examples, 10, generator=generator, dtype=torch.float64)
    return logits, torch.multinomial((logits / planted).softmax(-1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_recovered(planted: float) -> None:
    assert fit_temperature(*drawn(50_000, planted=planted)).temperature == pytest.approx(planted, rel=0.03)


@pytest.mark.parametrize(("planted", "scale"), [(0.4, 1.0), (1.0, 3.0), (4.0, 3.0), (30.0, 100.0)])
def test_the_optimum_is_that_of_scipy(planted: float, scale: float) -> None:
    logits, labels = drawn(300, planted=planted, scale=scale)
    best = minimize_scalar(lambda t: nll(logits / t, labels), bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9})
    fit = fit_temperature(logits, labels)
    assert fit.temperature == pytest.approx(best.x, rel=1e-5)
    assert fit.nll_after <= best.fun + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 1.0, 50.0, 1e4]), st.integers(1, 40))
def test_nll_is_never_worse_and_accuracy_unchanged(seed: int, scale: float, examples: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(examples, 5, generator=generator)
    labels = torch.randint(5, (examples,), generator=generator)
    fit = fit_temperature(logits, labels)
    assert fit.nll_before == pytest.approx(nll(logits, labels))
    assert fit.nll_after <= fit.nll_before * (1 + 1e-12)
    assert correct(logits / fit.temperature, labels).equal(correct(logits, labels))


def test_a_network_without_errors_ends_at_the_cold_end_and_one_that_knows_nothing_at_the_hot_end() -> None:
    right = torch.eye(4)
    assert fit_temperature(right, torch.arange(4)).temperature == pytest.approx(0.01)
    assert fit_temperature(right, (torch.arange(4) + 1) % 4).temperature == pytest.approx(100)
