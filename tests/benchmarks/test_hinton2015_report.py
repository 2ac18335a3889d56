"""The report of the MNIST experiments, on records that are made up, and the committed pages, on those that are not."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
import torch
from benchmarks.hinton2015.grids import ALPHAS, TEMPERATURES
from benchmarks.hinton2015.page import CLOSE, OPEN, headline, main, pages, put
from benchmarks.hinton2015.plan import NARROW_TEMPERATURES, WIDE_TEMPERATURES
from benchmarks.hinton2015.report import advice, chosen, fields, figures, sweeps, tables
from benchmarks.hinton2015.report.bars import bars, share
from benchmarks.hinton2015.report.notation import listed, number, probability, table
from benchmarks.hinton2015.report.records import Records, read
from benchmarks.hinton2015.report.rows import Row, compare, recovered, row

from darkknowledge.errors import IntegrityError, UsageError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "hinton2015" / "results"
ALONE, SOFT, TEACHER = (146, 150, 142, 148, 144), (74, 75, 73, 76, 72), (66, 68, 67, 70, 69)


def keep(folder: Path, name: str, errors: int, *, wrong: Sequence[int] | None = None, split: str = "test", **note: Any) -> None:
    """A record as the experiments leave it, unless ``note`` says otherwise."""
    first = 60_000 if split == "test" else 0
    ids = range(errors) if wrong is None else wrong
    record = {
        "split": split,
        "weights": "last",
        "name": name,
        "errors": errors,
        "examples": 10_000,
        "nll": 0.05,
        "ece": 0.004,
        "core_seconds": 90.0,
        "wrong": {str(first + picture): 3 for picture in ids},
    }
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | note), encoding="utf-8")


def arm(folder: Path, name: str, errors: Sequence[int], *, width: int = 800, **note: Any) -> None:
    for seed, own in enumerate(errors):
        keep(folder, f"{name}/{width}-{seed}", own, arm=name, width=width, seed=seed, **note)


def soft(folder: Path, name: str, errors: Sequence[int], **note: Any) -> None:
    arm(folder, name, errors, alpha=0.9, temperature=20.0, **note)


def at_temperatures(folder: Path, width: int, errors: dict[float, Sequence[int]]) -> None:
    for temperature, own in errors.items():
        for seed, count in enumerate(own):
            name = f"temperature/{width}-{seed}/T{temperature:g}"
            keep(folder, name, count, arm="temperature", width=width, seed=seed, temperature=temperature, alpha=0.9, views=1)


def three(folder: Path) -> None:
    """The headline."""
    arm(folder, "teacher", TEACHER, width=1200)
    arm(folder, "alone", ALONE)
    soft(folder, "soft", SOFT, views=1)


def everything(folder: Path) -> None:
    """Every row of the plan."""
    three(folder)
    keep(folder, "ten", 58, arm="ten", width=1200)
    for name, mean in (("alone-jitter", 80), ("alone-dropout", 118), ("alone-smoothing", 135), ("alone-all", 75)):
        arm(folder, name, [mean + seed for seed in range(5)])
    for name, mean in (("soft-views", 66), ("soft-ten", 72), ("soft-ten-views", 60)):
        soft(folder, name, [mean + seed for seed in range(5)], views=32)
    at_temperatures(folder, 30, {t: [round(300 + 20 * abs(t - 3) ** 0.5) + seed * round(t) % 7 for seed in range(5)] for t in NARROW_TEMPERATURES})
    at_temperatures(folder, 100, {t: [160 + seed for seed in range(5)] for t in (4.0, 20.0)})
    at_temperatures(folder, 300, {t: [round(100 - t / 8) + seed for seed in range(5)] for t in WIDE_TEMPERATURES})
    for width in (30, 100, 300):
        arm(folder, "alone", [400 - width + seed for seed in range(5)], width=width)
    for part in (0.01, 0.03, 0.1, 0.3, 1.0):
        for seed in range(5):
            hard, taught = round(150 + 10 / part + seed), round(90 + 2 / part)
            keep(folder, f"few-hard/{part:g}-{seed}", hard, arm="few-hard", share=part, seed=seed, errors_of_last_epoch=hard + 9)
            keep(folder, f"few-soft/{part:g}-{seed}/last", taught, arm="few-soft", share=part, seed=seed)
            if part < 1:
                keep(folder, f"few-labels/{part:g}-{seed}/last", 95, arm="few-labels", share=part, seed=seed)
    for seed in range(3):
        for t in TEMPERATURES:
            for alpha in ALPHAS:
                name, errors = f"grid/{seed}/T{t:g}-alpha{alpha:g}", round(130 - 20 * alpha + abs(t - 8)) + seed
                keep(folder, name, errors, split="validation", arm="grid", width=300, seed=seed, temperature=t, alpha=alpha)
        for count in (1, 2, 4, 8, 32):
            keep(folder, f"views/{count}-{seed}/last", 120 - count + seed, split="validation", arm="views", views=count, seed=seed)


def found(folder: Path) -> Records:
    return read(folder)[0]


def verdicts(folder: Path) -> dict[tuple[str, str], str]:
    return {(bar.row, bar.wants): bar.verdict for bar in bars(found(folder))}


def test_a_row_is_summarised_as_by_hand(tmp_path: Path) -> None:
    three(tmp_path)
    alone = row(found(tmp_path), "alone")
    assert alone.summary is not None
    assert alone.summary.interval is not None
    assert (alone.n, alone.median, alone.summary.mean, alone.minutes) == (5, 146, 146.0, 7.5)
    half = scipy.stats.t.ppf(0.975, 4) * 10**0.5 / 5**0.5
    assert (alone.summary.sd, alone.summary.interval.low) == (pytest.approx(10**0.5), pytest.approx(146 - half))
    assert "| 146 | 146.0 ± 3.2 | 142.1 to 149.9 | 146 | 5 | 0.0500 | 0.40 |" in tables.headline(found(tmp_path))


def test_a_comparison_is_scipys_paired_test_and_its_standard_error(tmp_path: Path) -> None:
    three(tmp_path)
    apart = compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft"))
    theirs = scipy.stats.ttest_rel(ALONE, SOFT)
    assert apart.test is not None
    assert apart.test.difference == 72
    assert apart.test.p_value == pytest.approx(theirs.pvalue, rel=1e-6)
    assert apart.standard_error == pytest.approx(72 / theirs.statistic)


def test_mcnemar_counts_the_pictures_that_only_one_misreads(tmp_path: Path) -> None:
    keep(tmp_path, "alone/800-0", 10, wrong=range(100, 110), arm="alone", width=800, seed=0)
    keep(tmp_path, "soft/800-0", 4, wrong=[100, 101, 200, 9999], arm="soft", width=800, seed=0, temperature=20.0, alpha=0.9)
    (test,) = compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft")).tests
    assert (test.only_first, test.only_second) == (2, 8)
    assert test.p_value == pytest.approx(scipy.stats.binomtest(2, 10).pvalue)
    assert "10 → 4, +8 −2, p = 0.11" in tables.seed_by_seed(found(tmp_path))


def test_the_pictures_that_are_right_are_all_but_the_wrong_ones(tmp_path: Path) -> None:
    keep(tmp_path, "alone/800-0", 2, wrong=[0, 9999], arm="alone", width=800, seed=0)
    right = found(tmp_path).finished[0].correct()
    assert right.dtype == torch.bool
    assert (len(right), (~right).nonzero().flatten().tolist()) == (10_000, [0, 9999])


def test_only_seeds_that_both_have_are_paired(tmp_path: Path) -> None:
    arm(tmp_path, "alone", ALONE)
    soft(tmp_path, "soft", SOFT)
    (tmp_path / "alone" / "800-1.json").unlink()
    (tmp_path / "soft" / "800-3.json").unlink()
    pairs = compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft")).pairs
    assert [(ours.what.seed, ours.errors, theirs.errors) for ours, theirs in pairs] == [(0, 146, 74), (2, 142, 73), (4, 144, 72)]


def test_the_share_of_the_gap_is_that_of_the_means(tmp_path: Path) -> None:
    three(tmp_path)
    rows = {name: row(found(tmp_path), name) for name in ("alone", "soft", "teacher")}
    gap = recovered(alone=rows["alone"], distilled=rows["soft"], teacher=rows["teacher"])
    assert gap is not None
    assert gap.share == pytest.approx(72 / 78)
    assert share(gap).startswith("92 % (95 % interval ")
    told = "over 5 seeds, with the paper's in brackets: the student alone 146.0 (146), distilled at T = 20 74.0 (74), its teacher 68.0 (67)"
    assert told in fields.gap(found(tmp_path))
    assert recovered(alone=rows["alone"], distilled=rows["soft"], teacher=Row(Records(()), 5)) is None


def test_runs_of_two_splits_are_not_compared(tmp_path: Path) -> None:
    arm(tmp_path, "alone", ALONE)
    soft(tmp_path, "soft", SOFT, split="validation")
    with pytest.raises(UsageError, match="test and validation"):
        compare(row(found(tmp_path), "alone"), row(found(tmp_path), "soft"))
    with pytest.raises(UsageError, match="validation split"):
        found(tmp_path).where("soft").finished[0].correct()


def test_bars_are_met(tmp_path: Path) -> None:
    everything(tmp_path)
    judged = verdicts(tmp_path)
    expected = dict.fromkeys(judged, "met") | {
        ("P3b", "soft-views: median ≤ 67, and mean below that of alone-jitter"): "missed",
        ("P3b", "soft-ten: median ≤ 67, and mean below that of alone-jitter"): "missed",
        ("P8", "share of the gap at 3 % of the cases (the paper, on speech: 87 %)"): "reported",
    }
    assert judged == expected


def test_bars_are_missed(tmp_path: Path) -> None:
    arm(tmp_path, "teacher", [71] * 5, width=1200)
    arm(tmp_path, "alone", [129] * 5)
    soft(tmp_path, "soft", [81, 82, 81, 82, 81])
    arm(tmp_path, "alone-jitter", [60, 61, 62, 60, 59])
    for name in ("soft-views", "soft-ten", "soft-ten-views"):
        soft(tmp_path, name, [61, 62, 63, 61, 60])
    at_temperatures(tmp_path, 300, {t: [round(100 + t) + seed for seed in range(5)] for t in WIDE_TEMPERATURES})
    at_temperatures(tmp_path, 30, {t: [round(400 - t + seed * t) for seed in range(5)] for t in NARROW_TEMPERATURES})
    judged = verdicts(tmp_path)
    assert judged.pop(("P8", "share of the gap at 3 % of the cases (the paper, on speech: 87 %)")) == "not run (0 of 5)"
    assert set(judged.values()) == {"missed"}, judged


def test_a_bar_is_not_judged_before_its_last_seed(tmp_path: Path) -> None:
    three(tmp_path)
    (tmp_path / "soft" / "800-4.json").unlink()
    judged = verdicts(tmp_path)
    assert judged["P3", "median ≤ 80"] == judged["P3", "≥ 88 % of the gap"] == "not run (4 of 5)"
    assert judged["P1", "median ≤ 70"] == "met"


def test_a_run_that_diverged_misses_the_bar_and_is_counted(tmp_path: Path) -> None:
    three(tmp_path)
    path = tmp_path / "soft" / "800-4.json"
    path.write_text(
        json.dumps(
            {"arm": "soft", "width": 800, "seed": 4, "temperature": 20.0, "alpha": 0.9, "name": "soft/800-4", "split": "test", "diverged": True}
        )
    )
    assert verdicts(tmp_path)["P3", "median ≤ 80"] == "missed (1 diverged)"
    assert "| 4 of 5, 1 diverged |" in tables.headline(found(tmp_path))
    assert "- P3 `soft`: 4 of 5 runs, 1 diverged" in fields.missing(found(tmp_path))


def test_the_best_temperature_is_worse_at_20_by_its_own_standard_errors(tmp_path: Path) -> None:
    at_temperatures(tmp_path, 30, {t: [300] * 5 for t in NARROW_TEMPERATURES} | {3.0: [290, 291, 292, 293, 294], 20.0: [300, 299, 304, 302, 305]})
    told = {bar.wants: bar for bar in bars(found(tmp_path)) if bar.row == "P5"}
    assert told["best T in [2, 5]"].found == "T = 3"
    # differences 10, 8, 12, 9, 11: mean 10, standard error sqrt(2.5 / 5)
    assert told["T = 20 worse than the best by > 2 standard errors"].found == "10.0 more errors than the best, 14.1 standard errors"
    assert "T = 20 makes 10.0 more" in advice.narrow(found(tmp_path))


def test_the_share_at_few_cases_is_given_seed_by_seed(tmp_path: Path) -> None:
    for seed, (hard, taught, whole) in enumerate([(600, 300, 200), (500, 200, 100), (610, 250, 160)]):
        keep(tmp_path, f"few-hard/0.03-{seed}", hard, arm="few-hard", share=0.03, seed=seed, errors_of_last_epoch=hard)
        keep(tmp_path, f"few-soft/0.03-{seed}/last", taught, arm="few-soft", share=0.03, seed=seed)
        keep(tmp_path, f"few-hard/1-{seed}", whole, arm="few-hard", share=1.0, seed=seed, errors_of_last_epoch=whole)
    assert sweeps.shares_by_seed(found(tmp_path)) == "seed 0: 75 %, seed 1: 75 %, seed 2: 80 %"
    assert "77 % (95 % interval" in advice.cases(found(tmp_path))  # (300 + 300 + 360) / (400 + 400 + 450)


def test_what_was_tried_is_shown_and_what_was_chosen_is_bold(tmp_path: Path) -> None:
    trial = {"arm": "teacher", "epochs": 150, "rate": 0.1, "std": 0.01, "split": "validation"}
    keep(tmp_path, "selection/teacher-a", 77, **trial, input_dropout=0.1, hidden_dropout=0.3)
    keep(tmp_path, "selection/teacher-b", 76, **trial, input_dropout=0.0, hidden_dropout=0.2)
    keep(tmp_path, "selection/soft/0.025", 124, arm="soft", epochs=20, training={"learning_rate": 0.025}, split="validation")
    keep(tmp_path, "selection/soft/0.1", 1, arm="soft", training={"learning_rate": 0.1}, split="validation", diverged=True)
    records, selection = read(tmp_path)
    assert not records.finished
    assert "| **150** | **0.1, 0.3** | **0.1** | **0.01** | **77** | **0.0500** |" in chosen.teachers(selection)
    assert "has 77 errors" in chosen.teacher_in_words(selection)
    assert "are 76" in chosen.teacher_in_words(selection)
    assert "| `soft` | **124** | diverged |" in chosen.students(selection)
    assert "`soft` at 0.1" in chosen.diverged(selection)


def test_the_pages_can_be_made_of_nothing(tmp_path: Path) -> None:
    made = pages(tmp_path)
    assert "Not run yet." in made["hinton2015.md"]
    assert "rests on the paper alone" in made["choosing.md"]
    assert "svg" not in made["choosing.md"]
    assert not any(bar.verdict in ("met", "missed") for bar in bars(found(tmp_path)))


def test_the_pages_of_a_part_say_what_is_missing(tmp_path: Path) -> None:
    three(tmp_path)
    (tmp_path / "teacher" / "1200-2.json").unlink()
    made = pages(tmp_path)
    assert "- P1 `teacher`: 4 of 5 runs" in made["hinton2015.md"]
    assert "not run (4 of 5)" in made["hinton2015.md"]
    assert "**Not all seeds have run:** P1, P3, P3b, P4, P5 and P8." in made["hinton2015.md"]
    assert "hinton2015-errors.svg" in made["hinton2015.md"]
    assert "hinton2015-grid.svg" not in made["hinton2015.md"]


def test_the_pages_of_everything_have_no_gap(tmp_path: Path) -> None:
    everything(tmp_path)
    made = pages(tmp_path)
    assert "No run of the plan is missing." in made["hinton2015.md"]
    for text in made.values():
        assert not re.search(r"\$|nan|None|not run|Not run|Not measured|\n\n\n|rests on", text.split("## How the recipe was found")[0])
    assert set(re.findall(r"\]\((hinton2015-\w+\.svg)\)", made["hinton2015.md"])) == {figures.file_of(name) for name in figures.FIGURES}
    for block in re.findall(r"(?:^\|.*\n)+", made["hinton2015.md"], re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_the_command_writes_the_same_bytes_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, docs, readme = tmp_path / "results", tmp_path / "docs", tmp_path / "README.md"
    everything(results)
    docs.mkdir()
    readme.write_text(f"# Mine\n{OPEN}\nold\n{CLOSE}\nrest\n", encoding="utf-8")
    words = ["--results", str(results), "--docs", str(docs), "--readme", str(readme)]
    kept = []
    for _ in range(2):
        assert main(words) == 0
        kept.append({path.name: path.read_bytes() for path in (*docs.iterdir(), *results.glob("*.json"), readme)})
    assert kept[0] == kept[1]
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Mine\n{OPEN}\n| test errors")
    assert text.endswith(f"{CLOSE}\nrest\n")
    assert "old" not in text
    assert ("NO FIGURES" in capsys.readouterr().err) == (not list(docs.glob("*.svg")))


def test_a_readme_without_markers_stays_as_it_is_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    for text in ("nothing", f"{OPEN} never closed", f"{CLOSE} before {OPEN}"):
        readme.write_text(text, encoding="utf-8")
        put("table", readme)
        assert readme.read_text(encoding="utf-8") == text
        assert "NOT PUT" in capsys.readouterr().err


def test_figures_are_small_and_the_same_twice(tmp_path: Path) -> None:
    everything(tmp_path / "results")
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
        assert len(figures.draw(found(tmp_path / "results"), folder)) == len(figures.FIGURES)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
        assert path.stat().st_size < 200_000


@pytest.mark.parametrize(
    "change",
    [
        {"errors": -1},
        {"errors": 10_001},
        {"errors": 145},
        {"errors": 146.0},
        {"errors": True},
        {"errors": None},
        {"examples": 0},
        {"nll": float("nan")},
        {"nll": "0.05"},
        {"ece": -0.1},
        {"core_seconds": float("inf")},
        {"wrong": [1, 2]},
        {"wrong": {"x": 3}},
        {"wrong": {str(60_000 + picture): 10 for picture in range(146)}},
        {"wrong": {str(picture): 3 for picture in range(146)}},
        {"split": "train"},
        {"split": ["test"]},
        {"seed": "0"},
        {"seed": -1},
        {"width": [800]},
        {"arm": 3},
        {"name": "alone/800-1"},
        {"training": "fast"},
        {"errors_of_last_epoch": -1},
    ],
    ids=str,
)
def test_a_record_that_contradicts_itself_is_refused_by_name(tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    kept = {"arm": "alone", "width": 800, "seed": 0} | change
    keep(tmp_path, "alone/800-0", 146)
    path = tmp_path / "alone" / "800-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | kept))
    with pytest.raises(IntegrityError, match=r"800-0\.json is no record"):
        read(tmp_path)
    assert main(["--results", str(tmp_path), "--docs", str(tmp_path), "--readme", str(tmp_path / "README.md")]) == IntegrityError.exit_code
    assert "800-0.json" in capsys.readouterr().err


def test_a_file_that_is_no_json_is_refused_and_one_without_an_arm_is_none(tmp_path: Path) -> None:
    (tmp_path / "stale.json").write_text('{"errors": 3}')
    (tmp_path / "list.json").write_text("[1]")
    assert read(tmp_path) == (Records(()), Records(()))
    (tmp_path / "half.json").write_text('{"arm": ')
    with pytest.raises(IntegrityError, match=r"half\.json"):
        read(tmp_path)


def test_two_records_of_the_same_run_are_refused(tmp_path: Path) -> None:
    keep(tmp_path, "alone/800-0", 146, arm="alone", width=800, seed=0)
    keep(tmp_path, "alone/again", 140, arm="alone", width=800, seed=0)
    with pytest.raises(IntegrityError, match="the same run"):
        read(tmp_path)


def test_numbers_are_written_as_numbers_are() -> None:
    assert (number(-2.04), number(-0.04), number(3.0, 0)) == ("−2.0", "0.0", "3")
    assert (probability(None), probability(0.0), probability(0.01234)) == ("n/a", "p < 1e-15", "p = 0.012")
    assert (listed([]), listed(["a"]), listed(["a", "b", "c"])) == ("", "a", "a, b and c")
    assert table(("a",), [("b|c\nd",)]) == "| a |\n| --- |\n| b/c d |"


@pytest.mark.parametrize("name", ["hinton2015.md", "choosing.md"])
def test_the_committed_page_is_what_the_committed_records_give(name: str) -> None:
    again = "uv run python -m benchmarks.hinton2015.page"
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages(RESULTS)[name], again


def test_the_committed_readme_holds_the_headline_of_the_committed_records() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if OPEN not in text:
        pytest.skip(f"README.md has no {OPEN}")
    assert f"{OPEN}\n{headline(found(RESULTS))}\n{CLOSE}" in text
