"""What a set belongs to: the first difference is named, and nothing else than an identity is read as one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer import Identity, codec as codecs, require_same
from darkknowledge.transfer._identity import CONTINUING
from transfer.small import Linear, identity_of, points

IDENTITY = identity_of(Linear(members=2), points(), codec="topk", k=3, temperatures=(1.0, 2.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": ("fingerprint 0", "b" * 200)}, r"another teacher\[1\]: fingerprint 1, wanted is b{118} …"),
        ({"average": "logit"}, "another average: probability, wanted is logit"),
        ({"weights": (0.5, 0.5)}, r"another weights\[0\]: 0.3"),
        ({"data": "other"}, "another data: some points, wanted is other"),
        ({"class_names": (*IDENTITY.class_names[:4], "cat", *IDENTITY.class_names[5:])}, r"another class_names\[4\]: class 4, wanted is cat"),
        ({"transform": "jitter v2"}, "another transform: plain, wanted is jitter v2"),
        ({"views": 3}, "another views: 1, wanted is 3"),
    ],
)
def test_the_first_difference_is_named_with_both_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(IntegrityError, match=message) as caught:
        require_same(IDENTITY, replace(IDENTITY, **changes), where="here", fix="do that")
    assert caught.value.where == "here"
    assert caught.value.fix == "do that"
    assert caught.value.why


def test_another_number_of_classes_is_shown_by_their_names() -> None:
    small = identity_of(Linear(3, members=2), points(), codec="topk", k=3, temperatures=(1.0, 2.0))
    with pytest.raises(IntegrityError, match=r"class_names: 10 \(class 0, .*wanted is 3 \(class 0, class 1, class 2\)"):
        require_same(IDENTITY, small, where="", fix="")


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"batch_size": 1}, {"codec": codecs.build("float32", 10)}])
def test_how_finely_a_set_was_recorded_matters_only_for_going_on(changes: dict[str, Any]) -> None:
    other = replace(IDENTITY, **changes)
    require_same(IDENTITY, other, where="", fix="")
    with pytest.raises(IntegrityError, match=f"another {next(iter(changes))}"):
        require_same(IDENTITY, other, where="", fix="", names=CONTINUING)


def test_an_identity_survives_json() -> None:
    assert Identity.from_dict(json.loads(json.dumps(IDENTITY.to_dict()))) == IDENTITY


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": "abc"},
        {"teacher": [1, 2]},
        {"weights": [1.0]},
        {"weights": ["a", "b"]},
        {"average": "median"},
        {"views": 0},
        {"views": "1"},
        {"views": True},
        {"class_names": ["a"] * 10},
        {"class_names": []},
        {"codec": {"name": "zip", "options": {}}},
        {"codec": {"name": "topk", "options": {"k": 100}}},
        {"codec": "float32"},
        {"surprise": 1},
    ],
)
def test_what_is_no_identity_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="no identity of a transfer set"):
        Identity.from_dict({**IDENTITY.to_dict(), **change})


@pytest.mark.parametrize("values", [None, [], "text", {}])
def test_what_is_nothing_like_an_identity_is_refused(values: Any) -> None:
    with pytest.raises(IntegrityError, match="no identity of a transfer set"):
        Identity.from_dict(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": (1.0,)}, "1 weights for 2 teachers"),
        ({"class_names": ("a", "a")}, "missing or doubled"),
        ({"weights": (0.5, 0.6)}, "weights="),
        ({"weights": (1.0, 0.0)}, "weights="),
        ({"weights": (float("nan"), 1.0)}, "weights="),
        ({"precision": "fp16"}, "precision='fp16'"),
        ({"views": 1 << 32}, "views=4294967296"),
        ({"views": 0}, "views=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"codec": codecs.build("float32", 9)}, "9 of 10 classes"),
    ],
)
def test_an_identity_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(IDENTITY, **changes)


def test_what_a_foreign_set_says_of_itself_commands_no_terminal() -> None:
    foreign = replace(IDENTITY, data="\x1b]0;owned\x07\x1b[2J\n\ud800")
    with pytest.raises(IntegrityError) as caught:
        require_same(foreign, IDENTITY, where="", fix="")
    assert "another data: \N{REPLACEMENT CHARACTER}]0;owned" in str(caught.value)
    assert caught.value.what.isprintable()
    with pytest.raises(IntegrityError) as caught:
        Identity.from_dict({**IDENTITY.to_dict(), "codec": {"name": "\x1b[2J", "options": {}}})
    assert caught.value.what.isprintable()
