"""The bars of the MNIST experiments, on made-up records: when they are met, when missed, and when nobody can tell yet."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, stdev

from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.report import advice, fields, tables
from benchmarks.hinton2015.report.bars import bars
from benchmarks.hinton2015.report.explanation import explanation

from hinton2015_records import ALONE, TEACHER, diverge, everything, found, headline, keep, keep_seeds, keep_temperatures, verdicts

FEW = "share of the gap at 3 % of the cases (the paper, on speech: 87 %)"


def test_bars_are_met(tmp_path: Path) -> None:
    everything(tmp_path)
    judged = verdicts(tmp_path)
    expected = dict.fromkeys(judged, "met") | {
        ("P3b", "soft-views: median ≤ 67, and mean below that of alone-jitter"): "missed",
        ("P3b", "soft-ten: median ≤ 67, and mean below that of alone-jitter"): "missed",
        ("P8", FEW): "reported",
    }
    assert judged == expected


def test_bars_are_missed(tmp_path: Path) -> None:
    keep_seeds(tmp_path, "teacher/{}", [71] * 5)
    keep_seeds(tmp_path, "alone/800-{}", [129] * 5)
    keep_seeds(tmp_path, "soft/800-{}/T20", [81, 82, 81, 82, 81])
    keep_seeds(tmp_path, "alone-jitter/800-{}", [60, 61, 62, 60, 59])
    for arm in ("soft-views", "soft-ten", "soft-ten-views"):
        keep_seeds(tmp_path, f"{arm}/800-{{}}/T20", [61, 62, 63, 61, 60])
    keep_temperatures(tmp_path, 300, {t: [round(100 + t) + seed for seed in range(5)] for t in WIDE_TEMPERATURES})
    keep_temperatures(tmp_path, 30, {t: [round(400 - t + seed * t) for seed in range(5)] for t in NARROW_TEMPERATURES})
    judged = verdicts(tmp_path)
    assert judged.pop(("P8", FEW)) == "not run (0 of 5)"
    assert set(judged.values()) == {"missed"}, judged


def test_a_bar_is_not_judged_before_its_last_seed(tmp_path: Path) -> None:
    headline(tmp_path)
    (tmp_path / "soft" / "800-4" / "T20.json").unlink()
    judged = verdicts(tmp_path)
    assert judged["P3", "median ≤ 80"] == judged["P3", "≥ 88 % of the gap"] == "not run (4 of 5)"
    assert judged["P1", "median ≤ 70"] == "met"


def test_a_run_that_diverged_misses_the_bar_and_is_counted(tmp_path: Path) -> None:
    headline(tmp_path)
    diverge(tmp_path, "soft/800-4/T20")
    assert verdicts(tmp_path)["P3", "median ≤ 80"] == "missed (1 diverged)"
    assert "| 4 of 5, 1 diverged |" in tables.headline(found(tmp_path))
    assert "- P3 `soft`: 4 of 5 runs, 1 diverged" in fields.missing(found(tmp_path))


def test_the_best_temperature_is_worse_at_20_by_its_own_standard_errors(tmp_path: Path) -> None:
    others = {t: [300] * 5 for t in NARROW_TEMPERATURES}
    keep_temperatures(tmp_path, 30, others | {3.0: [290, 291, 292, 293, 294], 20.0: [300, 299, 304, 302, 305]})
    told = {bar.wants: bar for bar in bars(found(tmp_path)) if bar.row == "P5"}
    assert told["best T in [2, 5]"].found == "T = 3"
    # differences 10, 8, 12, 9, 11: mean 10, standard error sqrt(2.5 / 5)
    assert told["T = 20 worse than the best by > 2 standard errors"].found == "10.0 more errors than the best, 14.1 standard errors"
    assert "T = 20 makes 10.0 more" in advice.narrow(found(tmp_path))


def test_what_may_explain_a_missed_bar_is_told_with_the_numbers_of_its_own_rows(tmp_path: Path) -> None:
    assert explanation(found(tmp_path)) == "Nothing to explain yet."
    headline(tmp_path)
    assert explanation(found(tmp_path)) == "Nothing to explain yet.", "the bar is met"
    soft = [88, 74, 76, 82, 80]
    keep_seeds(tmp_path, "soft/800-{}/T20", soft)
    wanted = mean(ALONE) - 0.88 * (mean(ALONE) - mean(TEACHER))
    chance, *others = explanation(found(tmp_path)).splitlines()
    assert f"88 % of the gap would be {wanted:.1f} errors; it is {mean(soft):.1f}, with a standard deviation of {stdev(soft):.1f}" in chance
    assert "holds the bar: 5 seeds" in chance
    assert others == []

    keep_temperatures(tmp_path, 300, {4: [70] * 5, 8: [90] * 5, 20: [94] * 5, 40: [91] * 5})
    assert "all T from 8 to 40 lie within 4.0 errors" in explanation(found(tmp_path))

    for views, epochs, errors in ((1, 100, 106), (1, 300, 109), (32, 100, 90)):
        keep(tmp_path, f"epochs/{views}-{epochs}-0/last", errors)
    assert "Too short" not in explanation(found(tmp_path))
    keep(tmp_path, "epochs/32-300-0/last", 84)
    assert "has 106.0 errors after 100 epochs and 109.0 after 300. The one that learns from 32 shifts goes from 90.0 to 84.0" in explanation(
        found(tmp_path)
    )

    keep_seeds(tmp_path, "soft-ten/800-{}/T20", [73] * 5)
    keep_seeds(tmp_path, "soft-ten-views/800-{}/T20", [61] * 5)
    assert "has 73.0 errors when ten teachers answer" in explanation(found(tmp_path))
    assert f"and 61.0 when they answer for 32 shifts of each: fewer than one teacher by itself ({mean(TEACHER):.1f})" in explanation(found(tmp_path))


def test_a_share_whose_interval_lies_below_the_bar_is_not_called_chance(tmp_path: Path) -> None:
    headline(tmp_path)
    keep_seeds(tmp_path, "soft/800-{}/T20", [alone - 20 for alone in ALONE])
    assert "does not hold the bar, so it is not chance" in explanation(found(tmp_path))
