"""One self-contained HTML page, made from run folders alone: it asks for nothing, and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from darkknowledge import __version__
from darkknowledge.report.content import Section
from darkknowledge.report.gather import gather, one_story
from darkknowledge.report.groups import groups_of
from darkknowledge.report.plot import marker
from darkknowledge.report.sections.calibration import calibration
from darkknowledge.report.sections.classes import classes
from darkknowledge.report.sections.comparing import comparing
from darkknowledge.report.sections.disagreements import disagreements
from darkknowledge.report.sections.explorer import explorer
from darkknowledge.report.sections.fidelity import fidelity
from darkknowledge.report.sections.matrix import matrix
from darkknowledge.report.sections.outcome import outcome
from darkknowledge.report.sections.provenance import provenance
from darkknowledge.report.sections.size import size
from darkknowledge.report.sections.training import training
from darkknowledge.report.story import Story
from darkknowledge.report.text import tight, visible

BEGINNING = "<!DOCTYPE html>\n<!-- a page of darkknowledge -->\n"
"""How every page begins, so that no other file is taken for one."""
PARTS = Path(__file__).parent / "page"


def make(folders: Sequence[Path], *, gallery: int) -> str:
    """The page of these run folders: the story of one comparison, or a comparison of several.

    Raises:
        UsageError: one is no finished run and no folder of runs.
        IntegrityError: a record or a configuration cannot be read.
    """
    found = gather(folders)
    title = ", ".join(visible(folder.name, 40) for folder in folders[:3]) + (", …" if len(folders) > 3 else "")
    groups = groups_of(found)
    if groups is not None:
        return render(title, "", comparing(groups))
    story = one_story(found, title=title)
    return render(title, story.data, sections(story, gallery=gallery))


def sections(story: Story, *, gallery: int) -> list[Section]:
    """What is told of one comparison, in this order."""
    return [
        outcome(story),
        explorer(story),
        matrix(story),
        disagreements(story, most=gallery),
        calibration(story),
        fidelity(story),
        training(story),
        classes(story),
        size(story),
        provenance(story),
    ]


def render(title: str, subtitle: str, content: Sequence[Section]) -> str:
    """The HTML."""
    style, script = ((PARTS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.globals |= {"as_data": as_data, "marker": marker}
    environment.filters["tight"] = tight
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return BEGINNING + environment.get_template("page.html.jinja").render(
        title=title,
        subtitle=visible(subtitle, 300) if subtitle else "",
        sections=content,
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        version=__version__,
    )


def as_data(value: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _digest(text: str) -> str:
    """As a content-security policy names a text."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
