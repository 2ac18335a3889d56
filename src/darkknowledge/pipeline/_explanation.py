"""What is wrong with a value of the configuration, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from darkknowledge.errors import close_match


def explain(schema: type[BaseModel], problem: Any) -> str:
    """One line for one of pydantic's errors; an unknown key gets a close match among those of its section."""
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}. {close_match(path[-1], _fields(schema, path[:-1]))}"
    # Of a union pydantic names the alternative too: data.validation.constrained-int.
    key = ".".join(part for part in path if (part.isidentifier() and part.islower()) or part.isdigit())
    if problem["type"] == "missing":
        return f"{key} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    given = key if isinstance(problem["input"], Mapping) else f"{key}={problem['input']!r}"
    rule = message.removeprefix("Input should be ").replace("a valid tuple", "a list")
    return f"{given}: {message}" if rule == message else f"{given} must be {rule}"


def _fields(schema: type[BaseModel], path: list[str]) -> list[str]:
    """The names in the section at ``path``."""
    for part in path:
        if part.isdigit():  # a place in a list of sections
            continue
        found = _section(schema.model_fields[part].annotation) if part in schema.model_fields else None
        if found is None:
            return []
        schema = found
    return list(schema.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, or holds some of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)
