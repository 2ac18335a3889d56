"""The soft term against PyTorch's own functions and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special
from torch.nn import functional as F

from darkknowledge.objective import Hinton, LogitMatching, SoftCrossEntropy
from darkknowledge.objective.hinton import hinton

STUDENT, TEACHER = 3 * torch.randn(2, 16, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_the_batch_mean_of_kl_div_with_the_log_target_times_the_squared_temperature() -> None:
    log_q, log_p = torch.log_softmax(STUDENT / 4, -1), torch.log_softmax(TEACHER / 4, -1)
    expected = 4**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    torch.testing.assert_close(Hinton(temperature=4)(STUDENT, TEACHER), expected)


def test_it_is_the_sum_of_scipys_relative_entropies() -> None:
    p, q = torch.softmax(TEACHER / 3, -1), torch.softmax(STUDENT / 3, -1)
    np.testing.assert_allclose(hinton(STUDENT, TEACHER, temperature=3.0), 9 * special.rel_entr(p.numpy(), q.numpy()).sum(-1))


def test_the_teacher_comes_first_in_the_divergence() -> None:
    teacher, student = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    by_hand = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    reverse = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert float(hinton(student, teacher, temperature=1.0)) == pytest.approx(by_hand)
    assert float(hinton(teacher, student, temperature=1.0)) == pytest.approx(reverse)


@pytest.mark.parametrize("module", [Hinton(4.0), SoftCrossEntropy(4.0), LogitMatching()], ids=lambda module: type(module).__name__)
def test_a_batch_repeated_has_the_same_mean(module: torch.nn.Module) -> None:
    torch.testing.assert_close(module(STUDENT.repeat(3, 1), TEACHER.repeat(3, 1)), module(STUDENT, TEACHER))


def test_each_class_split_into_equal_halves_has_the_same_divergence() -> None:
    torch.testing.assert_close(hinton(STUDENT.repeat(1, 2), TEACHER.repeat(1, 2), temperature=2.0), hinton(STUDENT, TEACHER, temperature=2.0))


def test_descending_the_gradient_takes_the_student_to_the_teacher() -> None:
    student = STUDENT.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([student], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = Hinton(temperature=4.0)(student, TEACHER)
        loss.backward()
        return loss

    optimiser.step(closure)
    torch.testing.assert_close(torch.softmax(student.detach() / 4, -1), torch.softmax(TEACHER / 4, -1), rtol=0, atol=1e-3)


def test_an_empty_batch_gives_zero_with_a_graph() -> None:
    student = torch.zeros(0, 10, requires_grad=True)
    loss = Hinton()(student, torch.zeros(0, 10))
    loss.backward()
    assert loss == 0
