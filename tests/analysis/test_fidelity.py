from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from darkknowledge.analysis import measure_fidelity
from darkknowledge.errors import UsageError


@pytest.fixture
def answers() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    teacher = 3 * torch.randn(203, 10, generator=generator)
    student = teacher + 2 * torch.randn(203, 10, generator=generator)
    labels = torch.multinomial(teacher.softmax(-1), 1, generator=generator)[:, 0]
    return student, teacher, labels


def test_agreement_and_divergence_are_those_of_numpy_for_each_part(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = answers
    seen = measure_fidelity(student=student, teacher=teacher, labels=labels)
    z, v = student.double().numpy(), teacher.double().numpy()
    right = v.argmax(1) == labels.numpy()
    assert 0 < right.sum() < 203
    for part, chosen in ((seen.overall, right | ~right), (seen.teacher_right, right), (seen.teacher_wrong, ~right)):
        assert part is not None
        first_five = np.argsort(-z[chosen], axis=1)[:, :5]
        first = v[chosen].argmax(1)
        assert part.examples == chosen.sum()
        assert part.at_1 == pytest.approx((first_five[:, 0] == first).mean())
        assert part.at_5 == pytest.approx((first_five == first[:, None]).any(1).mean())
        assert part.kl == pytest.approx(rel_entr(softmax(v[chosen], axis=1), softmax(z[chosen], axis=1)).sum(1).mean(), rel=1e-10)


def test_agreement_at_5_looks_for_the_teachers_first_class_in_the_student() -> None:
    teacher = torch.tensor([[6.0, 5, 4, 3, 2, 1]])
    student = torch.tensor([[1.0, 2, 3, 4, 5, 6]])  # the student's last is the teacher's first
    assert measure_fidelity(student=student, teacher=teacher, labels=torch.tensor([0])).overall.at_5 == 0.0
    sixth_is_another = torch.tensor([[2.0, 1, 3, 4, 5, 6]])  # its own first is the teacher's last
    assert measure_fidelity(student=sixth_is_another, teacher=teacher, labels=torch.tensor([0])).overall.at_5 == 1.0


def test_the_divergence_is_from_teacher_to_student_and_not_the_other_way(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = answers
    there = measure_fidelity(student=student, teacher=teacher, labels=labels).overall.kl
    back = measure_fidelity(student=teacher, teacher=student, labels=labels).overall.kl
    assert there != pytest.approx(back, rel=0.01)


def test_a_copy_agrees_entirely_and_a_shift_of_the_logits_changes_nothing(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    _, teacher, labels = answers
    copy = measure_fidelity(student=teacher + 7, teacher=teacher.log_softmax(-1), labels=labels).overall
    assert (copy.at_1, copy.at_5) == (1.0, 1.0)
    assert copy.kl == pytest.approx(0, abs=1e-6)


def test_a_teacher_without_errors_has_no_wrong_part_and_few_classes_no_agreement_at_5() -> None:
    seen = measure_fidelity(student=torch.eye(3), teacher=torch.eye(3), labels=torch.arange(3))
    assert seen.teacher_wrong is None
    assert seen.teacher_right == seen.overall
    assert seen.overall.at_5 is None


def test_answers_of_different_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(4, 10\) and teacher logits \(4, 1\)"):
        measure_fidelity(student=torch.zeros(4, 10), teacher=torch.zeros(4, 1), labels=torch.zeros(4, dtype=torch.long))
