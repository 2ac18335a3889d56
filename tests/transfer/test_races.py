"""Parts of one recording that begin or end at the same moment, with the moment chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkknowledge.transfer import _build, build
from transfer.small import Linear, content, plan_of, points, recorded

MOMENTS = ["require_place", "leftovers", "building", "_begin", "finished_shards", "write_bytes", "_record"]


class Stop(Exception):  # noqa: N818
    """What a signal raises."""


def part(folder: Path, index: int) -> object:
    teacher, examples = Linear(), points()
    return build(folder, plan_of(teacher, examples), teacher=teacher, examples=examples, part=(index, 2))


def first(other: Callable[[], object], function: Any) -> Any:
    """The function, with another process's work done once just before it."""
    waiting = [other]

    def delayed(*arguments: Any, **named: Any) -> Any:
        while waiting:
            waiting.pop()()
        return function(*arguments, **named)

    return delayed


@pytest.fixture
def all_but_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording in two parts whose last writer was killed just before it would have written the manifest."""

    def die(*arguments: Any, **named: Any) -> None:
        raise Stop

    part(tmp_path / "set", 0)
    with monkeypatch.context() as patch:
        patch.setattr(_build, "commit", die)
        with pytest.raises(Stop):
            part(tmp_path / "set", 1)
    return tmp_path / "set"


@pytest.mark.parametrize("moment", [*MOMENTS, "commit"])
def test_a_part_that_goes_on_while_the_other_one_finishes_the_set_is_content(
    moment: str, all_but_the_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = all_but_the_manifest
    recorded(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(_build, moment, first(lambda: part(folder, 0), getattr(_build, moment)))
        assert part(folder, 1) is not None
    assert content(folder) == content(tmp_path / "whole")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_part_that_begins_while_the_other_one_begins_is_content(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "whole")
    (tmp_path / "set").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(_build, moment, first(lambda: part(tmp_path / "set", 0), getattr(_build, moment)))
        assert part(tmp_path / "set", 1) is not None
    assert content(tmp_path / "set") == content(tmp_path / "whole")
