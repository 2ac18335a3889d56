"""What the report of the MNIST experiments reckons from their records, beside scipy and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy.stats
import torch
from benchmarks.hinton2015.report import advice, fields, sweeps, tables
from benchmarks.hinton2015.report.bars import share
from benchmarks.hinton2015.report.notation import listed, number, probability, table
from benchmarks.hinton2015.report.records import Records
from benchmarks.hinton2015.report.rows import Row, at_temperature, by_views, compare, recovered, row

from darkknowledge.errors import UsageError
from hinton2015_records import ALONE, SOFT, found, headline, keep, keep_seeds, misread


def test_a_row_is_summarised_as_by_hand(tmp_path: Path) -> None:
    headline(tmp_path)
    alone = row(found(tmp_path), "alone")
    assert alone.summary is not None
    assert alone.summary.interval is not None
    assert (alone.n, alone.median, alone.summary.mean, alone.minutes) == (5, 146, 146.0, 7.5)
    half = scipy.stats.t.ppf(0.975, 4) * 10**0.5 / 5**0.5
    assert (alone.summary.sd, alone.summary.interval.low) == (pytest.approx(10**0.5), pytest.approx(146 - half))
    assert "| 146 | 146.0 ± 3.2 | 142.1 to 149.9 | 146 | 5 | 0.0500 | 0.40 |" in tables.headline(found(tmp_path))


def test_a_comparison_is_scipys_paired_test_and_its_standard_error(tmp_path: Path) -> None:
    headline(tmp_path)
    apart = compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft"))
    theirs = scipy.stats.ttest_rel(ALONE, SOFT)
    assert apart.test is not None
    assert apart.test.difference == 72
    assert apart.test.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    assert apart.standard_error == pytest.approx(72 / theirs.statistic)


def test_mcnemar_counts_the_pictures_that_only_one_misreads(tmp_path: Path) -> None:
    keep(tmp_path, "alone/800-0", 10, wrong=misread(range(100, 110)))
    keep(tmp_path, "soft/800-0/T20", 4, wrong=misread([100, 101, 200, 9999]))
    (test,) = compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft")).tests
    assert (test.only_first, test.only_second) == (2, 8)
    assert test.p_value == pytest.approx(scipy.stats.binomtest(2, 10).pvalue)
    assert "10 → 4, +8 −2, p = 0.11" in tables.seed_by_seed(found(tmp_path))


def test_the_pictures_that_are_right_are_all_but_the_wrong_ones(tmp_path: Path) -> None:
    keep(tmp_path, "alone/800-0", 2, wrong=misread([0, 9999]))
    right = found(tmp_path).finished[0].correct()
    assert right.dtype == torch.bool
    assert (len(right), (~right).nonzero().flatten().tolist()) == (10_000, [0, 9999])


def test_only_seeds_that_both_have_are_paired(tmp_path: Path) -> None:
    headline(tmp_path)
    (tmp_path / "alone" / "800-1.json").unlink()
    (tmp_path / "soft" / "800-3" / "T20.json").unlink()
    pairs = compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft")).pairs
    assert [(ours.what.seed, ours.errors, theirs.errors) for ours, theirs in pairs] == [(0, 146, 74), (2, 142, 73), (4, 144, 72)]


def test_the_share_of_the_gap_is_that_of_the_means(tmp_path: Path) -> None:
    headline(tmp_path)
    rows = {name: row(found(tmp_path), name) for name in ("alone", "soft", "teacher")}
    gap = recovered(alone=rows["alone"], distilled=rows["soft"], teacher=rows["teacher"])
    assert gap is not None
    assert gap.share == pytest.approx(72 / 78)
    assert share(gap).startswith("92 % (95 % interval ")
    told = "over 5 seeds, with the paper's in brackets: the student alone 146.0 (146), distilled at T = 20 74.0 (74), its teacher 68.0 (67)"
    assert told in fields.gap(found(tmp_path))
    assert recovered(alone=rows["alone"], distilled=rows["soft"], teacher=Row(Records(()), 5)) is None


def test_runs_of_two_splits_are_not_compared(tmp_path: Path) -> None:
    keep(tmp_path, "alone/800-0", 146)
    keep(tmp_path, "views/1-0/last", 120)
    alone, views = row(found(tmp_path), "alone"), by_views(found(tmp_path), 1)
    with pytest.raises(UsageError, match="test and validation"):
        compare(alone, views)
    with pytest.raises(UsageError, match="validation split"):
        views.runs.finished[0].correct()


def test_a_row_holds_its_own_runs_alone(tmp_path: Path) -> None:
    """Arms share widths, temperatures and seeds."""
    keep_seeds(tmp_path, "soft/800-{}/T20", SOFT)
    keep_seeds(tmp_path, "soft-ten/800-{}/T20", [70] * 5)
    keep_seeds(tmp_path, "alone/800-{}", ALONE)
    keep_seeds(tmp_path, "alone/300-{}", [150] * 5)
    keep_seeds(tmp_path, "temperature/300-{}/T20", [100] * 5)
    keep_seeds(tmp_path, "temperature/30-{}/T20", [300] * 5)
    keep_seeds(tmp_path, "temperature/300-{}/T8", [101] * 5)
    records = found(tmp_path)
    assert row(records, "soft").runs.errors == list(SOFT)
    assert row(records, "alone").runs.errors == list(ALONE)
    assert row(records, "teacher").n == 5, "the teachers 5 to 9 are in the ensemble alone"
    assert at_temperature(records, 300, 20.0).runs.errors == [100] * 5


def test_the_share_at_few_cases_is_given_seed_by_seed(tmp_path: Path) -> None:
    for seed, (hard, taught, whole) in enumerate([(600, 300, 200), (500, 200, 100), (610, 250, 160)]):
        keep(tmp_path, f"few-hard/0.03-{seed}", hard, errors_of_last_epoch=hard)
        keep(tmp_path, f"few-soft/0.03-{seed}/last", taught)
        keep(tmp_path, f"few-hard/1-{seed}", whole, errors_of_last_epoch=whole)
    assert sweeps.shares_by_seed(found(tmp_path)) == "seed 0: 75 %, seed 1: 75 %, seed 2: 80 %"
    assert "77 % (95 % interval" in advice.cases(found(tmp_path))  # (300 + 300 + 360) / (400 + 400 + 450)


def test_numbers_are_written_as_numbers_are() -> None:
    assert (number(-2.04), number(-0.04), number(3.0, 0)) == ("−2.0", "0.0", "3")
    assert (probability(None), probability(0.0), probability(0.01234)) == ("n/a", "p < 1e-15", "p = 0.012")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert table(("a",), [("b|c\nd",)]) == "| a |\n| --- |\n| b/c d |"
