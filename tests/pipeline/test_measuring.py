"""How a split is cut into batches says nothing about a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from darkknowledge import Dataset, Frozen
from darkknowledge.analysis import measure_fidelity, nll
from darkknowledge.pipeline._measuring import answer


@pytest.mark.parametrize("batch_size", [1, 7, 39, 40, 1000])
def test_answers_and_what_is_measured_on_them_do_not_depend_on_the_batch_size(stripes: Dataset, batch_size: int) -> None:
    torch.manual_seed(0)
    student, teacher = (Frozen(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), stripes.class_names) for _ in range(2))
    examples = stripes.open_test()
    whole = next(examples.batches(torch.arange(40), batch_size=40, views=None))
    ours, theirs = (answer(each, examples, batch_size=batch_size) for each in (student, teacher))
    assert torch.equal(ours.ids, whole.ids)
    assert torch.equal(ours.labels, whole.labels)
    torch.testing.assert_close(ours.logits, student(whole).logits())
    assert nll(ours.logits, ours.labels) == pytest.approx(nn.functional.cross_entropy(student(whole).logits(), whole.labels).item(), rel=1e-5)
    seen = measure_fidelity(student=ours.logits, teacher=theirs.logits, labels=ours.labels)
    agree = student(whole).logits().argmax(-1) == teacher(whole).logits().argmax(-1)
    assert seen.overall.at_1 == pytest.approx(agree.double().mean().item())
    assert 0 < seen.overall.at_1 < 1
