from __future__ import annotations

import time

import pytest
import torch

from darkknowledge.data import RECIPES, ImageExamples
from darkknowledge.errors import UsageError


def examples(count: int = 50, *, size: int = 8) -> ImageExamples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, size, size), dtype=torch.uint8, generator=generator)
    return ImageExamples(images, torch.arange(100, 100 + count), torch.arange(count) % 10)


def test_batches_follow_the_positions_and_the_last_is_shorter() -> None:
    pictures = examples()
    positions = torch.tensor([4, 0, 49, 7, 7])
    batches = list(pictures.batches(positions, batch_size=2, views=None))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert torch.cat([batch.ids for batch in batches]).tolist() == [104, 100, 149, 107, 107]
    assert torch.cat([batch.labels for batch in batches]).tolist() == [4, 0, 9, 7, 7]
    inputs = torch.cat([batch.inputs for batch in batches])
    assert inputs.dtype == torch.float32
    torch.testing.assert_close(inputs, pictures.images[positions] / 255, rtol=2e-7, atol=0)


def test_black_is_exactly_zero_and_white_exactly_one() -> None:
    pictures = ImageExamples(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2), torch.tensor([0]), torch.tensor([0]))
    (batch,) = pictures.batches(torch.tensor([0]), batch_size=1, views=None)
    assert batch.inputs.flatten().tolist() == [0.0, 1.0]


def test_no_positions_give_no_batches() -> None:
    assert list(examples().batches(torch.empty(0, dtype=torch.int64), batch_size=4, views=torch.empty(0, dtype=torch.int64))) == []


def test_a_view_depends_on_the_id_and_the_view_and_not_on_the_batch() -> None:
    pictures = examples().augmented("jitter", seed=5)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    small = torch.cat([batch.inputs for batch in pictures.batches(order, batch_size=7, views=torch.full_like(order, 3))])
    (whole,) = pictures.batches(torch.arange(50), batch_size=50, views=torch.full_like(torch.arange(50), 3))
    assert torch.equal(small, whole.inputs[order])
    expected = RECIPES["jitter"](pictures.images, seed=5, ids=pictures.ids, views=3)
    torch.testing.assert_close(whole.inputs, expected / 255, rtol=2e-7, atol=0)


def test_a_part_of_the_examples_shows_the_same_views() -> None:
    pictures = examples().augmented("jitter", seed=5)
    part = pictures.select(torch.tensor([8, 30]), labels=torch.tensor([8, 0]))
    (ours,) = part.batches(torch.tensor([0, 1]), batch_size=2, views=torch.full_like(torch.tensor([0, 1]), 1))
    (theirs,) = pictures.batches(torch.tensor([8, 30]), batch_size=2, views=torch.full_like(torch.tensor([8, 30]), 1))
    assert torch.equal(ours.inputs, theirs.inputs)
    assert ours.ids.tolist() == [108, 130]


def test_an_unknown_recipe_is_refused_with_a_close_match() -> None:
    with pytest.raises(UsageError, match="Did you mean 'jitter'") as caught:
        examples().augmented("jiter", seed=0)
    assert caught.value.exit_code == 2


def test_gathering_takes_no_python_step_per_example() -> None:
    pictures = examples(20_000, size=28)
    positions = torch.randperm(20_000)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.process_time()
        count = sum(1 for _ in pictures.batches(positions, batch_size=256, views=None))
        spent = (time.process_time() - start) / count
    finally:
        torch.set_num_threads(threads)
    assert spent < 1e-3, "a batch of 256 took over a millisecond; 0.06 ms is usual"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: gathering on a GPU is not compared")
def test_batches_are_gathered_on_the_device_and_are_bit_equal_there() -> None:
    pictures = examples().augmented("crop_flip", seed=0)
    (here,) = pictures.batches(torch.arange(50), batch_size=50, views=torch.full_like(torch.arange(50), 2))
    (there,) = pictures.to("cuda").batches(torch.arange(50), batch_size=50, views=torch.full_like(torch.arange(50), 2))
    assert there.inputs.is_cuda
    assert torch.equal(here.inputs, there.inputs.cpu())
