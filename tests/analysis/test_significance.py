from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from darkknowledge.analysis import bootstrap_interval, gap_recovered, mcnemar, paired_test, share_interval, summarise
from darkknowledge.errors import UsageError


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 10, 31])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_summary_is_numpys_with_scipys_t_interval(n: int, level: float) -> None:
    values = np.random.default_rng(n).normal(3, 2, n)
    seen = summarise(values.tolist(), level=level)
    assert seen.n == n
    assert seen.mean == pytest.approx(values.mean())
    assert seen.sd == pytest.approx(values.std(ddof=1))
    assert seen.interval is not None
    assert (seen.interval.low, seen.interval.high) == pytest.approx(stats.t.interval(level, n - 1, values.mean(), stats.sem(values)), rel=1e-9)


def test_one_value_has_no_spread() -> None:
    seen = summarise([4.0])
    assert (seen.n, seen.mean, seen.sd, seen.interval) == (1, 4.0, None, None)
    pair = paired_test([4.0], [1.0])
    assert (pair.difference, pair.interval, pair.p_value) == (3.0, None, None)


@pytest.mark.parametrize("n", [2, 3, 5, 6, 20])
@pytest.mark.parametrize("shift", [0.0, 0.5, 4.0])
def test_the_paired_test_is_scipys(n: int, shift: float) -> None:
    random = np.random.default_rng(n)
    first = random.normal(0, 1, n)
    second = first + random.normal(shift, 0.7, n)
    expected = stats.ttest_rel(first, second)
    seen = paired_test(first.tolist(), second.tolist())
    assert seen.p_value == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-14)
    assert seen.interval is not None
    assert (seen.interval.low, seen.interval.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_five_seeds_can_show_a_difference() -> None:
    assert paired_test([31, 29, 33, 30, 32], [25, 24, 28, 23, 26]).p_value < 0.001


@pytest.mark.parametrize(
    ("first", "second"),
    [([5, 6], [4, 5]), ([5, 6], [5, 6]), ([0, 0, 0], [0, 0, 0]), ([0.3, 0.5, 0.96], [0.2, 0.4, 0.86])],
    ids=["same", "none", "all zero", "same up to rounding"],
)
def test_pairs_that_all_differ_by_the_same_have_neither_interval_nor_p_value(first: list[float], second: list[float]) -> None:
    seen = paired_test(first, second)
    assert (seen.n, seen.interval, seen.p_value) == (len(first), None, None)
    assert seen.difference == pytest.approx(first[0] - second[0])


def test_values_that_are_all_the_same_have_no_interval() -> None:
    seen = summarise([0.1, 0.1, 0.1])
    assert (seen.sd, seen.interval) == (pytest.approx(0.0, abs=1e-16), None)


def test_differences_that_are_small_beside_the_values_still_count() -> None:
    seen = paired_test([1.0 + 3e-9, 1.0 + 2e-9], [1.0, 1.0])
    assert seen.p_value == pytest.approx(stats.ttest_rel([3.0, 2.0], [0.0, 0.0]).pvalue, rel=1e-5)


def test_the_bootstrap_interval_is_that_of_scipy_within_its_noise() -> None:
    values = torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64).square()
    seen = bootstrap_interval(values, level=0.9)
    expected = stats.bootstrap((values.numpy(),), np.mean, confidence_level=0.9, method="percentile", n_resamples=10_000, rng=1).confidence_interval
    assert (seen.low, seen.high) == pytest.approx((expected.low, expected.high), abs=0.002)
    assert seen.low < values.mean() < seen.high


def test_the_bootstrap_is_repeatable_and_follows_its_seed() -> None:
    values = torch.arange(20.0)
    state = torch.get_rng_state()
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    assert torch.get_rng_state().equal(state)


def test_a_bootstrap_over_many_examples_is_done_in_pieces() -> None:
    right = (torch.arange(300_000) % 10 != 0).double()
    seen = bootstrap_interval(right, resamples=20)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 300_000)
    assert (seen.high - seen.low) / 2 == pytest.approx(half, rel=0.5)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 1), (0, 6), (3, 3), (7, 2), (2, 7), (40, 61), (1200, 1000)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(only_first: int, only_second: int) -> None:
    first = torch.tensor([True] * only_first + [False] * only_second + [True] * 9 + [False] * 4)
    second = torch.tensor([False] * only_first + [True] * only_second + [True] * 9 + [False] * 4)
    seen = mcnemar(first, second)
    assert (seen.only_first, seen.only_second) == (only_first, only_second)
    n = only_first + only_second
    assert seen.p_value == pytest.approx(stats.binomtest(only_first, n).pvalue if n else 1.0, rel=1e-9)


