"""What the pages tell of the code is read off the code: stages, settings, public names, rooms, messages; and formulas become MathML."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils.math.latex2mathml import tex2mathml
from messages import tables
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import darkknowledge
from darkknowledge.cli.compose import compose
from darkknowledge.cli.help import CONF, STAGES
from darkknowledge.pipeline import _parts, settings
from darkknowledge.training import recipe

SOURCE = Path(darkknowledge.__file__).parent
PARTS: Mapping[str, type[BaseModel]] = {
    "data": _parts.DataSettings,
    "model": _parts.ModelSettings,
    "teacher": settings.NewTeacher,
    "objective": _parts.ObjectiveSettings,
    "transfer": _parts.TransferSettings,
    "training": recipe.Recipe,
    "logging": _parts.LoggingSettings,
}
"""Sections that several stages share, under the names that they have there; ``student`` and ``teacher.model`` are like ``model``."""
SCHEMAS: Mapping[str, type[BaseModel]] = {
    schema.__doc__.split("``")[1].split()[1]: schema
    for schema in vars(settings).values()
    if isinstance(schema, type) and issubclass(schema, BaseModel) and (schema.__doc__ or "").startswith("``dk ")
}


class Stages(SphinxDirective):
    """Every stage: what ``--help`` says, and its settings with types and defaults."""

    def run(self) -> list[nodes.Node]:
        return _parsed(self, "\n".join(_stages()))


def _stages() -> Iterator[str]:
    for name, stage in STAGES.items():
        yield from (f"## dk {name}", "", f"{stage.summary[0].upper()}{stage.summary[1:]}", "", "```text", stage.help(), "```", "")
        yield from _table(SCHEMAS[name], compose(name, (), complete=False), _comments(CONF / f"{name}.yaml"))
    yield from ("## Shared settings", "", "What several stages have in common; `student` and `teacher.model` are like `model`.", "")
    for name, schema in PARTS.items():
        yield from (f"### {name}", "")
        files = (CONF / name / "_options.yaml", CONF / name / "default.yaml", CONF / "distill.yaml", CONF / "run.yaml")
        comments = {key: said for file in reversed(files) if file.is_file() for key, said in _comments(file, below=name).items()}
        yield from _table(schema, schema().model_dump(mode="json"), comments, prefix=f"{name}.")


def _table(schema: type[BaseModel], defaults: Mapping[str, Any], comments: Mapping[str, str], *, prefix: str = "") -> Iterator[str]:
    """The settings of a schema as a table; sections that have one of their own are linked."""
    said, described = _explanations(schema) | comments, schema.model_json_schema(mode="validation")
    parts = [name for name in schema.model_fields if {"student": "model"}.get(name, name) in PARTS and not prefix]
    if parts:
        links = ", ".join(f"[`{name}.…`](#{ {'student': 'model'}.get(name, name) })" for name in parts)
        yield from (f"Shared settings: {links}. Its own:", "")
    yield from ("| setting | value | default | |", "|---|---|---|---|")
    for name, field in schema.model_fields.items():
        if name not in parts:
            default = "" if field.is_required() else f"`{_written(defaults.get(name, field.default))}`"
            kind = _kind(described["properties"].get(name, {}), described.get("$defs", {}))
            yield f"| `{prefix}{name}` | {kind} | {default} | {_one_line(said.get(name, ''))} |"
    yield ""


def _explanations(schema: type[BaseModel]) -> dict[str, str]:
    """The texts below the fields of a class and of those that it inherits from."""
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        if base.__module__.startswith("darkknowledge"):
            comments = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
            found |= {name: " ".join(lines).strip() for (owner, name), lines in comments.items() if owner == base.__qualname__}
    return found


def _comments(path: Path, *, below: str = "") -> dict[str, str]:
    """The comments behind the keys of a YAML file: those at its beginning, or those of a section where there is one."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"{below}:") + 1 if f"{below}:" in lines else 0
    indent = "  " if start else ""
    found = {}
    for line in lines[start:]:
        if start and line and not line.startswith(" "):
            break
        if match := re.fullmatch(rf"{indent}(\w+):.*?\s# (.*)", line):
            found[match[1]] = match[2]
    return found


WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null", "object": "section"}
LIMITS = {"exclusiveMinimum": "above", "minimum": "from", "maximum": "up to", "exclusiveMaximum": "below"}


