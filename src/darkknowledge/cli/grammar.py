"""The words of the command line made into overrides of the configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from darkknowledge.cli.help import CONF
from darkknowledge.errors import UsageError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_GROUPS = {"data": "data", "model": "model", "objective": "objective", "student": "model@student", "teacher.model": "model@teacher.model"}
"""Keys that choose a file of the configuration, and the group that it lies in."""
_LIBRARIES = ("timm", "torchvision")
MOST_JOBS = 10_000
"""Of a grid: checking so many takes ten minutes."""


def jobs(overrides: Sequence[str], *, multirun: bool) -> list[tuple[str, ...]]:
    """One list of overrides for each job of a grid; without ``multirun`` there is one.

    Raises:
        UsageError: an override that cannot be read, or a grid without ``-m``, of values without end, of none, or of more than 10,000 jobs.
    """
    values = []
    for override in overrides:
        parsed = _parse(override)
        if parsed.is_sweep_override() and not multirun:
            raise UsageError(f"{override!r} names several values", fix=f"-m runs a grid; one list is written {_as_list(override)}")
        values.append(_each(override, parsed) if parsed.is_sweep_override() else [override])
    count = math.prod(map(len, values))
    if not 1 <= count <= MOST_JOBS:
        raise UsageError(
            f"a grid of {'more than 10,000' if count else 'no'} jobs",
            where=" ".join(overrides),
            fix="name fewer values" if count else "name some values",
        )
    return [tuple(job) for job in product(*values)]


def _each(override: str, parsed: Override) -> list[str]:
    """One override for each of several values."""
    from hydra.errors import HydraException

    key = override.partition("=")[0]
    try:
        return [f"{key}={value}" for value in islice(parsed.sweep_string_iterator(), MOST_JOBS + 1)]
    except (HydraException, ValueError) as error:
        raise UsageError(
            f"{override!r} is no grid: {error}", fix=f"write its values, or a range of whole numbers: {key}=1,2,3 or {key}=range(3)"
        ) from None


def nested(overrides: Sequence[str]) -> dict[str, Any]:
    """The values of ``section.key=value`` as a nested dictionary: the same grammar for a program with a schema and no files.

    Raises:
        UsageError: a word that cannot be read, has no value, or names several.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        parsed = _parse(override)
        if parsed.is_sweep_override() or parsed.is_delete():
            raise UsageError(f"{override!r} is no single value", fix=f"one list is written {_as_list(override)}")
        path = override.partition("=")[0]
        *sections, key = path.split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise UsageError(f"{path!r} lies below a value", fix="give the value or the keys below it")
        inner[key] = parsed.value()
    return values


def _parse(override: str) -> Override:
    """What Hydra's grammar finds in one word."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except (HydraException, RecursionError, ValueError) as error:  # the last for a number of too many digits
        line = str(error).splitlines()[0].partition(" expecting")[0]
        fix = "quote a value with spaces, commas or =: out='\"my runs/a=1\"'"
        raise UsageError(f"{override!r} cannot be read: {line}", fix=fix) from None


def _refuse_path(key: str, value: str) -> None:
    """A choice names one of the package's own files, and leads to no other."""
    group = _GROUPS.get(key, key).lstrip("+").partition("@")[0]
    if (CONF / group).is_dir() and ".." in value.replace("\\", ""):
        raise UsageError(f"{key}={value} names no choice", fix=f"dk STAGE --help lists them; values of one's own are written {key}.KEY=VALUE")


def _as_list(override: str) -> str:
    key, _, value = override.partition("=")
    return f"{key}=[{value}]"


def expand(stage: str, overrides: Sequence[str]) -> list[str]:
    """The overrides in Hydra's own words: ``student=NAME`` names a file, ``teacher=…`` its source, ``dk run`` the data set's experiment."""
    expanded = [word for override in overrides for word in _expand(stage, override)]
    if stage != "run":
        return expanded
    if not any(word.startswith("experiment=") for word in expanded):
        data = next((word.removeprefix("data=") for word in reversed(expanded) if word.startswith("data=")), "digits")
        if (CONF / "experiment" / f"{data}.yaml").is_file():
            expanded.insert(0, f"experiment={data}")
    # Without an experiment is how the configuration is written; Hydra has no word for it on the command line.
    return [word for word in expanded if word != "experiment=null"]


def _expand(stage: str, override: str) -> list[str]:
    key, _, value = override.partition("=")
    if key.lstrip("+~").startswith("hydra"):
        raise UsageError(f"unknown key {key!r}", why="Hydra composes the configuration here and does nothing else", fix="the run folder is out=…")
    if key == "teacher" and stage in ("distill", "run", "record"):
        return [f"teacher.source={value}"]
    if key == "transfer" and stage == "distill":
        return [f"transfer.source={value}"]
    if key == "model" and stage == "predict":
        return [f"model.path={value}"]
    _refuse_path(key, value)
    if key not in _GROUPS:
        return [override]
    value = value.strip("'\"").replace("\\:", ":")  # a grid comes back from Hydra with its colons escaped
    if ":" not in value or value.startswith("{"):
        return [f"{_GROUPS[key]}={value}"]
    library = value.partition(":")[0]
    return [f"{_GROUPS[key]}={library if library in _LIBRARIES else 'plugin'}", f"{key}.name={value}"]
