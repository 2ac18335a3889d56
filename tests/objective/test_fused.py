"""The labels + soft mixture as one operation: against the terms' own functions, which torch differentiates, in every way it can be carried out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Dense, Output, Sparse
from darkknowledge.errors import ResourceError, UsageError
from darkknowledge.objective import (
    DistillationLoss,
    HardLabel,
    Hinton,
    Linear,
    LogitMatching,
    Mixture,
    SoftCrossEntropy,
    _closed_form as closed_form,
    _evaluation as evaluation,
)
from darkknowledge.objective._fused import _graph_is_kept
from darkknowledge.objective.hard_label import hard_label
from darkknowledge.objective.hinton import hinton
from darkknowledge.objective.soft_cross_entropy import soft_cross_entropy
from darkknowledge.transfer.codec import build as build_codec


def draw(rows: int = 9, classes: int = 12, *, spread: float = 3.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (spread * torch.randn(rows, classes, generator=generator) for _ in range(2))
    labels = torch.randint(0, classes, (rows,), generator=generator)
    labels[2] = IGNORED
    return student, teacher, labels


def shares(labels: Tensor, classes: int) -> Tensor:
    mixed = 0.7 * torch.nn.functional.one_hot(labels.clamp_min(0), classes) + 0.3 * torch.nn.functional.one_hot((labels + 1) % classes, classes)
    return mixed * (labels != IGNORED)[:, None]


def plainly(student: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float, soft: Any = hinton, smoothing: float = 0.0) -> Tensor:
    """0.8 × soft + 0.3 × hard, each the mean over what counts, from the public functions in float64."""
    counted = (labels != IGNORED) if labels.ndim == 1 else (labels != 0).any(-1)
    hard = hard_label(student.double(), labels, label_smoothing=smoothing).sum() / counted.sum()
    return 0.8 * soft(student.double(), teacher.double(), temperature=temperature).mean() + 0.3 * hard


def fused(*, temperature: float, soft: type = Hinton, smoothing: float = 0.0, compile: str = "off") -> Mixture:
    terms = {"soft": (soft(temperature=temperature), 0.8), "hard": (HardLabel(label_smoothing=smoothing), 0.3)}
    return Mixture(terms, compile=compile)


def with_gradient(function: Any, student: Tensor) -> tuple[Tensor, Tensor]:
    student = student.clone().requires_grad_()
    value = function(student)
    value.backward()
    assert student.grad is not None
    return value.detach().double(), student.grad.double()


@pytest.fixture(params=["processor", "branch-free"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The two forms that run without a compiler: that of a processor, and that of other devices, which is what is compiled, too."""
    if request.param == "branch-free":
        monkeypatch.setattr(evaluation, "processor_form", closed_form.dense_form)
    return str(request.param)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 4.0, 20.0, 1e4])
@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
@pytest.mark.parametrize(("soft", "function"), [(Hinton, hinton), (SoftCrossEntropy, soft_cross_entropy)])
def test_value_and_gradient_are_those_of_the_terms(way: str, temperature: float, spread: float, soft: type, function: Any) -> None:
    student, teacher, labels = draw(spread=spread)
    found, gradient = with_gradient(lambda z: fused(temperature=temperature, soft=soft).loss(z, Dense(teacher), labels, epoch=0).total, student)
    value, expected = with_gradient(lambda z: plainly(z, teacher, labels, temperature=temperature, soft=function), student)
    assert found.item() == pytest.approx(value.item(), rel=2e-6)
    assert (gradient - expected).abs().max() <= 2e-6 * max(expected.abs().max().item(), 1e-2)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_float32_is_within_the_stated_distance_of_float64(way: str, temperature: float) -> None:
    student, teacher, labels = draw(1024, 1000)
    labels = labels.clamp_min(0)
    found, gradient = with_gradient(lambda z: DistillationLoss(temperature, 0.9)(z, teacher, labels), student)
    reference = student.double().requires_grad_()
    value = 0.9 * hinton(reference, teacher.double(), temperature=temperature).mean() + 0.1 * hard_label(reference, labels).mean()
    value.backward()
    assert reference.grad is not None
    assert found.item() == pytest.approx(value.item(), rel=2e-7)
    assert (gradient - reference.grad).abs().max() <= 1e-9


