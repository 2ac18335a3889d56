from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch

from darkknowledge.randomness import Stream, bits, uniform, view_of

WORD = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The output of the generator whose state is ``state`` before the step, in plain integers."""
    state = (state + 0x9E3779B97F4A7C15) & WORD
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
    return state ^ (state >> 31)


def test_the_reference_gives_the_published_first_output() -> None:
    assert splitmix64(1234567) == 6457827717110365317


@pytest.mark.parametrize(("seed", "view", "stream"), [(0, 0, 0), (7, 3, Stream.FLIP), (-1, 10**6, 99), (2**63 + 5, 1, 1)])
def test_the_bits_are_those_of_splitmix64_in_unsigned_arithmetic(seed: int, view: int, stream: int) -> None:
    ids = [0, 1, 2, 59_999, 2**40, 2**62]
    start = 0
    for word in (seed, view, stream):
        start = splitmix64((start + word) & WORD)
    expected = [splitmix64((start + (i - 1) * 0x9E3779B97F4A7C15) & WORD) for i in ids]
    assert [word & WORD for word in bits(seed, torch.tensor(ids), view, stream).tolist()] == expected


def test_the_numbers_are_uniform_for_every_key() -> None:
    ids = torch.arange(20_000)
    keys = [(seed, view, stream) for seed in (0, 1, 12345) for view in (0, 1, 2, 500) for stream in Stream]
    numbers = [uniform(seed, ids, view, stream) for seed, view, stream in keys]
    assert all(row.dtype == torch.float32 and 0 <= row.min() < 1e-3 and 1 - 1e-3 < row.max() < 1 for row in numbers)
    counts = [np.bincount((row * 256).long().numpy(), minlength=256) for row in numbers]
    levels = [scipy.stats.chisquare(row).pvalue for row in counts]
    assert min(levels) > 1e-3 / len(levels)
    assert scipy.stats.kstest(levels, "uniform").pvalue > 0.01, "the test levels of uniform numbers are uniform themselves"


def test_neighbouring_ids_views_seeds_and_streams_are_uncorrelated() -> None:
    ids = torch.arange(100_000)
    rows = [uniform(0, ids, 0, 0), uniform(0, ids + 1, 0, 0), uniform(0, ids, 1, 0), uniform(1, ids, 0, 0), uniform(0, ids, 0, 1)]
    correlation = np.corrcoef(torch.stack(rows).double().numpy())
    assert np.abs(correlation - np.eye(5)).max() < 4 / np.sqrt(len(ids))


def test_a_number_depends_on_its_id_and_not_on_its_neighbours_in_the_batch() -> None:
    ids = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    together = uniform(3, ids, 2, Stream.FLIP)
    apart = torch.cat([uniform(3, part, 2, Stream.FLIP) for part in ids.split(7)])
    assert torch.equal(together, apart)
    assert torch.equal(together.flip(0), uniform(3, ids.flip(0), 2, Stream.FLIP))


def test_the_streams_keep_their_numbers() -> None:
    assert {stream.name: int(stream) for stream in Stream} == {
        "SHIFT_DOWN": 0,
        "SHIFT_RIGHT": 1,
        "FLIP": 2,
        "CUTOUT_ROW": 3,
        "CUTOUT_COLUMN": 4,
        "PHOTO": 5,
        "MIX_PARTNER": 6,
        "MIX_SHARE": 7,
        "MIX_ROW": 8,
        "MIX_COLUMN": 9,
        "TEST": 16,
        "VALIDATION": 17,
        "FRACTION": 18,
        "LABELLED": 19,
        "VIEW": 20,
    }


def test_views_given_one_by_one_draw_what_one_view_for_all_draws() -> None:
    ids, views = torch.arange(12), torch.arange(12) % 4
    together = uniform(9, ids, views, Stream.FLIP)
    assert torch.equal(together, torch.cat([uniform(9, ids[k : k + 1], int(views[k]), Stream.FLIP) for k in range(12)]))


@pytest.mark.parametrize("views", [1, 2, 5, 8])
def test_every_epoch_mixes_the_views_and_so_many_epochs_show_an_example_each_of_them_once(views: int) -> None:
    ids = torch.arange(4000)
    shown = torch.stack([view_of(ids, epoch=epoch, views=views) for epoch in range(3, 3 + views)])
    assert torch.equal(shown.sort(0).values, torch.arange(views)[:, None].expand(-1, len(ids)))
    counts = shown[0].bincount(minlength=views)
    assert (counts - len(ids) / views).abs().max() < 4 * (len(ids) / views) ** 0.5
    assert torch.equal(view_of(ids.flip(0), epoch=3, views=views), shown[0].flip(0))


def test_without_a_number_of_views_every_epoch_has_its_own() -> None:
    assert view_of(torch.tensor([4, 9]), epoch=6, views=None).tolist() == [6, 6]
