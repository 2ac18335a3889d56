"""Parts of one recording that begin or end at the same moment, with the moment chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkknowledge.contract import Report
from darkknowledge.transfer import TransferSet, _begin, _build, build
from transfer.small import Linear, content, plan_of, points, recorded

MOMENTS = ["require_place", "leftovers", "building", "begin", "finished_shards", "_record"]
BEGINNING = ["_begun", "finished_shards", "write_text", "flush_folder", "write_bytes"]


class Stop(Exception):  # noqa: N818
    """What a signal raises."""


def part(folder: Path, index: int, report: Report = lambda line: None) -> TransferSet | None:
    teacher, examples = Linear(), points()
    return build(folder, plan_of(teacher, examples), teacher=teacher, examples=examples, part=(index, 2), report=report)


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


ALL = [*((_build, moment) for moment in MOMENTS), *((_begin, moment) for moment in BEGINNING)]


@pytest.mark.parametrize(("module", "moment"), [*(pair for pair in ALL if pair[1] not in ("write_text", "flush_folder")), (_build, "commit")])
def test_a_part_that_goes_on_while_the_other_one_finishes_the_set_is_content(
    module: Any, moment: str, all_but_the_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = all_but_the_manifest
    recorded(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(module, moment, first(lambda: part(folder, 0), getattr(module, moment)))
        assert part(folder, 1) is not None
    assert content(folder) == content(tmp_path / "whole")


@pytest.mark.parametrize(("module", "moment"), ALL)
def test_a_part_that_begins_while_the_other_one_begins_is_content(module: Any, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "whole")
    (tmp_path / "set").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(module, moment, first(lambda: part(tmp_path / "set", 0), getattr(module, moment)))
        assert part(tmp_path / "set", 1) is not None
    assert content(tmp_path / "set") == content(tmp_path / "whole")


def environment_of(name: str, **changes: Any) -> dict[str, Any]:
    packages = {"torch": changes.pop("torch", "2.0")}
    return {"threads": 1, "accelerator": None, "processor": "slow", "packages": packages, "who": name} | changes


def test_of_two_parts_that_begin_at_once_the_first_one_decides_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    second, write_text = [True], _begin.write_text

    def overtaken(path: Path, text: str) -> None:
        if second:
            second.clear()
            monkeypatch.setattr(_begin, "environment", lambda: environment_of("first"))
            part(tmp_path / "set", 0)
        write_text(path, text)

    monkeypatch.setattr(_begin, "environment", lambda: environment_of("second"))
    monkeypatch.setattr(_begin, "write_text", overtaken)
    made = part(tmp_path / "set", 1)
    assert made is not None
    assert made.environment["who"] == "first"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"threads": 8}, "threads was 1 and is 8"),
        ({"accelerator": "fast"}, "accelerator was None and is fast"),
        ({"torch": "9.9"}, "torch was 2.0 and is 9.9"),
        ({"who": "else"}, None),
    ],
)
def test_going_on_with_other_hardware_or_versions_is_told_in_one_line(
    changes: dict[str, Any], line: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(_begin, "environment", lambda: environment_of("first"))
    part(tmp_path / "set", 0, lines.append)
    monkeypatch.setattr(_begin, "environment", lambda: environment_of("first", **changes))
    part(tmp_path / "set", 1, lines.append)
    warnings = [line for line in lines if line.startswith("warning: the last digits")]
    assert [warning.rpartition(": ")[2] for warning in warnings] == ([line] if line else [])
