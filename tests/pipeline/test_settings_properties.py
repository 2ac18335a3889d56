"""Whatever can be said to a stage, its run says again: settings that are written into a folder and read from it are the same settings."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import BaseModel

from darkknowledge.errors import UsageError
from darkknowledge.pipeline import settings as schemas
from darkknowledge.pipeline.settings import validate
from darkknowledge.runs.plain_yaml import as_yaml, read_yaml

STAGES = {
    "run": schemas.RunSettings,
    "train": schemas.TrainSettings,
    "distill": schemas.DistillSettings,
    "record": schemas.RecordSettings,
    "transfer": schemas.TransferSetSettings,
    "verify": schemas.VerifySettings,
    "evaluate": schemas.EvaluateSettings,
    "list": schemas.ListSettings,
}

ODD = (
    *("", "null", "yes", "1e3", "2015-01-01", "=", "~", "0x1f", "1:30", "- a", "#", "&a", "*a"),
    *("\x1b[2J", "\x85", "a\u2028", "a\r\nb", "\ufeffa"),
)
"""Texts of which YAML has something of its own to say."""
TEXTS = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), max_size=8)  # half a pair of surrogates is in no file of UTF-8
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2), max_leaves=3
)


def values(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """What a field of this type may be told, between the bounds of its metadata."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(parts[0], (*parts[1:], *metadata))
    if origin in (Union, types.UnionType):
        return st.one_of([values(part, metadata) for part in parts])
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=3) if parts[-1] is ... else st.tuples(*map(values, parts))
    if origin is dict:
        return st.dictionaries(TEXTS, PLAIN, max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return told(annotation)
    plain = {str: TEXTS, Path: TEXTS, bool: st.booleans(), type(None): st.none(), Any: PLAIN}
    return numbers(annotation, metadata) if annotation in (int, float) else plain[annotation]


def numbers(kind: type, metadata: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Those that are within the bounds."""
    every = [part for each in metadata for part in getattr(each, "metadata", [each])]
    low = next((getattr(each, "ge", getattr(each, "gt", None)) for each in every if isinstance(each, Ge | Gt)), None)
    high = next((getattr(each, "le", getattr(each, "lt", None)) for each in every if isinstance(each, Le | Lt)), None)
    open_below, open_above = (any(isinstance(each, bound) for each in every) for bound in (Gt, Lt))
    if kind is int:
        return st.integers(low, high - open_above if high is not None else 2**40)
    top = sys.float_info.max if high is None else high
    return st.floats(low, top, exclude_min=open_below, exclude_max=open_above, allow_nan=False)


def told(schema: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields of a section; the others keep their defaults."""
    fields = {name: values(field.annotation, tuple(field.metadata)) for name, field in schema.model_fields.items()}
    required = {name: fields.pop(name) for name, field in schema.model_fields.items() if field.is_required()}
    return st.fixed_dictionaries(required, optional=fields)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_written_into_a_run_and_read_again_is_the_same(stage: str, tmp_path: Path) -> None:
    schema, found = STAGES[stage], []

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
    @given(told(schema))
    def check(values: dict[str, Any]) -> None:
        try:
            known = validate(schema, values)
        except UsageError:  # settings that exclude each other
            return
        found.append(known)
        (tmp_path / "config.yaml").write_text(as_yaml(known.model_dump(mode="json")), encoding="utf-8")
        assert validate(schema, read_yaml(tmp_path / "config.yaml")) == known

    check()
    assert len(found) > 5