def test_the_two_forms_agree_with_each_other() -> None:
    student, teacher, labels = draw(33, 50)
    weights = torch.full((33, 1), 0.1)
    arguments = (student, teacher, None, torch.tensor(3.0), weights, weights, student.gather(1, labels.clamp_min(0)[:, None]))
    ours = [form(*arguments, entropy=False) for form in (evaluation.processor_form, closed_form.dense_form)]
    for first, second in zip(*ours, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-7)


def test_gaps_of_ten_thousand_at_every_temperature_are_finite(way: str) -> None:
    student, teacher, labels = (
        torch.tensor([[1e4, -1e4, 0.0], [0.0, 5e3, 1e4]]),
        torch.tensor([[-1e4, 1e4, 0.0], [0.0, 0.0, 0.0]]),
        torch.tensor([0, 2]),
    )
    for temperature in (0.01, 1.0, 1e4):
        found, gradient = with_gradient(lambda z, t=temperature: fused(temperature=t).loss(z, Dense(teacher), labels, epoch=0).total, student)
        value, expected = with_gradient(lambda z, t=temperature: plainly(z, teacher, labels, temperature=t), student)
        assert found.item() == pytest.approx(value.item(), rel=1e-5)
        assert (gradient - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_even_logits_as_large_as_float32_has_them_are_finite(way: str) -> None:
    student, teacher = torch.tensor([[3e38, -3e38, 0.0]]), torch.tensor([[-3e38, 3e38, 1.0]])
    value, gradient = with_gradient(lambda z: fused(temperature=2.0).loss(z, Dense(teacher), torch.tensor([0]), epoch=0).total, student)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_the_polynomial_is_what_it_stands_for() -> None:
    y = np.linspace(-closed_form.NEAR, closed_form.NEAR, 2001, dtype=np.longdouble)
    y = y[y != 0]
    exact = sum(y**k / math.factorial(k + 2) for k in range(20))
    assert np.abs(np.polynomial.polynomial.polyval(y, np.array(closed_form.BEND, np.longdouble)) / exact - 1).max() < 3e-8


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_may_be_shares_and_smoothed(way: str, smoothing: float) -> None:
    student, teacher, labels = draw()
    for given in (labels, shares(labels, 12)):
        loss = fused(temperature=2.0, smoothing=smoothing)
        found, gradient = with_gradient(lambda z, y=given, loss=loss: loss.loss(z, Dense(teacher), y, epoch=0).total, student)
        value, expected = with_gradient(lambda z, y=given: plainly(z, teacher, y, temperature=2.0, smoothing=smoothing), student)
        assert found.item() == pytest.approx(value.item(), rel=1e-6)
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_terms_are_weighted_detached_and_sum_to_the_total() -> None:
    student, teacher, labels = draw()
    found = fused(temperature=4.0).loss(student.requires_grad_(), Dense(teacher), labels, epoch=0)
    assert sum(found.terms.values()).item() == pytest.approx(found.total.item(), rel=1e-6)
    assert not any(term.requires_grad for term in found.terms.values())
    assert found.terms["soft"].item() == pytest.approx(0.8 * hinton(student, teacher, temperature=4.0).mean().item(), rel=1e-6)


def test_pieces_of_a_batch_add_up_to_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher, labels = draw(40)
    loss = fused(temperature=4.0)
    whole, gradient = with_gradient(lambda z: loss.loss(z, Dense(teacher), labels, epoch=0).total, student)
    counts = loss.counts(labels)
    parts = zip(student.split(15), teacher.split(15), labels.split(15), strict=True)
    found = [with_gradient(lambda z, v=v, y=y: loss.loss(z, Dense(v), y, epoch=0, counts=counts).total, z) for z, v, y in parts]
    assert sum(value for value, _ in found).item() == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(torch.cat([part for _, part in found]), gradient, rtol=1e-5, atol=1e-8)
    monkeypatch.setitem(evaluation.CHUNK, "cpu", 7 * 12)  # rows in six chunks
    chunked, in_chunks = with_gradient(lambda z: loss.loss(z, Dense(teacher), labels, epoch=0).total, student)
    assert chunked.item() == pytest.approx(whole.item(), rel=1e-6)
    torch.testing.assert_close(in_chunks, gradient, rtol=1e-5, atol=1e-8)


def test_a_scheduled_weight_is_that_of_the_epoch() -> None:
    student, teacher, labels = draw()
    loss = Mixture({"soft": (Hinton(temperature=4.0), Linear(0.0, 1.0, epochs=10)), "hard": (HardLabel(), 1.0)})
    alone = hinton(student, teacher, temperature=4.0).mean().item()
    assert loss.loss(student, Dense(teacher), labels, epoch=5.0).terms["soft"].item() == pytest.approx(0.5 * alone, rel=1e-6)


@pytest.mark.parametrize("codec", ["float16", "uint8", "float32"])
def test_recorded_rows_are_read_as_they_are_stored(way: str, codec: str) -> None:
    student, teacher, labels = draw()
    packed = build_codec(codec, 12)
    rows = packed.encode(teacher)
    stored = packed.stored(rows)  # type: ignore[attr-defined]
    assert stored.values.dtype == {"float16": torch.float16, "uint8": torch.uint8, "float32": torch.float32}[codec]
    found, gradient = with_gradient(lambda z: fused(temperature=4.0).loss(z, stored, labels, epoch=0).total, student)
    value, expected = with_gradient(lambda z: plainly(z, packed.decode(rows), labels, temperature=4.0), student)
    assert found.item() == pytest.approx(value.item(), rel=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize(("soft", "function"), [(Hinton, hinton), (SoftCrossEntropy, soft_cross_entropy)])
@pytest.mark.parametrize("k", [5, 40])
def test_a_teacher_with_a_few_known_classes_is_the_same_as_all_his_classes(temperature: float, soft: type, function: Any, k: int) -> None:
    student, teacher, labels = draw(9, 40)
    codec = build_codec("topk", 40, k=k, temperatures=(1.0, 4.0))
    rows = codec.encode(teacher)
    sparse = codec.sparse(rows, temperature)  # type: ignore[attr-defined]
    assert isinstance(sparse, Sparse)
    answer = _Answer(sparse)
    found, gradient = with_gradient(lambda z: fused(temperature=temperature, soft=soft).loss(z, answer, labels, epoch=0).total, student)
    dense = codec.decode(rows, temperature)
    value, expected = with_gradient(lambda z: plainly(z, dense, labels, temperature=temperature, soft=function), student)
    assert found.item() == pytest.approx(value.item(), rel=2e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_so_it_is_for_a_soft_term_alone() -> None:
    student, teacher, labels = draw(9, 40)
    codec = build_codec("topk", 40, k=5, temperatures=(4.0,))
    rows = codec.encode(teacher)
    answer, dense = _Answer(codec.sparse(rows, 4.0)), codec.decode(rows, 4.0)  # type: ignore[attr-defined]
    found, gradient = with_gradient(lambda z: Mixture({"soft": (Hinton(4.0), 1.0)}).loss(z, answer, labels, epoch=0).total, student)
    value, expected = with_gradient(lambda z: hinton(z.double(), dense.double(), temperature=4.0).mean(), student)
    assert found.item() == pytest.approx(value.item(), rel=2e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


class _Answer:
    """A teacher who has his soft target at one temperature alone."""

    def __init__(self, sparse: Sparse) -> None:
        self.sparse = sparse

    def compact(self, temperature: float) -> Sparse:
        return self.sparse

    def logits(self, temperature: float = 1.0) -> Tensor:
        raise AssertionError("nobody should build all classes")


def test_no_dense_teacher_is_built_for_a_sparse_one() -> None:
    student, teacher, labels = draw(9, 40)
    codec = build_codec("topk", 40, k=5, temperatures=(4.0,))
    fused(temperature=4.0).loss(student, _Answer(codec.sparse(codec.encode(teacher), 4.0)), labels, epoch=0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("classes", [30, 39, 41, 400])
def test_a_teacher_with_a_few_known_classes_has_as_many_classes_as_the_student(classes: int) -> None:
    codec = build_codec("topk", 40, k=5, temperatures=(4.0,))
    answer = _Answer(codec.sparse(codec.encode(draw(9, 40)[1]), 4.0))  # type: ignore[attr-defined]
    student, _, labels = draw(9, classes)
    with pytest.raises(UsageError, match=f"over the student's {classes} classes"):
        fused(temperature=4.0).loss(student, answer, labels, epoch=0)


class Old:
    """An answer as somebody may have written it, who knows of logits alone."""

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits

    def logits(self, temperature: float = 1.0) -> Tensor:
        return self._logits


def test_an_empty_batch_and_one_without_labels_cost_nothing_where_nothing_counts(way: str) -> None:
    student, teacher, labels = draw()
    empty = student[:0].clone().requires_grad_()
    total = fused(temperature=4.0).loss(empty, Dense(teacher[:0]), labels[:0], epoch=0).total
    total.backward()
    assert total.item() == 0
    found = fused(temperature=4.0).loss(student, Dense(teacher), torch.full_like(labels, IGNORED), epoch=0)
    assert found.terms["hard"].item() == 0
    assert found.total.item() == pytest.approx(0.8 * hinton(student, teacher, temperature=4.0).mean().item(), rel=1e-6)


def test_an_answer_with_logits_alone_will_do() -> None:
    student, teacher, labels = draw()
    loss = fused(temperature=4.0)
    assert loss.loss(student, Old(teacher), labels, epoch=0).total == loss.loss(student, Output.single(teacher), labels, epoch=0).total  # type: ignore[arg-type]


def test_float16_survives_the_scaling_of_gradients() -> None:
    student, teacher, labels = draw(1024, 1000, spread=0.1)
    half = student.half().requires_grad_()
    (2.0**12 * DistillationLoss(4.0, 0.9)(half, teacher, labels)).backward()
    reference = half.detach().double().requires_grad_()
    expected = 0.9 * hinton(reference, teacher.double(), temperature=4.0).mean() + 0.1 * hard_label(reference, labels).sum() / 1023
    (gradient,) = torch.autograd.grad(expected, reference)
    assert half.grad is not None
    assert half.grad.dtype == torch.float16
    # float16 numbers of this size are 2⁻²⁴ apart, and unscaled the smaller gradients would all be 0.
    assert (half.grad.double() / 2**12 - gradient).abs().max() <= 2.0**-10 * gradient.abs().max() + 2.0**-37
    assert (gradient.half() == 0).double().mean() > 0.01 > (half.grad == 0).double().mean()


def test_bfloat16_logits_get_gradients_of_their_kind_and_a_float32_loss() -> None:
    student, teacher, labels = draw()
    logits = student.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = DistillationLoss(4.0, 0.9)(logits, teacher, labels)
    loss.backward()
    assert loss.dtype == torch.float32
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
    assert loss.item() == pytest.approx(DistillationLoss(4.0, 0.9)(logits.detach().float(), teacher, labels).item(), rel=1e-6)


def test_a_graph_that_is_kept_can_be_gone_through_again() -> None:
    student, teacher, labels = draw()
    student.requires_grad_()
    loss = DistillationLoss(4.0, 0.9)(student, teacher, labels)
    first = torch.autograd.grad(loss, student, torch.tensor(3.0), retain_graph=True)[0].clone()
    second = torch.autograd.grad(loss, student, torch.tensor(5.0), retain_graph=True)[0].clone()
    third = torch.autograd.grad(loss, student)[0]
    torch.testing.assert_close(first / 3, third)
    torch.testing.assert_close(second / 5, third)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, student)


def test_torch_tells_whether_a_graph_is_kept_so_that_one_that_is_not_needs_no_second_gradient() -> None:
    told = []

    class Asking(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, given: Tensor) -> Tensor:
            return given.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            told.append(_graph_is_kept())
            return gradient

    value = Asking.apply(torch.zeros((), requires_grad=True))
    value.backward(retain_graph=True)
    value.backward()
    assert told == [True, not hasattr(torch._C._autograd, "_get_current_graph_task_keep_graph")]


@pytest.mark.parametrize("after", [lambda value: value, lambda value: 3.0 * value, torch.square], ids=["as it is", "tripled", "squared"])
def test_the_second_derivative_is_that_of_the_terms(after: Callable[[Tensor], Tensor]) -> None:
    student, teacher, labels = draw(3, 4)
    labels[2] = 1
    loss = DistillationLoss(4.0, 0.9)
    direction = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def product(total: Any) -> Tensor:
        z = student.double().requires_grad_()
        (gradient,) = torch.autograd.grad(after(total(z)), z, create_graph=True)
        return torch.autograd.grad((gradient * direction).sum(), z)[0]

    def terms(z: Tensor) -> Tensor:
        return 0.9 * hinton(z, teacher.double(), temperature=4.0).mean() + 0.1 * hard_label(z, labels).mean()

    torch.testing.assert_close(product(lambda z: loss(z, teacher.double(), labels)), product(terms))


def test_transforms_of_functions_look_through_it() -> None:
    student, teacher, labels = draw(4, 5)
    loss = DistillationLoss(4.0, 0.9)
    expected = with_gradient(lambda z: loss(z, teacher, labels.clamp_min(0)), student)[1]
    found = torch.func.grad(lambda z: loss(z, teacher, labels.clamp_min(0)))(student)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "terms",
    [
        {"a": (Hinton(temperature=2.0), 1.0), "b": (Hinton(temperature=4.0), 1.0)},
        {"a": (Hinton(temperature=2.0), 1.0), "b": (LogitMatching(), 1.0)},
        {"a": (HardLabel(), 1.0), "b": (HardLabel(label_smoothing=0.1), 1.0)},
    ],
)
def test_what_is_no_soft_and_hard_term_is_not_fused(terms: Any) -> None:
    student, teacher, labels = draw()
    loss = Mixture(terms)
    total = loss.loss(student.requires_grad_(), Dense(teacher), labels, epoch=0).total
    assert "ClosedForm" not in type(total.grad_fn).__name__


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_alone_are_computed_as_one_too(smoothing: float) -> None:
    student, _, labels = draw(40, 300)
    loss = Mixture({"hard": (HardLabel(label_smoothing=smoothing), 0.5)})
    for given in (labels, shares(labels, 300)):
        found, gradient = with_gradient(lambda z, y=given: loss.loss(z, None, y, epoch=0).total, student)
        value, expected = with_gradient(lambda z, y=given: 0.5 * hard_label(z.double(), y, label_smoothing=smoothing).sum() / 39, student)
        assert found.item() == pytest.approx(value.item(), rel=1e-6)
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-8)


KINDS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("of_student", KINDS, ids=str)
@pytest.mark.parametrize("of_teacher", KINDS, ids=str)
@pytest.mark.parametrize("rows", [9, 4000])
def test_student_and_teacher_may_be_of_any_kinds(way: str, of_student: torch.dtype, of_teacher: torch.dtype, rows: int) -> None:
    student, teacher, labels = draw(rows)
    student, teacher = student.to(of_student), teacher.to(of_teacher)
    for given in (labels, shares(labels, 12).double()):
        logits = student.clone().requires_grad_()
        total = fused(temperature=4.0, smoothing=0.1).loss(logits, Dense(teacher), given, epoch=0).total
        total.backward()
        assert logits.grad is not None
        assert (total.dtype, logits.grad.dtype) == (torch.promote_types(of_student, torch.float32), of_student)
        value, expected = with_gradient(lambda z, y=given: plainly(z, teacher, y, temperature=4.0, smoothing=0.1), student.double())
        assert total.item() == pytest.approx(value.item(), rel=2e-6)
        near = {torch.float64: 1e-5, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}[of_student]
        assert (logits.grad.double() - expected).abs().max() <= near * expected.abs().max()


def test_shares_that_do_not_quite_sum_to_one_are_weighed_as_the_term_weighs_them() -> None:
    student, teacher, labels = draw()
    uneven = 1.008 * shares(labels, 12)
    found, gradient = with_gradient(lambda z: fused(temperature=4.0, smoothing=0.1).loss(z, Dense(teacher), uneven, epoch=0).total, student)
    value, expected = with_gradient(lambda z: plainly(z, teacher, uneven, temperature=4.0, smoothing=0.1), student)
    assert found.item() == pytest.approx(value.item(), rel=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_classes_may_be_bytes() -> None:
    student, teacher, _ = draw(3, 200)
    labels = torch.tensor([156, 3, 199], dtype=torch.uint8)
    found = fused(temperature=4.0).loss(student, Dense(teacher), labels, epoch=0).total
    assert found.item() == pytest.approx(plainly(student, teacher, labels.long(), temperature=4.0).item(), rel=1e-6)


def test_hooks_of_the_logits_are_called_once_in_a_pass_that_is_differentiated_again() -> None:
    student, teacher, labels = draw()
    calls: list[int] = []
    leaf = student.requires_grad_()
    logits = leaf * 1.0
    logits.register_hook(lambda gradient: calls.append(1))
    (gradient,) = torch.autograd.grad(DistillationLoss()(logits, teacher, labels), leaf, create_graph=True)
    assert calls == [1]
    assert gradient.requires_grad


def test_what_was_called_within_a_mode_of_torch_leaves_nothing_behind() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    student, teacher, labels = draw(7, 9)
    labels = labels.clamp_min(0)
    loss = DistillationLoss(3.21)
    with FakeTensorMode() as mode, torch.no_grad():
        loss(*(mode.from_tensor(part).to("meta") for part in (student, teacher, labels)))
    assert DistillationLoss(3.21)(student, teacher, labels).isfinite()


def test_a_mixture_that_was_told_how_stays_with_it() -> None:
    loss = fused(temperature=2.0, compile="off")
    loss.prepare(examples=10**12, compile="on")
    assert loss._evaluation.compile == "off"


def test_a_mixture_that_was_told_nothing_does_as_the_run_says() -> None:
    loss = fused(temperature=2.0, compile="auto")
    loss.prepare(examples=10**12, compile="off")
    assert loss._evaluation.compile == "off"


def _first(student: Tensor, other: Tensor | None, *, flag: bool) -> Tensor:
    return student


def test_code_is_made_once_for_all_that_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(evaluation, "_CODE", {})
    monkeypatch.setattr(torch, "compile", lambda function, options: made.append(options) or function)
    rows = torch.zeros(3, 4)
    same = ((rows, None), (rows, None), (rows[:2], None))
    other = ((rows, rows), (rows, rows.half()), (rows.half(), None), (rows.T.contiguous().T, None), (rows[:, :3], None))
    for given in (*same, *other):
        assert evaluation._compiled(_first, *given, flag=False) is given[0]  # type: ignore[type-var]
    assert len(made) == 1 + len(other)
    evaluation._compiled(_first, rows, None, flag=True)  # type: ignore[type-var]
    assert len(made) == 2 + len(other)
    unguarded = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    assert all(options == {**unguarded, "cpp.enable_floating_point_contract_flag": "fast"} for options in made)
    assert evaluation._options("cuda") == unguarded


def test_a_term_of_ones_own_that_derives_from_hinton_keeps_its_own_formula() -> None:
    class Halved(Hinton):
        def per_example(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
            return super().per_example(student, teacher, labels) / 2

    student, teacher, labels = draw()
    found = Mixture({"soft": (Halved(temperature=4.0), 1.0)}).loss(student, Dense(teacher), labels, epoch=0).total
    assert found.item() == pytest.approx(hinton(student, teacher, temperature=4.0).mean().item() / 2, rel=1e-6)


def test_wrong_shapes_are_refused_before_anything_is_computed() -> None:
    student, teacher, labels = draw()
    loss = DistillationLoss()
    with pytest.raises(UsageError, match="same classes"):
        loss(student, teacher[:, :-1], labels)
    with pytest.raises(UsageError, match="labels have shape"):
        loss(student, teacher, labels[:-1])
    with pytest.raises(UsageError, match="is no class"):
        loss(student, teacher, labels + 12)
    with pytest.raises(UsageError, match="auto, on or off"):
        DistillationLoss(compile="yes")  # type: ignore[arg-type]


def test_compiling_begins_when_the_work_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        evaluation,
        "_compiled",
        lambda form, student, *rest, **flags: calls.append(len(student)) or evaluation._in_chunks(form, student, *rest, **flags),
    )
    student, teacher, labels = draw()
    enough = math.ceil(evaluation.WORTH / (12 + evaluation.OVERHEAD))
    told = DistillationLoss()
    told.mixture.prepare(examples=enough, compile="auto")
    told(student, teacher, labels)
    assert calls == [9]
    short = DistillationLoss()
    short.mixture.prepare(examples=enough - 1, compile="auto")
    short(student, teacher, labels)
    assert calls == [9]
    monkeypatch.setattr(evaluation, "WORTH", 3 * 9 * (12 + evaluation.OVERHEAD))
    untold = DistillationLoss()
    for _ in range(4):
        untold(student, teacher, labels)
    assert calls == [9, 9, 9]  # of four batches the last two
    never = DistillationLoss(compile="off")
    for _ in range(4):
        never(student, teacher, labels)
    assert calls == [9, 9, 9]


def _no_compiler(*arguments: Any, **flags: Any) -> Any:
    raise torch._dynamo.exc.TorchDynamoException("there is no C++ compiler")


def test_without_a_compiler_it_goes_on_as_it_stands_and_says_so_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(evaluation, "_compiled", _no_compiler)
    monkeypatch.setattr(evaluation, "WORTH", 1)
    student, teacher, labels = draw()
    loss = DistillationLoss()
    found = [loss(student, teacher, labels).item() for _ in range(2)]
    assert found == [DistillationLoss(compile="off")(student, teacher, labels).item()] * 2
    assert [record.message for record in caplog.records] == ["the objective is not compiled: there is no C++ compiler"]


def test_compilation_that_was_asked_for_and_is_impossible_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_compiled", _no_compiler)
    student, teacher, labels = draw()
    with pytest.raises(ResourceError, match="C\\+\\+ compiler"):
        DistillationLoss(compile="on")(student, teacher, labels)


@pytest.mark.slow
def test_compiled_it_is_the_same_for_every_batch_temperature_and_weight() -> None:
    for rows, temperature, alpha in ((9, 4.0, 0.9), (40, 1.0, 0.3), (5, 100.0, 0.9), (1, 4.0, 0.9), (9, 20.0, 0.5)):
        student, teacher, labels = draw(max(rows, 3), 30, seed=rows)
        student, teacher, labels = student[:rows], teacher[:rows], labels[:rows].clamp_min(0)
        results = [
            with_gradient(lambda z, mode=mode: DistillationLoss(temperature, alpha, compile=mode)(z, teacher, labels), student)  # type: ignore[arg-type] # noqa: B023
            for mode in ("on", "off")
        ]
        torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-6, atol=0)
        torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-8)
    assert sum(form is closed_form.dense_form and classes == 30 for form, _, classes, *_ in evaluation._CODE) == 1


@pytest.mark.slow
def test_compiled_code_survives_more_threads_and_a_reset_of_the_compiler() -> None:
    student, teacher, labels = draw(4096, 31)
    expected = DistillationLoss(2.0, compile="off")(student, teacher, labels).item()
    threads = torch.get_num_threads()
    try:
        for number in (1, (os.cpu_count() or 1) + 2):
            torch.set_num_threads(number)
            assert DistillationLoss(2.0, compile="on")(student, teacher, labels).item() == pytest.approx(expected, rel=1e-6)
    finally:
        torch.set_num_threads(threads)
    torch.compiler.reset()
    for rows in (12, 5):
        expected = DistillationLoss(2.0, compile="off")(student[:rows], teacher[:rows], labels[:rows]).item()
        assert DistillationLoss(2.0, compile="on")(student[:rows], teacher[:rows], labels[:rows]).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_compiled_recorded_rows_and_sparse_teachers_are_the_same_too() -> None:
    codecs = build_codec("uint8", 30), build_codec("topk", 30, k=6, temperatures=(4.0,))
    for rows in (9, 21):
        student, teacher, labels = draw(rows, 30, seed=rows)
        encoded = [codec.encode(teacher) for codec in codecs]
        answers = [codecs[0].stored(encoded[0]), _Answer(codecs[1].sparse(encoded[1], 4.0))]  # type: ignore[attr-defined]
        for answer in answers:
            results = [
                with_gradient(lambda z, m=m, a=answer, y=labels: fused(temperature=4.0, compile=m).loss(z, a, y, epoch=0).total, student)
                for m in ("on", "off")
            ]
            torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-6, atol=0)
            torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-8)
