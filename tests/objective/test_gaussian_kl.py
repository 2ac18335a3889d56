"""The divergence of normal distributions, against PyTorch's and by integration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from darkknowledge.errors import UsageError
from darkknowledge.objective.gaussian_kl import gaussian_kl
from reference import objective as reference


def draw(shape: tuple[int, ...] = (6, 2, 3), dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return list(torch.randn(4, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype))


def test_it_is_pytorchs_divergence_of_the_student_from_the_teacher_summed_over_components() -> None:
    student_mean, student_log, teacher_mean, teacher_log = draw()
    expected = kl_divergence(Normal(teacher_mean, (teacher_log / 2).exp()), Normal(student_mean, (student_log / 2).exp())).sum((1, 2))
    torch.testing.assert_close(gaussian_kl(student_mean, student_log, teacher_mean, teacher_log), expected)


def test_it_is_the_integral_that_defines_it() -> None:
    student_mean, student_log, teacher_mean, teacher_log = (float(t) for t in draw((1,)))
    p, q = stats.norm(teacher_mean, np.exp(teacher_log / 2)), stats.norm(student_mean, np.exp(student_log / 2))
    integral, _ = integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -20, 20)
    assert float(gaussian_kl(*draw((1,)))) == pytest.approx(integral, rel=1e-8)


@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-4])
def test_five_digits_remain_in_float32_however_near_the_two_are(distance: float) -> None:
    _, _, teacher_mean, teacher_log = draw(dtype=torch.float32)
    step = distance * torch.randn(2, 6, 2, 3, generator=torch.Generator().manual_seed(1))
    given = (teacher_mean + step[0], teacher_log + step[1], teacher_mean, teacher_log)
    found = gaussian_kl(*given)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, reference.gaussian_kl(*given), rtol=1e-5)


def test_value_and_gradient_are_zero_where_the_two_agree() -> None:
    mean, log_variance, _, _ = draw()
    given = mean.clone().requires_grad_(), log_variance.clone().requires_grad_()
    value = gaussian_kl(*given, mean, log_variance)
    value.sum().backward()
    assert (value == 0).all()
    assert all((tensor.grad == 0).all() for tensor in given)


def test_first_and_second_derivatives_agree_with_finite_differences() -> None:
    student_mean, student_log, teacher_mean, teacher_log = draw((3, 2))
    given = student_mean.requires_grad_(), student_log.requires_grad_()
    assert torch.autograd.gradcheck(lambda mean, log: gaussian_kl(mean, log, teacher_mean, teacher_log), given)
    assert torch.autograd.gradgradcheck(lambda mean, log: gaussian_kl(mean, log, teacher_mean, teacher_log), given)


def test_no_gradient_flows_into_the_teacher() -> None:
    given = [tensor.requires_grad_() for tensor in draw()]
    gaussian_kl(*given).sum().backward()
    assert given[2].grad is None
    assert given[3].grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_answers_give_float32(dtype: torch.dtype) -> None:
    given = draw(dtype=dtype)
    found = gaussian_kl(*given)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, gaussian_kl(*(tensor.float() for tensor in given)))


def test_one_dimension_is_one_component_an_example() -> None:
    flat, column = draw((5,)), draw((5, 1))
    torch.testing.assert_close(gaussian_kl(*flat), gaussian_kl(*column))


@pytest.mark.parametrize("wrong", [torch.zeros(6, 1), torch.zeros(6), torch.zeros(6, 2, dtype=torch.int64)], ids=["broadcast", "flat", "integer"])
def test_shapes_and_dtypes_that_differ_are_refused_and_named(wrong: Tensor) -> None:
    right = torch.zeros(6, 2)
    with pytest.raises(UsageError, match=r"shapes \(6, 2\)") as caught:
        gaussian_kl(right, right, right, wrong)
    assert str(tuple(wrong.shape)) in str(caught.value)
    with pytest.raises(UsageError):
        gaussian_kl(*[torch.tensor(0.0)] * 4)