def test_the_papers_gap_is_recovered_to_91_percent() -> None:
    seen = gap_recovered(student_alone=[146, 148, 144, 145, 147], distilled=[74, 75, 73, 72, 76], teacher=[67])
    assert seen.gap == pytest.approx(146 - 67)
    assert seen.share == pytest.approx((146 - 74) / (146 - 67))
    assert seen.interval is not None
    assert seen.interval.low < seen.share < seen.interval.high < 1


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("teacher", [[20, 19, 22, 21, 20], [20]], ids=["a teacher each", "one teacher"])
def test_at_the_ends_of_the_shares_interval_scipys_t_test_is_just_undecided(teacher: list[float], level: float) -> None:
    alone, distilled = np.array([30.0, 34, 29, 36, 31]), np.array([25.0, 27, 26, 30, 24])
    seen = gap_recovered(student_alone=alone.tolist(), distilled=distilled.tolist(), teacher=teacher, level=level)
    assert seen.interval is not None
    for share in (seen.interval.low, seen.interval.high):
        residuals = (alone - distilled) - share * (alone - np.array(teacher))
        assert stats.ttest_1samp(residuals, 0).pvalue == pytest.approx(1 - level, rel=1e-6)


def test_five_seeds_are_covered_as_often_as_the_interval_says() -> None:
    draw = np.random.default_rng(0).normal(size=(2000, 3, 5)) * 5 + np.array([[135], [80], [70]])
    found = [gap_recovered(student_alone=a.tolist(), distilled=d.tolist(), teacher=t.tolist()).interval for a, d, t in draw]
    covered = np.mean([interval is not None and interval.low <= 55 / 65 <= interval.high for interval in found])
    assert covered == pytest.approx(0.95, abs=0.015), "three standard errors of 2,000 draws"


def test_a_share_that_is_the_same_for_every_seed_has_no_interval() -> None:
    seen = gap_recovered(student_alone=[30, 40, 50], distilled=[20, 25, 30], teacher=[10, 10, 10])
    assert seen.share == pytest.approx(0.5)
    assert seen.interval is None


@pytest.mark.parametrize(
    ("alone", "teacher"),
    [([30, 20, 25, 24, 26], [24]), ([20, 21, 20, 22, 21], [30]), ([30], [10]), ([5.0, 5.0], [5.0])],
    ids=["gap within noise", "teacher worse", "one seed", "no gap"],
)
def test_a_gap_that_may_be_nothing_has_no_share(alone: list[float], teacher: list[float]) -> None:
    seen = gap_recovered(student_alone=alone, distilled=[value - 1 for value in alone], teacher=teacher)
    assert seen.share is None
    assert seen.interval is None


def test_a_distilled_student_worse_than_alone_recovers_a_negative_share() -> None:
    assert gap_recovered(student_alone=[30, 31, 29], distilled=[32, 33, 31], teacher=[20]).share == pytest.approx(-0.2)


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match="no values"):
        summarise([])
    with pytest.raises(UsageError, match="level 95"):
        summarise([1.0, 2.0], level=95)
    with pytest.raises(UsageError, match="2 values are paired with 3"):
        paired_test([1, 2], [1, 2, 3])
    with pytest.raises(UsageError, match=r"\(2, 2\)"):
        bootstrap_interval(torch.zeros(2, 2))
    with pytest.raises(UsageError, match="float32"):
        mcnemar(torch.zeros(3), torch.zeros(3))
    with pytest.raises(UsageError, match=r"\(3,\) and torch.bool \(4,\)"):
        mcnemar(torch.ones(3).bool(), torch.ones(4).bool())
    with pytest.raises(UsageError, match="3 students have 2 teachers"):
        gap_recovered(student_alone=[1, 2, 3], distilled=[1, 2, 3], teacher=[1, 2])


@pytest.mark.parametrize(("count", "examples"), [(0, 10), (5, 100), (100, 100), (137, 10_000)])
def test_the_interval_of_a_share_is_scipys(count: int, examples: int) -> None:
    seen = share_interval(count, examples)
    expected = stats.binomtest(count, examples).proportion_ci(0.95, method="wilson")
    assert (seen.low, seen.high, seen.level) == (pytest.approx(expected.low, abs=1e-7), pytest.approx(expected.high, abs=1e-7), 0.95)


@pytest.mark.parametrize(("count", "examples"), [(0, 0), (3, 2), (-1, 2)])
def test_a_share_is_counted_among_some_examples(count: int, examples: int) -> None:
    with pytest.raises(UsageError, match=f"a share of {count} of {examples} examples"):
        share_interval(count, examples)
