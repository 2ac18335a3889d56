"""What the documentation says of the error of a soft target: logits off by at most ε move it by a total variation of at most ε / 2T."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from darkknowledge.transfer.codec import build


def total_variation(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    return ((first / temperature).softmax(-1) - (second / temperature).softmax(-1)).abs().sum(-1) / 2


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
@pytest.mark.parametrize(("name", "classes"), [("float16", 10), ("float16", 256), ("uint8", 10), ("uint8", 1000)])
@pytest.mark.parametrize("spread", [1.0, 6.0, 40.0])
def test_a_soft_target_is_within_the_bound_that_is_written_for_its_codec(name: str, classes: int, spread: float, temperature: float) -> None:
    logits = spread * torch.randn(500, classes, generator=torch.Generator().manual_seed(classes))
    codec = build(name, classes)
    low, high = logits.double().aminmax(dim=-1)
    error = logits.abs().amax(-1).double() / 2**11 if name == "float16" else (high - low) / 510
    found = total_variation(codec.decode(codec.encode(logits)).double(), logits.double(), temperature)
    assert (found <= error / (2 * temperature) * 1.001).all()
    assert found.max() > 0


def test_the_bound_is_nearly_reached_by_two_classes_that_move_apart() -> None:
    logits, moved = torch.tensor([0.0, 0.0]).double(), torch.tensor([0.01, -0.01]).double()
    assert total_variation(moved, logits, 2.0) == pytest.approx(0.01 / (2 * 2.0), rel=1e-4)
