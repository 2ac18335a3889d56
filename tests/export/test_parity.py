"""The verdict on a file: a share of the largest logit, the classes, and nothing that is not finite."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from darkknowledge.errors import IntegrityError
from darkknowledge.export import TOLERANCE, Parity, compare

LOGITS = torch.tensor([[4.0, -8.0, 1.0], [0.5, 0.0, 2.0]])


def moved(amount: float) -> Tensor:
    found = LOGITS.clone()
    found[1, 0] += amount
    return found


def test_the_difference_is_a_share_of_the_largest_logit_of_all() -> None:
    parity = Parity(LOGITS, moved(4e-5))
    assert parity.difference == pytest.approx(4e-5 / 8, rel=1e-2)
    assert (parity.examples, parity.same_class) == (2, 2)
    parity.check("a file")


@pytest.mark.parametrize("amount", [1.6e-4, float("nan"), float("inf")])
def test_more_than_rounding_is_refused(amount: float) -> None:
    with pytest.raises(IntegrityError, match=r"a file does not compute what the network computes[\s\S]*nothing was kept"):
        Parity(LOGITS, moved(amount)).check("a file")


def test_another_class_is_refused_however_small_the_difference() -> None:
    reference = torch.tensor([[1.0, 1.0 - 1e-7, 0.0]])
    found = torch.tensor([[1.0 - 1e-7, 1.0, 0.0]])
    assert Parity(reference, found).difference < TOLERANCE
    with pytest.raises(IntegrityError, match="1 pictures get another class"):
        Parity(reference, found).check("a file")


def test_every_picture_is_asked_about_once_of_everyone() -> None:
    asked: list[int] = []

    def twice(inputs: Tensor) -> Tensor:
        asked.append(len(inputs))
        return 2 * inputs

    found = compare(lambda inputs: inputs, {"double": twice}, iter(LOGITS.split(1)))
    assert asked == [1, 1]
    assert torch.equal(found["double"].reference, LOGITS)
    assert torch.equal(found["double"].found, 2 * LOGITS)
