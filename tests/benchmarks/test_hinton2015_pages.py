"""The pages of the MNIST experiments: made of nothing, of a part and of every record of the plan, and those that are committed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from benchmarks.hinton2015.page import CLOSE, OPEN, headline, main, pages, put
from benchmarks.hinton2015.recipe import MEMBERS, SEEDS
from benchmarks.hinton2015.report import chosen, figures
from benchmarks.hinton2015.report.bars import bars
from benchmarks.hinton2015.report.records import read

import hinton2015_records as made_up
from hinton2015_records import diverge, everything, experiments, found, keep

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "hinton2015" / "results"


def test_what_was_tried_is_shown_and_what_was_chosen_is_bold(tmp_path: Path) -> None:
    keep(tmp_path, "selection/teacher-150-medium-0.1-small", 77)
    keep(tmp_path, "selection/teacher-150-light-0.1-small", 76)
    keep(tmp_path, "selection/soft/0.025", 124)
    diverge(tmp_path, "selection/soft/0.1")
    records, selection = read(tmp_path)
    assert not records.finished
    assert "| **150** | **0.1, 0.3** | **0.1** | **0.01** | **77** | **0.0500** |" in chosen.teachers(selection)
    assert "has 77 errors" in chosen.teacher_in_words(selection)
    assert "are 76" in chosen.teacher_in_words(selection)
    assert "| `soft` | **124** | diverged |" in chosen.students(selection)
    assert "`soft` at 0.1" in chosen.diverged(selection)


def test_the_pages_can_be_made_of_nothing_and_expect_every_run_of_the_plan(tmp_path: Path) -> None:
    made = pages(tmp_path)
    assert "Not run yet." in made["hinton2015.md"]
    assert "rests on the paper alone" in made["choosing.md"]
    assert "svg" not in made["choosing.md"]
    assert not any(bar.verdict in ("met", "missed") for bar in bars(found(tmp_path)))
    expected = sum(map(int, re.findall(r"^- P.*: 0 of (\d+) runs$", made["hinton2015.md"], re.MULTILINE)))
    only_in_the_ensemble = len(MEMBERS) - len(SEEDS)
    assert expected == len(experiments()) - only_in_the_ensemble


def test_the_pages_of_a_part_say_what_is_missing(tmp_path: Path) -> None:
    made_up.headline(tmp_path)
    (tmp_path / "alone" / "800-2.json").unlink()
    made = pages(tmp_path)
    assert "- P2 `alone`: 4 of 5 runs" in made["hinton2015.md"]
    assert "not run (4 of 5)" in made["hinton2015.md"]
    assert "**Not all seeds have run:** P2, P3, P3b, P4, P5 and P8." in made["hinton2015.md"]
    assert "hinton2015-errors.svg" in made["hinton2015.md"]
    assert "hinton2015-grid.svg" not in made["hinton2015.md"]


def test_the_pages_of_every_record_of_the_plan_have_no_gap(tmp_path: Path) -> None:
    everything(tmp_path)
    made = pages(tmp_path)
    assert "No run of the plan is missing." in made["hinton2015.md"]
    assert made["hinton2015.md"].count("Abacus, 2 cores; Python 3.11.7") == 1
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
    records = {path: path.read_bytes() for path in results.rglob("*.json")}
    kept = []
    for _ in range(2):
        assert main(words) == 0
        kept.append({path.name: path.read_bytes() for path in (*docs.iterdir(), readme)})
    assert kept[0] == kept[1]
    assert {path: path.read_bytes() for path in results.rglob("*.json")} == records
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Mine\n{OPEN}\n| test errors")
    assert text.endswith(f"{CLOSE}\nrest\n")
    assert "old" not in text
    drawn = list(docs.glob("*.svg"))
    assert len(drawn) == len(figures.FIGURES)
    assert max(path.stat().st_size for path in drawn) < 200_000


def test_a_readme_without_markers_stays_as_it_is_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    for text in ("nothing", f"{OPEN} never closed", f"{CLOSE} before {OPEN}"):
        readme.write_text(text, encoding="utf-8")
        put("table", readme)
        assert readme.read_text(encoding="utf-8") == text
        assert "NOT PUT" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hinton2015.md", "choosing.md"])
def test_the_committed_page_is_what_the_committed_records_give(name: str) -> None:
    again = "uv run python -m benchmarks.hinton2015.page"
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages(RESULTS)[name], again


def test_the_committed_readme_holds_the_headline_of_the_committed_records() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if OPEN not in text:
        pytest.skip(f"README.md has no {OPEN}")
    assert f"{OPEN}\n{headline(found(RESULTS))}\n{CLOSE}" in text
