"""The closed forms of the derivative, against autograd and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError
from darkknowledge.objective import (
    gradient_variance,
    hard_label_gradient,
    high_temperature_gradient,
    soft_target_gradient,
    soften,
    zero_mean_gradient,
)
from darkknowledge.objective.hard_label import hard_label
from darkknowledge.objective.hinton import hinton
from darkknowledge.objective.logit_matching import logit_matching
from reference import objective as reference

FORMS = (soft_target_gradient, high_temperature_gradient, zero_mean_gradient)


def zero_mean_logits(classes: int = 100) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, 64, classes, generator=generator, dtype=torch.float64)
    return student - student.mean(-1, keepdim=True), teacher - teacher.mean(-1, keepdim=True)


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 1e4])
def test_the_exact_form_is_what_autograd_finds_for_one_examples_cross_entropy(temperature: float) -> None:
    student, teacher = (logits.float() for logits in zero_mean_logits(10))
    wide = student.double().requires_grad_()
    target = torch.softmax(teacher.double() / temperature, -1)
    torch.nn.functional.cross_entropy(wide / temperature, target, reduction="sum").backward()
    torch.testing.assert_close(soft_target_gradient(student, teacher, temperature=temperature).double(), wide.grad, rtol=1e-5, atol=1e-12)


def test_training_sees_the_exact_form_times_the_square_of_the_temperature() -> None:
    student, teacher = zero_mean_logits(10)
    student.requires_grad_()
    hinton(student, teacher, temperature=4.0).sum().backward()
    torch.testing.assert_close(4.0**2 * soft_target_gradient(student, teacher, temperature=4.0), student.grad)


@pytest.mark.parametrize("form", [high_temperature_gradient, zero_mean_gradient])
def test_the_error_of_the_high_temperature_forms_falls_as_one_over_the_temperature(form) -> None:
    student, teacher = zero_mean_logits()
    temperatures = np.array([30.0, 100.0, 300.0, 1000.0, 3000.0])
    errors = [distance(form(student, teacher, temperature=t), soft_target_gradient(student, teacher, temperature=t)) for t in temperatures]
    slope = np.polyfit(np.log(temperatures), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)
    assert errors[3] == pytest.approx(2.1e-3, rel=0.2)  # 100 classes, logits of standard deviation 3


def test_for_zero_mean_logits_the_two_high_temperature_forms_are_one() -> None:
    student, teacher = zero_mean_logits()
    torch.testing.assert_close(
        high_temperature_gradient(student, teacher, temperature=7.0), zero_mean_gradient(student, teacher, temperature=7.0), rtol=1e-9, atol=1e-15
    )
    expected = (student - teacher) / (100 * 7.0**2)
    torch.testing.assert_close(zero_mean_gradient(student, teacher, temperature=7.0), expected, rtol=1e-9, atol=1e-15)


def test_the_zero_mean_form_takes_the_mean_off_itself() -> None:
    student, teacher = zero_mean_logits()
    torch.testing.assert_close(
        zero_mean_gradient(student + 5, teacher - 3, temperature=2.0), zero_mean_gradient(student, teacher, temperature=2.0), rtol=1e-9, atol=1e-14
    )


def test_the_zero_mean_form_is_the_derivative_of_logit_matching() -> None:
    student, teacher = zero_mean_logits(10)
    student.requires_grad_()
    logit_matching(student, teacher).sum().backward()
    torch.testing.assert_close(9.0 * zero_mean_gradient(student, teacher, temperature=3.0), student.grad)


def test_every_row_sums_to_zero_and_carries_no_graph() -> None:
    student, teacher = zero_mean_logits(10)
    student.requires_grad_()
    for form in FORMS:
        gradient = form(student, teacher, temperature=5.0)
        assert not gradient.requires_grad
        assert gradient.sum(-1).abs().max() < 1e-15


def test_the_hard_label_form_is_what_autograd_finds_and_zero_for_ignored_labels() -> None:
    student, _ = zero_mean_logits(10)
    student.requires_grad_()
    labels = torch.arange(64) % 10
    labels[::3] = IGNORED
    hard_label(student, labels).sum().backward()
    found = hard_label_gradient(student, labels)
    torch.testing.assert_close(found, student.grad)
    assert (found[::3] == 0).all()


def test_the_squared_temperature_holds_the_size_of_the_gradient() -> None:
    student, teacher = zero_mean_logits()
    size = {t: float((t**2 * soft_target_gradient(student, teacher, temperature=t)).norm()) for t in (4.0, 20.0, 100.0)}
    assert 0.7 < size[20.0] / size[4.0] < 1.1
    assert size[100.0] / size[20.0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("form", FORMS)
def test_shapes_and_temperatures_that_do_not_fit_are_refused(form) -> None:
    with pytest.raises(UsageError, match=r"\(4, 10\).*\(4, 1\)"):
        form(torch.zeros(4, 10), torch.zeros(4, 1), temperature=2.0)
    with pytest.raises(UsageError, match="temperature="):
        form(torch.zeros(4, 10), torch.zeros(4, 10), temperature=0.0)


def test_the_variance_between_cases_is_the_trace_of_their_covariance() -> None:
    gradients = torch.randn(20, 3, 4, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(gradient_variance(gradients), reference.gradient_variance(gradients), rtol=1e-6)
    torch.testing.assert_close(gradient_variance(gradients + 100), gradient_variance(gradients), rtol=1e-4, atol=0)
    assert gradient_variance(torch.ones(5, 3)) == 0


def test_a_mini_batch_misses_the_full_gradient_by_the_variance_over_its_size() -> None:
    gradients = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    picks = torch.randint(0, 1000, (4000, 8), generator=torch.Generator().manual_seed(1))
    missed = (gradients[picks].mean(1) - gradients.mean(0)).square().sum(-1).mean()
    assert float(missed) == pytest.approx(float(gradient_variance(gradients)) / 8, rel=0.05)


def test_soft_targets_vary_less_between_cases_than_labels_drawn_from_them() -> None:
    """Same expected gradient, less variance: the label adds the variance of the draw, which is 1 − Σ p²."""
    student, teacher = (logits / 3 for logits in zero_mean_logits(10))
    p = soften(teacher, temperature=1.0)
    labels = torch.multinomial(p, 1000, replacement=True, generator=torch.Generator().manual_seed(0))
    soft = gradient_variance(soft_target_gradient(student, teacher, temperature=1.0))
    hard = torch.stack([gradient_variance(hard_label_gradient(student, labels[:, draw])) for draw in range(1000)]).mean()
    assert float(hard - soft) == pytest.approx(float((1 - p.square().sum(-1)).mean()), rel=0.02)


@pytest.mark.parametrize("gradients", [torch.zeros(1, 3), torch.tensor(1.0), torch.zeros(4, 3, dtype=torch.int64)], ids=["one case", "scalar", "int"])
def test_a_variance_needs_two_cases(gradients: Tensor) -> None:
    with pytest.raises(UsageError, match="two"):
        gradient_variance(gradients)
