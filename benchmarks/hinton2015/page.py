"""``python -m benchmarks.hinton2015.page``: the pages, the figures and README's table, from the records alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from string import Template

from benchmarks.hinton2015.report import advice, chosen, fields, figures, tables
from benchmarks.hinton2015.report.records import Records, read
from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.runs.files import write_text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEMPLATES = HERE / "report"
OPEN, CLOSE = "<!-- hinton2015 -->", "<!-- /hinton2015 -->"


def main(words: list[str]) -> int:
    """Write everything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hinton2015.page", description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the records are")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where pages and figures go")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help=f"gets the table between {OPEN} and {CLOSE}")
    given = parser.parse_args(words)
    try:
        write_all(given.results, given.docs, given.readme)
    except DarkKnowledgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def write_all(results: Path, docs: Path, readme: Path) -> None:
    """Pages, figures, README.

    Raises:
        IntegrityError: a record that is not one.
        ResourceError: a file that cannot be written.
    """
    records, _ = read(results)
    for name, text in pages(results).items():
        write_text(docs / name, text)
        print(f"written: {name}")
    for path in figures.draw(records, docs):
        print(f"drawn: {path.name}")
    put(headline(records), readme)


def pages(results: Path) -> dict[str, str]:
    """File to text of the pages in the docs."""
    records, selection = read(results)
    drawn = figures.figures_in_markdown(records)
    sentences = {name: write(records) for name, write in advice.FIELDS.items()} | {"diverged": chosen.diverged(selection)}
    filled = {"hinton2015.md": fields.page(records, selection, results), "choosing.md": sentences | fields.frozen()}
    return {name: _filled(TEMPLATES / name, found | drawn) for name, found in filled.items()}


def _filled(template: Path, found: dict[str, str]) -> str:
    """A figure that is not drawn leaves no gap."""
    text = Template(template.read_text(encoding="utf-8")).substitute(found)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"


def headline(records: Records) -> str:
    """README's table and the sentence under it."""
    return f"{tables.readme(records)}\n\n{fields.gap(records)} [All of it](docs/hinton2015.md)."


def put(text: str, readme: Path) -> None:
    """Between the markers; a file without them stays as it is, and that is said."""
    before = readme.read_text(encoding="utf-8") if readme.exists() else ""
    head, opened, rest = before.partition(OPEN)
    _, closed, tail = rest.partition(CLOSE)
    if not (opened and closed):
        print(f"{readme.name} has no {OPEN} … {CLOSE}, so the table was NOT PUT there", file=sys.stderr)
        return
    write_text(readme, f"{head}{OPEN}\n{text}\n{CLOSE}{tail}")
    print(f"written: {readme.name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
