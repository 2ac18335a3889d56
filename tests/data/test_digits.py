from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from darkknowledge import data


def test_the_digits_are_those_of_scikit_learn(everything: Callable[..., Any]) -> None:
    digits = data.load("digits", root="/nowhere", validation=0)
    reference = load_digits()
    for examples in (digits.train, digits.open_test()):
        batch = everything(examples)
        np.testing.assert_allclose(batch.inputs[:, 0].numpy(), reference.images[batch.ids] / 16, atol=0.5 / 255 + 1e-6)
        assert batch.labels.tolist() == reference.target[batch.ids].tolist()
    assert (digits.input_shape, digits.class_names) == ((1, 8, 8), tuple("0123456789"))


def test_the_test_set_is_500_stratified_cases_that_never_change() -> None:
    first, second = data.load("digits"), data.load("digits", split_seed=3, fraction=0.5)
    test = first.open_test()
    assert torch.equal(test.ids, second.open_test().ids)
    assert len(test) == 500
    assert test.ids[:8].tolist() == TEST_IDS
    assert set(test.labels.bincount().tolist()) <= {48, 49, 50, 51}
    everyone = torch.cat([first.train.ids, first.validation.ids, test.ids])
    assert everyone.sort().values.tolist() == list(range(1797))


TEST_IDS = [4, 14, 17, 20, 22, 23, 24, 26]
"""The first ids of the test set, pinned: results of different versions are comparable only while it stays the same."""
