"""The bars of the MNIST experiments, on made-up records: when they are met, when missed, and when nobody can tell yet."""

from __future__ import annotations

from pathlib import Path

from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.report import advice, fields, tables
from benchmarks.hinton2015.report.bars import bars

from hinton2015_records import diverge, everything, found, headline, keep_seeds, keep_temperatures, verdicts

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
