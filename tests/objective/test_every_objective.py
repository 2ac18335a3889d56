"""One harness that every formula goes through. A new objective is a new `Case`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from darkknowledge.contract import IGNORED, Output
from darkknowledge.errors import UsageError
from darkknowledge.objective import CHOICES, DistillationLoss, build
from darkknowledge.objective.hard_label import hard_label, hard_label_from_probabilities
from darkknowledge.objective.hinton import hinton, hinton_from_log_probabilities, hinton_from_probabilities
from darkknowledge.objective.logit_matching import logit_matching
from darkknowledge.objective.soft_cross_entropy import (
    soft_cross_entropy,
    soft_cross_entropy_from_log_probabilities,
    soft_cross_entropy_from_probabilities,
)
from reference import objective as reference

TEMPERATURES = (0.5, 1.0, 4.0, 20.0, 100.0, 1e3, 1e4)
EXTREME_TEMPERATURES = (0.01, 1.0, 20.0, 1e4)


@dataclass(frozen=True)
class Case:
    """An objective with student logits, teacher logits, labels and a temperature; it takes of these what it needs."""

    name: str
    function: Callable[[Tensor, Tensor, Tensor, float], Tensor]
    value: Callable[..., reference.Wide]
    gradient: Callable[..., reference.Wide]
    choice: str | None = None
    tempered: bool = True
    zero_at_equality: bool = False
    takes_teacher: bool = True
    takes_labels: bool = False
    relative: float = 1e-5
    """To how much of the largest number in a row value and gradient are right: what is fused computes in float32, the functions in float64."""
    whole: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    """The mean over a batch in one call, for what has no function per example."""

    def __str__(self) -> str:
        return self.name


def softened(function: Callable[..., Tensor], logarithm: bool) -> Callable[[Tensor, Tensor, Tensor, float], Tensor]:
    """The teacher's logits turned into what ``function`` takes, in float64 so that nothing is lost on the way in."""
    soften = torch.log_softmax if logarithm else torch.softmax
    return lambda z, v, y, t: function(z, soften(v.double() / t, -1), temperature=t)


