"""A network's options, checked against the signature of what builds it."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin

from darkknowledge.errors import UsageError, close_match


def check(builder: Callable[..., Any], options: Mapping[str, Any], *, name: str) -> None:
    """Hold ``options`` against the keyword-only parameters of ``builder``, their names and their types.

    Raises:
        UsageError: an option that the builder does not have, or a value of another type; the option is named.
    """
    parameters = inspect.signature(builder).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    hints = typing.get_type_hints(getattr(builder, "func", builder))
    known = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    for key, value in options.items():
        if key not in known:
            raise UsageError(f"{name} has no option {key!r}", where=f"{key}={value}", fix=close_match(key, known))
        if not _fits(value, hints[key]):
            raise UsageError(f"{name}: {key}={value!r} is not of type {_spelled(hints[key])}", fix="change the value, or leave the option out")


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    # A bool is an int to Python, and never meant as one.
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _spelled(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