def _kind(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value may be, in words, from its JSON schema."""
    if "$ref" in described:
        return _kind(definitions[described["$ref"].rpartition("/")[2]], definitions)
    if "enum" in described or "const" in described:
        return ", ".join(f"`{value}`" for value in described.get("enum", [described.get("const")]))
    if "anyOf" in described:
        return " or ".join(dict.fromkeys(_kind(each, definitions) for each in described["anyOf"]))
    if described.get("type") == "array":
        inner = described.get("items", {})
        return f"list of {_kind(inner, definitions)}" if inner else "list"
    if described.get("format") == "path":
        return "path"
    limits = ", ".join(f"{word} {_count(described[key])}" for key, word in LIMITS.items() if key in described)
    return " ".join(filter(None, (WORDS.get(described.get("type", ""), "anything"), limits)))


def _count(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _written(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, BaseModel | Mapping):
        return "{…}"
    return f"[{','.join(map(_written, value))}]" if isinstance(value, list | tuple) else str(value)


def _one_line(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


class Names(SphinxDirective):
    """The public names, by what they are."""

    def run(self) -> list[nodes.Node]:
        names = [name for name in darkknowledge.__all__ if not name.startswith("__")]
        functions = [name for name in names if name[0].islower()]
        lines = ["## Functions", "", *_auto("autofunction", functions), "## Classes", "", *_auto("autoclass", sorted(set(names) - set(functions)))]
        return _parsed(self, "\n".join(lines))


def _auto(directive: str, names: list[str]) -> Iterator[str]:
    for name in names:
        members = [":members:", ":show-inheritance:"] if directive == "autoclass" and name != "DistillationModule" else []
        yield from ("```{eval-rst}", f".. {directive}:: darkknowledge.{name}", *(f"   {option}" for option in members[:1]), "```", "")


class Rooms(SphinxDirective):
    """Each room with the first paragraph of what it says of itself."""

    def run(self) -> list[nodes.Node]:
        lines = ["| room | |", "|---|---|"]
        for path in sorted(SOURCE.glob("*/__init__.py")):
            text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            paragraph = " ".join(text.split("\n\n")[0].split())
            lines.append(f"| `{path.parent.name}` | {_one_line(paragraph)} |")
        return _parsed(self, "\n".join(lines))


class ExitCodes(SphinxDirective):
    """The tree of errors with their exit codes, as the source draws it."""

    def run(self) -> list[nodes.Node]:
        drawing = (importlib.import_module("darkknowledge.errors").__doc__ or "").split("::\n\n")[1].split("\n\nEvery")[0]
        return [nodes.literal_block(drawing, drawing, language="text")]


class Messages(SphinxDirective):
    """Every message, by exit code."""

    def run(self) -> list[nodes.Node]:
        return _parsed(self, "\n".join(tables(SOURCE)))


def _parsed(directive: SphinxDirective, text: str) -> list[nodes.Node]:
    """Markdown as nodes."""
    found = nodes.Element()
    directive.state.nested_parse(StringList(text.splitlines(), "darkknowledge"), 0, found, match_titles=1)
    return found.children


OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./(?!examples/)([\w./-]+)(#[\w-]+)?\)")
"""A link from a page to a file of the repository that is no page."""
PAGES = {"SECURITY.md": "security.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
"""Files of the repository that are pages here."""


def _without_links_out(app: Sphinx, name: str, source: list[str]) -> None:
    """Name the files of the repository that the pages do not hold."""

    def named(link: re.Match[str]) -> str:
        text, path, anchor = link.groups()
        return f"[{text}]({PAGES[path]}{anchor or ''})" if path in PAGES else f"{text} (`{path}`)"

    source[0] = OUTSIDE.sub(named, source[0])


def _links_of_included(app: Sphinx, path: Path, name: str, source: list[str]) -> None:
    """Files that are included lie one folder up, and so do the pages that they name."""
    for file, page in PAGES.items():
        source[0] = source[0].replace(f"]({file}", f"](docs/{page}")


def _math(node: nodes.Element, *, inline: bool) -> str:
    text = node.astext().replace(r"\operatorname{tr}", r"\mathrm{tr}")
    return str(tex2mathml(text, as_block=not inline))


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directives and the formulas known."""
    directives: Mapping[str, type[SphinxDirective]] = {
        "stages": Stages,
        "public-names": Names,
        "rooms": Rooms,
        "exit-codes": ExitCodes,
        "messages": Messages,
    }
    for name, directive in directives.items():
        app.add_directive(name, directive)

    def inline(writer: Any, node: nodes.Element) -> None:
        writer.body.append(_math(node, inline=True))
        raise nodes.SkipNode

    def block(writer: Any, node: nodes.Element) -> None:
        writer.body.append(f'<div class="math">{_math(node, inline=False)}</div>')
        raise nodes.SkipNode

    nothing: Callable[[Any, nodes.Element], None] | None = None
    app.connect("source-read", _without_links_out)
    app.connect("include-read", _links_of_included)
    app.add_html_math_renderer("mathml", (inline, nothing), (block, nothing))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
