"""A view of an example looks the same whoever lies beside it in the batch, and wherever the batch is cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from darkknowledge.contract import Batch, Examples
from darkknowledge.data import ImageExamples, Mixed

COUNT, VIEWS = 20, 5


def examples(recipe: str, mix: str) -> Examples:
    """Twenty pictures with ids that are not in order."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (COUNT, 3, 8, 6), generator=random).byte()
    ids = 1000 + 3 * torch.randperm(COUNT, generator=random)
    plain = ImageExamples(images, ids, torch.randint(4, (COUNT,), generator=random)).augmented(recipe, seed=7)
    return Mixed(plain, mix, alpha=1.0, classes=4, seed=7) if mix else plain


def shown(which: Examples, positions: Tensor, views: Tensor, batch_size: int) -> Batch:
    """The batches put together again."""
    batches = list(which.batches(positions, batch_size=batch_size, views=views))
    assert [len(batch) for batch in batches] == [len(part) for part in positions.split(batch_size)]
    return Batch(*(torch.cat([getattr(batch, name) for batch in batches]) for name in ("ids", "inputs", "labels", "views")))


@pytest.mark.parametrize("mix", ["", "mixup", "cutmix"])
@pytest.mark.parametrize("recipe", ["crop_flip_cutout", "jitter"])
def test_a_view_is_the_same_in_any_company_and_any_cut(recipe: str, mix: str) -> None:
    which = examples(recipe, mix)
    every = [shown(which, torch.arange(COUNT), torch.full((COUNT,), view), COUNT) for view in range(VIEWS)]

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, VIEWS - 1)), min_size=20, max_size=40), st.integers(1, 41))
    def check(asked: list[tuple[int, int]], batch_size: int) -> None:
        positions, views = torch.tensor(asked).unbind(1)
        found = shown(which, positions, views, batch_size)
        for name in ("ids", "inputs", "labels", "views"):
            expected = torch.stack([getattr(every[view], name)[position] for position, view in asked])
            assert getattr(found, name).equal(expected)

    check()
