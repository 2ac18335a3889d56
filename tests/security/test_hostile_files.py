"""Files by somebody who wants more than to be read: none runs, writes or connects anything, and each gets an error that says what it is."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import torch

from security.acts import ACTS, READERS, done, unheard
from security.hostile import runs
from security.hostile.file import Hostile
from security.opening import Result, in_child, opened
from security.table import HOSTILE, SOUND

SECONDS, MEGABYTES = 2, 100
"""Of processor time, and of memory at its peak above what the process had before, for one file."""
ROWS = [pytest.param(kind, hostile, id=hostile.name) for kind, room in HOSTILE.items() for hostile in room]
SOUND_ROWS = [pytest.param(kind, sound, id=sound.name) for kind, room in SOUND.items() for sound in room]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Everything is imported and asked of the system before the children are forked, which would each do so anew, and be heard."""
    torch.set_num_threads(1)  # a child that was forked can't use its parent's
    place = tmp_path_factory.mktemp("warm")
    runs.run()(place)
    with contextlib.chdir(place):
        for work in (runs.RESUMED, runs.LEARNED_FROM, runs.EVALUATED, runs.LISTED, runs.LOOKED_AT):
            work(place)
    importlib.import_module("timm")


@pytest.fixture(scope="module")
def found(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Result]]:
    """What became of each file, by kind and name; those of a kind are opened by one child."""
    rooms = {kind: opened(tmp_path_factory.mktemp("hostile"), SOUND[kind], HOSTILE[kind]) for kind in HOSTILE}
    return {kind: {result["name"]: result for result in room} for kind, room in rooms.items()}


@pytest.fixture(scope="module")
def heard(warm: None, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Result]:
    place = tmp_path_factory.mktemp("acts")
    return {result["name"]: result for work in (done, unheard) for result in in_child(place, partial(work, folder=place))}


@pytest.mark.parametrize(("kind", "hostile"), ROWS)
def test_a_hostile_file_does_nothing_and_is_refused(kind: str, hostile: Hostile, found: Mapping[str, Mapping[str, Result]]) -> None:
    assert hostile.name in found[kind], "the child that opens such files came to its end before"
    result = found[kind][hostile.name]
    assert result["heard"] == []
    assert result["changed"] == []
    assert result["error"] == (hostile.refused.__name__ if hostile.refused else ""), result["said"]
    assert hostile.says in result["said"]
    assert "\x1b" not in result["said"]
    assert result["seconds"] < SECONDS
    assert result["megabytes"] < MEGABYTES
    if hostile.refused:
        assert hostile.says
        assert "  fix: " in result["said"]
        assert "Traceback" not in result["said"]


@pytest.mark.parametrize(("kind", "sound"), SOUND_ROWS)
def test_a_sound_file_of_the_same_kind_is_read(kind: str, sound: Hostile, found: Mapping[str, Mapping[str, Result]]) -> None:
    result = found[kind][sound.name]
    assert result["error"] == "", result["said"]
    assert sound.says in result["said"]


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_that_trusts_the_same_file_runs_it_and_is_heard(reader: str, heard: Mapping[str, Result]) -> None:
    assert heard[reader]["heard"]
    assert heard[reader]["ran"]


@pytest.mark.parametrize("act", ACTS)
def test_whatever_else_a_file_could_do_would_be_heard(act: str, heard: Mapping[str, Result]) -> None:
    assert heard[act]["heard"]


def test_what_native_code_writes_is_seen_though_it_is_not_heard(heard: Mapping[str, Result]) -> None:
    assert not heard["native code"]["heard"]
    assert heard["native code"]["changed"] == ["native.safetensors"]


def test_memory_that_is_taken_and_given_back_is_seen(heard: Mapping[str, Result]) -> None:
    assert heard["memory"]["megabytes"] > MEGABYTES


def test_there_are_sixty_and_more_and_each_has_a_name_of_its_own() -> None:
    names = [each.name for room in (*HOSTILE.values(), *SOUND.values()) for each in room]
    assert sum(map(len, HOSTILE.values())) >= 60
    assert len(set(names)) == len(names)


def test_every_kind_is_in_the_table_of_the_threat_model() -> None:
    page = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \*\*(.+?)\*\* \|", page, re.MULTILINE) == list(HOSTILE)
