"""The matching of logits: the soft term's limit, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from darkknowledge.objective import LogitMatching
from darkknowledge.objective.hinton import hinton
from darkknowledge.objective.logit_matching import logit_matching

STUDENT, TEACHER = 3 * torch.randn(2, 16, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_half_of_numpys_variance_of_the_gap() -> None:
    expected = (STUDENT - TEACHER).numpy().var(-1) / 2
    np.testing.assert_allclose(logit_matching(STUDENT, TEACHER), expected)
    assert float(LogitMatching()(STUDENT, TEACHER)) == pytest.approx(expected.mean())


def test_the_soft_term_tends_to_it_and_the_error_falls_as_one_over_the_temperature() -> None:
    limit = logit_matching(STUDENT, TEACHER)
    temperatures = np.array([30.0, 100.0, 300.0, 1000.0, 3000.0, 1e4])
    errors = [float((hinton(STUDENT, TEACHER, temperature=t) - limit).norm() / limit.norm()) for t in temperatures]
    assert np.polyfit(np.log(temperatures), np.log(errors), 1)[0] == pytest.approx(-1, abs=0.05)
    assert errors[-1] < 1e-3


def test_the_soft_term_tends_to_it_in_float32_too() -> None:
    student, teacher = STUDENT.float(), TEACHER.float()
    torch.testing.assert_close(hinton(student, teacher, temperature=1e6), logit_matching(student, teacher), rtol=1e-4, atol=0)
