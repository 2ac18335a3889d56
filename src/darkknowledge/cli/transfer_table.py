"""What a transfer set is, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from darkknowledge.transfer import Description, printable


def show_transfer_set(found: Description, path: Path, console: Console) -> None:
    """What it belongs to, how large it is, how right its teacher was, and how soft its targets are at some temperatures."""
    facts = Table(title=escape(printable(str(path))), show_header=False)
    for name, value in _facts(found):
        facts.add_row(name, escape(printable(value)))
    console.print(facts)
    softness = Table("temperature", "entropy (nats)", "effective classes", "captured mass", title="soft targets, means over all rows")
    for row in found.temperatures:
        softness.add_row(f"{row.temperature:g}", f"{row.entropy:.3f}", f"{row.effective_classes:.2f}", f"{row.captured:.4f}")
    console.print(softness)


def _facts(found: Description) -> Iterator[tuple[str, str]]:
    views = f" × {found.views} views" if found.views > 1 else ""
    yield "answers", f"{found.rows:,}: {found.examples:,} examples{views}"
    members = f", each of {found.members} members" if found.members > 1 else ""
    yield "classes", f"{found.classes:,}{members}"
    yield "kept as", f"{found.codec}, {found.bytes_per_example:,.1f} bytes an example, {found.bytes / 1e6:,.2f} MB"
    if found.accuracy is None:
        yield "teacher's accuracy", "no label to measure it by"
    else:
        yield "teacher's accuracy", f"{found.accuracy:.2%} on {found.labelled:,} labelled rows"
    if found.flat:
        yield "warning", f"all logits are equal in {found.flat:,} rows"
    average = f" ({found.average} average)" if len(found.teacher) > 1 else ""
    yield "teacher", ", ".join(fingerprint[:12] for fingerprint in found.teacher) + f", {found.precision}{average}"
    yield "data", found.data[:12]
    yield "transform", found.transform
