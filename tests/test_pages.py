"""The pages are built without a warning, ask for nothing from elsewhere, and tell of all that there is."""

from __future__ import annotations

import ast
import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

import darkknowledge
from darkknowledge import errors
from darkknowledge.cli.help import STAGES
from darkknowledge.pipeline.settings import FigureSettings, RunSettings
from darkknowledge.report.figure import CHOICES
from darkknowledge.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
DOCS, SOURCE = ROOT / "docs", ROOT / "src" / "darkknowledge"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, by a process of their own: what it leaves imported would be in the way of other tests."""
    folder = tmp_path_factory.mktemp("pages")
    program = Path(sys.executable).with_name("sphinx-build")
    done = subprocess.run([str(program), "-W", "-q", str(DOCS), str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def words_of(page: Path) -> str:
    """The text of a page."""
    text = page.read_text(encoding="utf-8").partition('<article role="main"')[2].partition("</article>")[0]
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def test_every_page_is_built_and_its_pictures_are_there(built: Path) -> None:
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in built.glob("*.html")}
    for page in built.glob("*.html"):
        for picture in re.findall(r'<img [^>]*src="([^"]+)"', page.read_text(encoding="utf-8")):
            assert (built / picture).is_file(), f"{page.name}: {picture}"


def test_no_page_asks_for_anything_from_elsewhere(built: Path) -> None:
    loading = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=["'](?:https?:)?//[^"']+""")
    assert [(page.name, found) for page in built.rglob("*.html") if (found := loading.findall(page.read_text(encoding="utf-8")))] == []
    for sheet in built.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_the_command_line_is_told_with_every_stage_and_every_setting(built: Path) -> None:
    told = words_of(built / "cli.html")
    for stage in STAGES.values():
        assert stage.help() in told
    assert all(f"training.{name}" in told for name in Recipe.model_fields)
    table = told.partition(STAGES["figure"].help())[2].partition("Shared settings")[0]
    assert [name for name in FigureSettings.model_fields if not re.search(rf"^{name}$", table, re.MULTILINE)] == []
    seeds = re.search(r"^seeds\n(.*)\n(.*)\n(.*)$", told, re.MULTILINE)
    assert seeds
    assert seeds.groups() == ("whole number from 1", str(RunSettings().seeds), "pairs of students")


def test_every_public_name_is_described(built: Path) -> None:
    text = (built / "python.html").read_text(encoding="utf-8")
    assert [name for name in darkknowledge.__all__ if name[0] != "_" and f'id="darkknowledge.{name}"' not in text] == []
    assert "<math" in text


def test_what_an_error_says_is_told_with_what_to_do(built: Path) -> None:
    told = words_of(built / "troubleshooting.html")
    for kind, code in ((errors.UsageError, 2), (errors.DataError, 3), (errors.IntegrityError, 4), (errors.ResourceError, 5), (errors.BusyError, 7)):
        assert f"Exit code {kind.exit_code}" in told
        assert kind.exit_code == code
    for said, helps in (
        ("the run folder … exists", "choose another with out=…, or remove it; an unfinished run goes on with resume=true"),
        ("matplotlib, which draws the figures, is not installed", 'pip install "darkknowledge[figures]"'),
        ("--cfg is followed by the word job, not by …", "write --cfg job"),
    ):
        assert f"{said}\n{helps}" in told


def test_what_the_page_on_trouble_quotes_is_said_somewhere() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8").partition("## What happens most")[2].partition("## Every message")[0]
    quoted = [each for line in page.splitlines() if line.startswith("| `") for each in re.findall(r"`([^`]+)`", line.split("|")[1])]
    assert len(quoted) > 12
    said = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                said.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
    everything = "\n".join(said)
    missing = [each for each in quoted if not re.search(".*".join(map(re.escape, re.split(" ?… ?", each))), everything)]
    assert missing == []


def test_the_page_on_figures_names_each_as_the_program_does() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", (DOCS / "figures.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: (shows, of) for name, shows, of in rows} == {
        name: (choice.summary.partition(";")[0], choice.runs) for name, choice in CHOICES.items()
    }


def test_pictures_are_small_and_readable_where_nothing_moves() -> None:
    pictures = [path for path in DOCS.rglob("*") if path.suffix in (".svg", ".png") and "_build" not in path.parts]
    assert len(pictures) > 15
    assert [path for path in pictures if path.stat().st_size > 200_000] == []
