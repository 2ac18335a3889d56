"""JSON that says itself what it must be: no bit of it changes unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.checked_json import read_checked, write_checked

CONTENT = {"kind": "train", "seconds": 1e-05, "name": "Zürich", "best": None, "a": [True]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_checked(tmp_path / "run.json", CONTENT)
    return tmp_path / "run.json"


def test_what_is_read_is_what_was_written_in_its_order(path: Path) -> None:
    assert read_checked(path) == CONTENT
    assert list(read_checked(path)) == list(CONTENT)
    assert list(json.loads(path.read_text())) == ["schema", *CONTENT, "sha256"]


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    """Also one that other readers of JSON would not mind: 1e-05 and 1E-05, \\u00fc and \\u00Fc."""
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in (0x01, 0x20):  # the latter turns e into E
            damaged = bytearray(whole)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(IntegrityError):
                read_checked(path)
    path.write_bytes(whole)
    assert read_checked(path) == CONTENT


@pytest.mark.parametrize(
    "change", [lambda text: text[:-1], lambda text: text + "\n", lambda text: text.replace("  ", " "), lambda text: "{}", lambda text: "[]"]
)
def test_other_text_is_refused(change: object, path: Path) -> None:
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    if path.read_text() == "{}":  # what an earlier version may have written
        assert read_checked(path) == {}
        return
    with pytest.raises(IntegrityError, match=r"run.json is not"):
        read_checked(path)


def test_a_file_of_an_earlier_version_is_read_as_it_is(path: Path) -> None:
    path.write_text(json.dumps({"schema": 1, "kind": "train"}))
    assert read_checked(path) == {"kind": "train"}


def test_a_file_does_not_become_one_of_an_earlier_version_by_saying_so(path: Path) -> None:
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 1'))
    with pytest.raises(IntegrityError, match=r"run.json is not the file that was written"):
        read_checked(path)


def test_a_file_of_a_newer_version_says_so(path: Path) -> None:
    path.write_text(json.dumps({"schema": 3, "kind": "train"}))
    with pytest.raises(IntegrityError, match="has schema 3, and 2 is the one known here") as caught:
        read_checked(path)
    assert "newer darkknowledge" in caught.value.fix


def test_numbers_that_are_none_are_refused(path: Path) -> None:
    path.write_text('{"schema": 2, "loss": NaN, "sha256": ""}')
    with pytest.raises(IntegrityError):
        read_checked(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_checked(path, {"loss": float("nan")})
