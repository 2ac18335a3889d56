"""YAML as a stranger may have written it: plain values alone, and no more of them than the text has room for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from darkknowledge.errors import IntegrityError

LARGEST = 1 << 20
"""Bytes beyond which a file is no configuration."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file ``path``.

    Raises:
        IntegrityError: it cannot be read, is absurdly large or deep, is no mapping of plain values, or says of a part that it is another part too (an
            alias): a few lines of those spell out billions of values.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise ValueError(f"it is no file of at most {LARGEST:,} bytes")
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        _require_tree(value)
    except (OSError, RecursionError, ValueError, yaml.YAMLError) as error:
        raise IntegrityError(f"{path.name} cannot be read: {error}", where=str(path), fix="restore the file or make the run anew") from error
    if not isinstance(value, dict):
        raise IntegrityError(f"{path.name} is no configuration", where=str(path), fix="restore the file or make the run anew")
    return value


def _require_tree(value: Any) -> None:
    """Refuse a list or mapping that is there twice."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict | list):
            if id(part) in seen:
                raise ValueError("an alias stands for a part of it")
            seen.add(id(part))
            waiting += part.values() if isinstance(part, dict) else part
