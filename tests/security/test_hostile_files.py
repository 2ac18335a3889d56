"""Files by somebody who wants more than to be read: none runs, writes or connects anything, and each gets an error that says what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from security.hostile import Hostile
from security.table import HOSTILE, SOUND

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 2, 100
"""Of processor time, and of memory at its peak above what the process had before, for one file."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def opened(place: Path) -> Mapping[str, Mapping[str, Any]]:
    """What became of each file, and what was heard of each act, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "security.opening", str(place)]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {result["name"]: result for result in map(json.loads, done.stdout.splitlines())}


def test_there_are_sixty_and_more() -> None:
    names = [hostile.name for hostile in (*HOSTILE, *SOUND)]
    assert len(HOSTILE) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_file_does_nothing_and_is_refused(hostile: Hostile, opened: Mapping[str, Mapping[str, Any]]) -> None:
    result = opened[hostile.name]
    assert result["heard"] == []
    assert not result["ran"]
    assert result["error"] == (hostile.refused.__name__ if hostile.refused else ""), result["said"]
    assert "\x1b" not in result["said"]
    assert result["seconds"] < SECONDS
    assert result["megabytes"] < MEGABYTES


@pytest.mark.parametrize("sound", SOUND, ids=lambda sound: sound.name)
def test_a_sound_file_of_the_same_kind_is_read(sound: Hostile, opened: Mapping[str, Mapping[str, Any]]) -> None:
    assert opened[sound.name]["error"] == "", opened[sound.name]["said"]


@pytest.mark.parametrize("act", ["pickle", "system", "process", "connection", "exec", "write", "remove", "import"])
def test_what_a_file_could_do_would_be_heard(act: str, opened: Mapping[str, Mapping[str, Any]]) -> None:
    assert opened[f"act: {act}"]["heard"]


def test_the_pickles_do_what_they_are_kept_from(opened: Mapping[str, Mapping[str, Any]], place: Path) -> None:
    assert opened
    assert (place / "control" / "RAN").exists()