def one_by_one(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A mean over a batch as values per example."""
    return lambda z, v, y: torch.stack([loss(z[i : i + 1], v[i : i + 1], y[i : i + 1]) for i in range(len(z))])


def mixed(t: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    terms = {"soft": {"name": "soft_cross_entropy", "temperature": t, "weight": 0.5}, "match": {"name": "logit_matching"}}
    objective = build("mixture", terms=terms)
    return lambda z, v, y: objective.loss(z, Output.single(v), y, epoch=0.0).total


def hard_reference(z: np.ndarray, v: np.ndarray, y: np.ndarray, t: float, *, smooth: float = 0.0) -> reference.Wide:
    return reference.cross_entropy(z, reference.targets_of(y, z.shape[1], smooth))


def hard_gradient(z: np.ndarray, v: np.ndarray, y: np.ndarray, t: float, *, smooth: float = 0.0) -> reference.Wide:
    return reference.cross_entropy_gradient(z, reference.targets_of(y, z.shape[1], smooth))


def soft(function: Callable[..., reference.Wide]) -> Callable[..., reference.Wide]:
    return lambda z, v, y, t: function(z, v, t)


kl = partial(Case, value=soft(reference.hinton), gradient=soft(reference.hinton_gradient), zero_at_equality=True)
cross = partial(Case, value=soft(reference.soft_cross_entropy), gradient=soft(reference.hinton_gradient))
CASES = [
    kl("hinton", lambda z, v, y, t: hinton(z, v, temperature=t), choice="hinton"),
    kl("hinton_from_log_probabilities", softened(hinton_from_log_probabilities, True)),
    kl("hinton_from_probabilities", softened(hinton_from_probabilities, False)),
    cross("soft_cross_entropy", lambda z, v, y, t: soft_cross_entropy(z, v, temperature=t), choice="soft_cross_entropy"),
    cross("soft_cross_entropy_from_log_probabilities", softened(soft_cross_entropy_from_log_probabilities, True)),
    cross("soft_cross_entropy_from_probabilities", softened(soft_cross_entropy_from_probabilities, False)),
    Case(
        "logit_matching",
        lambda z, v, y, t: logit_matching(z, v),
        lambda z, v, y, t: reference.logit_matching(z, v),
        lambda z, v, y, t: reference.logit_matching_gradient(z, v),
        choice="logit_matching",
        tempered=False,
        zero_at_equality=True,
    ),
    Case(
        "hard_label",
        lambda z, v, y, t: hard_label(z, y),
        hard_reference,
        hard_gradient,
        choice="hard_label",
        tempered=False,
        takes_teacher=False,
        takes_labels=True,
    ),
    Case(
        "hard_label with smoothing",
        lambda z, v, y, t: hard_label(z, y, label_smoothing=0.1),
        partial(hard_reference, smooth=0.1),
        partial(hard_gradient, smooth=0.1),
        tempered=False,
        takes_teacher=False,
        takes_labels=True,
    ),
    Case(
        "hard_label_from_probabilities",
        lambda z, v, y, t: hard_label_from_probabilities(z, torch.softmax(v.double(), -1)),
        lambda z, v, y, t: reference.cross_entropy(z, reference.softmax(v)),
        lambda z, v, y, t: reference.hinton_gradient(z, v, 1.0),
        tempered=False,
    ),
    Case(
        "distillation",
        lambda z, v, y, t: one_by_one(DistillationLoss(t, alpha=0.9))(z, v, y),
        lambda z, v, y, t: reference.wide(0.9) * reference.hinton(z, v, t) + (1 - reference.wide(0.9)) * hard_reference(z, v, y, t),
        lambda z, v, y, t: reference.wide(0.9) * reference.hinton_gradient(z, v, t) + (1 - reference.wide(0.9)) * hard_gradient(z, v, y, t),
        choice="distillation",
        takes_labels=True,
        relative=2e-5,
        whole=DistillationLoss(),
    ),
    Case(
        "mixture",
        lambda z, v, y, t: one_by_one(mixed(t))(z, v, y),
        lambda z, v, y, t: reference.soft_cross_entropy(z, v, t) / 2 + reference.logit_matching(z, v),
        lambda z, v, y, t: reference.hinton_gradient(z, v, t) / 2 + reference.logit_matching_gradient(z, v),
        choice="mixture",
        whole=mixed(2.0),
    ),
]
every = pytest.mark.parametrize("case", CASES, ids=str)


def draw(
    rows: int = 8, classes: int = 10, *, seed: int = 0, spread: float = 3.0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = spread * torch.randn(rows, classes, generator=generator)
    teacher = spread * torch.randn(rows, classes, generator=generator)
    return student.to(dtype), teacher.to(dtype), torch.randint(0, classes, (rows,), generator=generator)


def value_and_gradient(case: Case, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    student = student.clone().requires_grad_()
    value = case.function(student, teacher, labels, temperature)
    (gradient,) = torch.autograd.grad(value.sum(), student)
    return value.detach(), gradient


def assert_close(found: Tensor, expected: reference.Wide, relative: float) -> None:
    """Within ``relative`` of the largest number in the row."""
    rows = reference.wide(found.double().numpy()).reshape(len(found), -1)
    error = np.abs(rows - expected.reshape(len(found), -1)).max(-1)
    scale = np.abs(expected).reshape(len(found), -1).max(-1)
    assert (error <= relative * scale).all(), f"relative error {float((error / scale).max()):.1e}"


def test_every_choice_goes_through_this_harness() -> None:
    assert {case.choice for case in CASES if case.choice} == set(CHOICES)


@every
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_value_and_gradient_equal_the_reference_to_five_digits_at_every_temperature_in_float32(case: Case, classes: int) -> None:
    student, teacher, labels = draw(classes=classes)
    for temperature in TEMPERATURES if case.tempered else (1.0,):
        value, gradient = value_and_gradient(case, student, teacher, labels, temperature)
        inputs = student.numpy(), teacher.numpy(), labels.numpy(), temperature
        assert_close(value, case.value(*inputs), case.relative)
        assert_close(gradient, case.gradient(*inputs), case.relative)


@every
@pytest.mark.parametrize("distance", [1e-1, 1e-2])
def test_five_digits_remain_when_the_student_is_near_the_teacher(case: Case, distance: float) -> None:
    _, teacher, labels = draw()
    student = teacher + distance * draw(seed=1, spread=1.0)[0]
    for temperature in TEMPERATURES[1:] if case.tempered else (1.0,):
        value, gradient = value_and_gradient(case, student, teacher, labels, temperature)
        inputs = student.numpy(), teacher.numpy(), labels.numpy(), temperature
        assert_close(value, case.value(*inputs), case.relative)
        assert_close(gradient, case.gradient(*inputs), case.relative)


@every
def test_an_offset_between_student_and_teacher_costs_no_digits(case: Case) -> None:
    student, teacher, labels = draw()
    student = student + 128.0
    value, gradient = value_and_gradient(case, student, teacher, labels, 1e3)
    inputs = student.numpy(), teacher.numpy(), labels.numpy(), 1e3
    assert_close(value, case.value(*inputs), case.relative)
    assert_close(gradient, case.gradient(*inputs), case.relative)


@pytest.mark.parametrize("case", [case for case in CASES if case.zero_at_equality], ids=str)
@pytest.mark.parametrize("temperature", EXTREME_TEMPERATURES)
def test_value_and_gradient_are_zero_where_the_logits_agree_up_to_a_constant(case: Case, temperature: float) -> None:
    _, teacher, labels = draw(dtype=torch.float64)
    value, gradient = value_and_gradient(case, teacher + 5, teacher, labels, temperature)
    assert value.abs().max() < 1e-13 * max(1.0, temperature)
    assert gradient.abs().max() < 1e-13 * max(1.0, temperature)


@every
def test_a_constant_added_to_all_logits_of_an_example_changes_nothing(case: Case) -> None:
    student, teacher, labels = draw(dtype=torch.float64)
    expected = value_and_gradient(case, student, teacher, labels, 3.0)
    shift = torch.linspace(-50, 50, len(student), dtype=torch.float64)[:, None]
    found = value_and_gradient(case, student + shift, teacher - 2 * shift, labels, 3.0)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@every
def test_the_order_of_the_classes_changes_nothing(case: Case) -> None:
    student, teacher, labels = draw(dtype=torch.float64)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(3))
    value, gradient = value_and_gradient(case, student, teacher, labels, 3.0)
    permuted, permuted_gradient = value_and_gradient(case, student[:, order], teacher[:, order], torch.argsort(order)[labels], 3.0)
    torch.testing.assert_close(permuted, value)
    torch.testing.assert_close(permuted_gradient, gradient[:, order])


@every
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_first_and_second_derivatives_agree_with_finite_differences(case: Case, temperature: float) -> None:
    student, teacher, labels = draw(rows=3, classes=4, spread=1.0, dtype=torch.float64)
    student[0] = teacher[0] + 1e-3
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: case.function(z, teacher, labels, temperature), (student,))
    assert torch.autograd.gradgradcheck(lambda z: case.function(z, teacher, labels, temperature), (student,))


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_teacher], ids=str)
def test_no_gradient_flows_into_the_teacher(case: Case) -> None:
    student, teacher, labels = draw()
    teacher.requires_grad_()
    assert not case.function(student, teacher, labels, 2.0).requires_grad
    student.requires_grad_()
    case.function(student, teacher, labels, 2.0).sum().backward()
    assert teacher.grad is None


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_logits_give_float32_and_lose_nothing_inside(case: Case, dtype: torch.dtype) -> None:
    student, teacher, labels = draw(dtype=dtype)
    found = case.function(student, teacher, labels, 20.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, case.function(student.float(), teacher.float(), labels, 20.0), rtol=1e-6, atol=0)


@every
def test_float64_logits_give_float64(case: Case) -> None:
    assert case.function(*draw(dtype=torch.float64), 4.0).dtype == torch.float64


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("temperature", EXTREME_TEMPERATURES)
def test_value_and_gradient_are_finite_at_logit_gaps_of_ten_thousand(case: Case, dtype: torch.dtype, temperature: float) -> None:
    student = torch.tensor([[1e4, 0, -1e4], [0, 1e4, 0], [-1e4, -1e4, 1e4], [1e4, 1e4, 0], [0, 0, 0], [5e3, 4.9e3, -1e4]], dtype=dtype)
    teacher = torch.tensor([[-1e4, 0, 1e4], [1e4, 0, 0], [-1e4, -1e4, 1e4], [0, 1e4, 1e4], [1e4, 0, -1e4], [-1e4, 5e3, 4e3]], dtype=dtype)
    value, gradient = value_and_gradient(case, student, teacher, torch.tensor([2, 0, 0, 2, 2, 1]), temperature)
    assert value.isfinite().all()
    assert (value >= -1e-9).all()
    assert gradient.isfinite().all()


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    rows=st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=6, max_size=6), min_size=1, max_size=3),
    temperature=st.floats(0.01, 1e4),
)
def test_any_finite_logits_give_a_finite_value_and_gradient(data: st.DataObject, rows: list[list[float]], temperature: float) -> None:
    case = data.draw(st.sampled_from(CASES), label="case")
    logits = torch.tensor(rows, dtype=torch.float32)
    value, gradient = value_and_gradient(case, logits[:, :3], logits[:, 3:], torch.zeros(len(rows), dtype=torch.int64), temperature)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


@every
def test_each_example_stands_for_itself(case: Case) -> None:
    student, teacher, labels = draw(dtype=torch.float64)
    together = case.function(student, teacher, labels, 4.0)
    alone = torch.cat([case.function(student[i : i + 1], teacher[i : i + 1], labels[i : i + 1], 4.0) for i in range(len(student))])
    assert together.shape == (len(student),)
    torch.testing.assert_close(together, alone)


def call(case: Case, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """As a user calls it, with a whole batch."""
    return case.whole(student, teacher, labels) if case.whole else case.function(student, teacher, labels, 2.0)


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_teacher], ids=str)
@pytest.mark.parametrize("shape", [(8, 1), (1, 10), (10,), (8, 10, 1), (4, 10)])
def test_another_shape_is_refused_and_both_shapes_are_named(case: Case, shape: tuple[int, ...]) -> None:
    student, _, labels = draw()
    with pytest.raises(UsageError) as caught:
        call(case, student, torch.zeros(shape), labels)
    assert "(8, 10)" in str(caught.value)
    assert str(shape) in str(caught.value)


@every
@pytest.mark.parametrize("wrong", [torch.zeros(8), torch.zeros(8, 1), torch.zeros(8, 10, 4, 4), torch.zeros(8, 10, dtype=torch.int64)], ids=str)
def test_what_is_no_batch_of_logits_is_refused(case: Case, wrong: Tensor) -> None:
    with pytest.raises(UsageError, match=r"logits have shape|student logits"):
        call(case, wrong, wrong.float(), torch.zeros(8, dtype=torch.int64))


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_labels], ids=str)
@pytest.mark.parametrize(
    "labels",
    [torch.zeros(8, 1, dtype=torch.int64), torch.zeros(7, dtype=torch.int64), torch.zeros(8), torch.zeros(8, dtype=torch.bool)],
    ids=["column", "too few", "float", "bool"],
)
def test_labels_that_are_no_class_indices_are_refused(case: Case, labels: Tensor) -> None:
    student, teacher, _ = draw()
    with pytest.raises(UsageError, match="integer class indices"):
        call(case, student, teacher, labels)


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_labels], ids=str)
@pytest.mark.parametrize("label", [10, -1, 255])
def test_a_label_out_of_range_is_refused_and_named(case: Case, label: int) -> None:
    student, teacher, labels = draw()
    labels[3] = label
    with pytest.raises(UsageError, match=f"label {label} is no class.* 10 classes"):
        call(case, student, teacher, labels)


@pytest.mark.parametrize("case", [case for case in CASES if case.takes_labels], ids=str)
def test_an_ignored_label_has_no_part_in_value_or_gradient(case: Case) -> None:
    student, teacher, labels = draw()
    labels[::2] = IGNORED
    value, gradient = value_and_gradient(case, student, teacher, labels, 2.0)
    inputs = student.numpy(), teacher.numpy(), labels.numpy(), 2.0
    assert_close(value, case.value(*inputs), 1e-5)
    assert_close(gradient, case.gradient(*inputs), 1e-5)
    assert bool((gradient[::2] == 0).all()) is not case.takes_teacher


@pytest.mark.parametrize("case", [case for case in CASES if case.tempered], ids=str)
@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf, "4", True, None], ids=repr)
def test_a_temperature_that_makes_no_sense_is_refused(case: Case, temperature: float) -> None:
    student, teacher, labels = draw()
    if case.name.startswith(("hinton_from", "soft_cross_entropy_from")):
        function = globals()[case.name]
        teacher = torch.softmax(teacher, -1).log() if "log" in case.name else torch.softmax(teacher, -1)
        with pytest.raises(UsageError, match="temperature="):
            function(student, teacher, temperature=temperature)
    else:
        with pytest.raises(UsageError, match="temperature="):
            case.function(student, teacher, labels, temperature)


@pytest.mark.parametrize("case", [case for case in CASES if "_from_" in case.name], ids=str)
def test_logits_given_as_probabilities_are_refused(case: Case) -> None:
    function = globals()[case.name]
    student, teacher, _ = draw()
    options = {"temperature": 2.0} if case.tempered else {}
    with pytest.raises(UsageError, match="no distribution"):
        function(student, teacher, **options)


@pytest.mark.parametrize("case", [case for case in CASES if "_from_" in case.name], ids=str)
def test_a_probability_of_zero_is_allowed(case: Case) -> None:
    function = globals()[case.name]
    student = draw(rows=2, classes=3)[0].requires_grad_()
    teacher = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    options = {"temperature": 2.0} if case.tempered else {}
    value = function(student, teacher.log() if "log" in case.name else teacher, **options)
    log_q = torch.log_softmax(student.detach() / 2, -1) if case.tempered else torch.log_softmax(student.detach(), -1)
    cross_entropy = -(teacher * log_q).sum(-1)
    entropy = torch.tensor([0.0, math.log(2)]) if case.zero_at_equality else 0.0
    torch.testing.assert_close(value.detach(), (4 if case.tempered else 1) * (cross_entropy - entropy))
    value.sum().backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@every
def test_nothing_waits_for_the_device(case: Case) -> None:
    """Tensors on the meta device have no values, so that whoever reads one fails."""
    student, teacher, labels = (tensor.to("meta") for tensor in draw())
    assert call(case, student, teacher, labels).is_meta
