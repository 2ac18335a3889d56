"""The softmax at a temperature against the reference and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy import stats

from darkknowledge.errors import UsageError
from darkknowledge.objective import effective_classes, entropy, log_soften, soften
from darkknowledge.objective._divergence import exact_dtype
from reference import objective as reference

LOGITS = 3 * torch.randn(6, 10, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 4.0, 1e4])
def test_soften_and_its_logarithm_equal_the_reference(temperature: float) -> None:
    np.testing.assert_allclose(soften(LOGITS, temperature=temperature), reference.softmax(LOGITS, temperature), rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(log_soften(LOGITS, temperature=temperature), reference.log_softmax(LOGITS, temperature), rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 1e4])
def test_entropy_equals_the_reference_and_scipy(temperature: float) -> None:
    found = entropy(LOGITS, temperature=temperature)
    np.testing.assert_allclose(found, reference.entropy(LOGITS, temperature), rtol=1e-6)
    np.testing.assert_allclose(found, stats.entropy(soften(LOGITS.double(), temperature=temperature), axis=-1), rtol=1e-6)


def test_the_limits_are_one_class_and_all_classes() -> None:
    torch.testing.assert_close(effective_classes(LOGITS, temperature=1e-3), torch.ones(6))
    torch.testing.assert_close(effective_classes(LOGITS, temperature=1e6), torch.full((6,), 10.0))
    torch.testing.assert_close(entropy(LOGITS, temperature=1e6), torch.full((6,), math.log(10)))


@given(low=st.floats(0.1, 50), ratio=st.floats(1.01, 10))
def test_a_higher_temperature_never_has_fewer_effective_classes(low: float, ratio: float) -> None:
    logits = LOGITS.double()
    assert (effective_classes(logits, temperature=low * ratio) >= effective_classes(logits, temperature=low) - 1e-12).all()


def test_the_entropy_of_a_confident_answer_keeps_its_digits() -> None:
    logits = torch.tensor([15.0, 0.0])
    np.testing.assert_allclose(entropy(logits, temperature=1.0), reference.entropy(logits, 1.0), rtol=1e-6)


def test_any_leading_dimensions_and_any_width_are_taken() -> None:
    assert soften(torch.zeros(2, 3, 4, dtype=torch.bfloat16), temperature=2.0).dtype == torch.float32
    assert entropy(torch.zeros(2, 3, 4), temperature=2.0).shape == (2, 3)


def test_the_derivative_flows_through_soften() -> None:
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: soften(z, temperature=3.0), (logits,))


@pytest.mark.parametrize("function", [soften, log_soften, entropy, effective_classes])
@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_a_temperature_that_makes_no_sense_is_refused(function, temperature: float) -> None:
    with pytest.raises(UsageError, match="temperature="):
        function(LOGITS, temperature=temperature)


def test_apples_gpus_which_have_no_float64_get_float32() -> None:
    assert exact_dtype(torch.device("mps")) == torch.float32
    assert exact_dtype(torch.device("cuda")) == exact_dtype(torch.device("cpu")) == torch.float64
