"""YAML as a stranger may have written it: plain values alone, and no more of them than the text has room for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import require_modest

LARGEST = 1 << 18
"""Bytes beyond which a file is no configuration; reading so many takes two seconds."""


def as_yaml(config: Mapping[str, Any]) -> str:
    """The text of which `read_yaml` makes ``config`` again."""
    text: str = yaml.dump(config, Dumper=_Exact, sort_keys=False, allow_unicode=True)
    return text


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file ``path``.

    Raises:
        IntegrityError: it cannot be read, is absurdly large or deep, is no mapping of plain values, or says of a part that it is another part too (an
            alias): a few lines of those spell out billions of values.
    """
    try:
        require_modest(path, largest=LARGEST)
        value: Any = _WithoutAliases(path.read_text(encoding="utf-8")).get_single_data()
        json.dumps(value)  # which knows plain values alone, and no number of thousands of digits
    except (ArithmeticError, OSError, RecursionError, TypeError, ValueError, yaml.YAMLError) as error:
        raise IntegrityError(f"{path.name} cannot be read: {error}", where=str(path), fix="restore the file or make the run anew") from error
    if not isinstance(value, dict):
        raise IntegrityError(f"{path.name} is no configuration", where=str(path), fix="restore the file or make the run anew")
    return value


class _Exact(yaml.SafeDumper):
    """Escapes what is not seen in a text. Some of it counts as a line break, which would be read as a space."""


_Exact.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'))


class _WithoutAliases(yaml.SafeLoader):
    """Stops at the first alias, before anything is made of it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("an alias stands for a part of it")
        return super().compose_node(parent, index)
