"""The soft term as a cross-entropy: PyTorch's own with probabilities, and its distance from the divergence."""

from __future__ import annotations

import torch
from hypothesis import given, strategies as st
from torch.nn import functional as F

from darkknowledge.objective import SoftCrossEntropy, entropy
from darkknowledge.objective.hinton import hinton
from darkknowledge.objective.soft_cross_entropy import soft_cross_entropy

STUDENT, TEACHER = 3 * torch.randn(2, 16, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_pytorchs_cross_entropy_with_probabilities_times_the_squared_temperature() -> None:
    expected = 4**2 * F.cross_entropy(STUDENT / 4, torch.softmax(TEACHER / 4, -1))
    torch.testing.assert_close(SoftCrossEntropy(temperature=4.0)(STUDENT, TEACHER), expected)


@given(temperature=st.floats(0.05, 1e4), seed=st.integers(0, 10**6))
def test_the_cross_entropy_is_the_divergence_plus_the_teachers_entropy_and_has_its_gradient(temperature: float, seed: int) -> None:
    logits = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    student, teacher = logits[0].requires_grad_(), logits[1]
    cross_entropy = soft_cross_entropy(student, teacher, temperature=temperature)
    divergence = hinton(student, teacher, temperature=temperature)
    torch.testing.assert_close(cross_entropy, divergence + temperature**2 * entropy(teacher, temperature=temperature), rtol=1e-9, atol=1e-12)
    (expected,) = torch.autograd.grad(divergence.sum(), student)
    (found,) = torch.autograd.grad(cross_entropy.sum(), student)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-10 * max(1.0, temperature))
