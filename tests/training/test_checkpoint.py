from __future__ import annotations

import errno
import hashlib
import pickle
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from darkknowledge.errors import IntegrityError, ResourceError
from darkknowledge.runs.files import write_file_with_digest
from darkknowledge.runs.folder import RunFolder
from darkknowledge.training.checkpoint import load_state, save_state, saved_states
from kills import Killed, killed_before
from training.small import same


def state(step: int) -> dict[str, Any]:
    return {"step": step, "network": {"weight": torch.full((300,), float(step))}, "best": None, "means": [{"steps": 2}]}


def names(folder: Path) -> list[str]:
    """What lies in a folder; of a state its step."""
    return sorted(path.name.split("-")[1] if path.name.startswith("state-") else path.name for path in folder.iterdir())


def flip(path: Path, position: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_the_state_read_is_the_state_saved_and_the_two_newest_stay(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoint"
    for step in (1, 2, 10):
        save_state(folder, state(step), name=f"{step:08d}")
        assert same(load_state(folder), state(step))
    assert names(folder) == ["00000002", "00000010"]


def test_the_name_ends_with_the_digest_that_other_tools_find_too(tmp_path: Path) -> None:
    save_state(tmp_path, state(3), name="00000003")
    (path,) = saved_states(tmp_path)
    assert path.name == f"state-00000003-{hashlib.sha256(path.read_bytes()).hexdigest()}.pt"


def test_a_state_saved_again_is_the_newest(tmp_path: Path) -> None:
    for text in ("first", "second", "second"):
        save_state(tmp_path, {"text": text}, name=f"00000003-{'first second'.index(text):02d}")
    assert load_state(tmp_path) == {"text": "second"}
    assert names(tmp_path) == ["00000003", "00000003"]


def test_where_nothing_was_saved_there_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    assert load_state(tmp_path / "none") is None
    for name in (".state-00000001.pt.tmp-12-0123abcd", "state-00000001.pt", f"damaged-state-00000001-{'0' * 64}.pt"):
        (tmp_path / name).touch()
    assert load_state(tmp_path) is None


@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_flipped_byte_is_noticed(tmp_path: Path, position: int) -> None:
    save_state(tmp_path, state(1), name="00000001")
    flip(saved_states(tmp_path)[0], position)
    with pytest.raises(IntegrityError, match="not the file that was written"):
        load_state(tmp_path)


def test_a_damaged_state_is_passed_over_and_costs_no_whole_one(tmp_path: Path) -> None:
    for step in (1, 2):
        save_state(tmp_path, state(step), name=f"{step:08d}")
    flip(saved_states(tmp_path)[-1])
    said: list[str] = []
    assert same(load_state(tmp_path, report=said.append), state(1))
    (line,) = said
    assert re.match(rf"warning: in {tmp_path} state-00000002-\w+.pt is not the file that was written: going on from .*, state-00000001-", line)
    assert same(load_state(tmp_path), state(1))
    # It does not count as one of the two.
    for step, left in ((2, ["00000001", "00000002"]), (3, ["00000002", "00000003"])):
        save_state(tmp_path, state(step), name=f"{step:08d}")
        assert [path.name.split("-")[1] for path in saved_states(tmp_path)] == left
        assert same(load_state(tmp_path), state(step))


def test_nobody_goes_on_where_every_state_is_damaged(tmp_path: Path) -> None:
    for step in (1, 2):
        save_state(tmp_path, state(step), name=f"{step:08d}")
    for path in saved_states(tmp_path):
        flip(path)
    before = names(tmp_path)
    with pytest.raises(IntegrityError, match=r"2 faults were found:\n  .*state-00000002[\s\S]*\n  .*state-00000001") as caught:
        load_state(tmp_path)
    assert caught.value.exit_code == 4
    assert names(tmp_path) == before


def test_without_a_report_a_damaged_state_is_a_warning(tmp_path: Path) -> None:
    for step in (1, 2):
        save_state(tmp_path, state(step), name=f"{step:08d}")
    flip(saved_states(tmp_path)[-1])
    with pytest.warns(UserWarning, match="is not the file that was written"):
        load_state(tmp_path)


CALLS = ["fsync", "replace", "fsync", "unlink", "unlink"]
"""Flush the file, rename it, flush the folder; the writer looks for its temporary file; the oldest state goes."""


@pytest.mark.parametrize("number", range(len(CALLS) + 1))
def test_a_kill_before_any_call_leaves_the_state_before_or_the_new_one_and_nothing_that_stays(number: int, tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="train", config={})
    folder = run.path / "checkpoint"
    for step in (1, 2):
        save_state(folder, state(step), name=f"{step:08d}")
    with killed_before(number) as passed, suppress(Killed):
        save_state(folder, state(3), name="00000003")
    assert passed == CALLS[:number]
    expected = 3 if number >= 2 else 2
    assert same(load_state(folder), state(expected))
    with run.held():
        assert [path for path in folder.iterdir() if path not in saved_states(folder)] == []
        assert same(load_state(folder), state(expected))
        save_state(folder, state(4), name="00000004")
    assert names(folder) == [f"{expected:08d}", "00000004"]


def test_a_kill_during_the_very_first_save_leaves_nothing_to_load(tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / str(number) / "checkpoint"
        folder.parent.mkdir()
        with killed_before(number) as passed, suppress(Killed):
            save_state(folder, state(1), name="00000001")
        assert passed == ["mkdir", "fsync", "fsync", "replace"][:number]
        assert load_state(folder) is None


class Harmful:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return harm, ()


def harm() -> None:
    Harmful.ran = True


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    for number, write in enumerate((lambda file: torch.save({"schema": 1, "step": Harmful()}, file), lambda file: pickle.dump(Harmful(), file))):
        path = write_file_with_digest(tmp_path / f"state-{number}.pt", write)
        with pytest.raises(IntegrityError, match=r"holds Python objects and not only weights|is damaged"):
            load_state(tmp_path)
        path.unlink()
    assert not Harmful.ran


@pytest.mark.parametrize("value", [[], {"step": 1}, torch.zeros(2)])
def test_a_file_that_holds_something_else_is_refused(value: Any, tmp_path: Path) -> None:
    write_file_with_digest(tmp_path / "state-00000001.pt", lambda file: torch.save(value, file))
    with pytest.raises(IntegrityError, match="holds no training state"):
        load_state(tmp_path)


def test_a_state_of_a_newer_version_is_neither_read_nor_passed_over(tmp_path: Path) -> None:
    save_state(tmp_path, state(1), name="00000001")
    write_file_with_digest(tmp_path / "state-00000002.pt", lambda file: torch.save({"schema": 2, "step": 2}, file))
    before = names(tmp_path)
    with pytest.raises(IntegrityError, match="has schema 2, and 1 is the one known here") as caught:
        load_state(tmp_path)
    assert "newer darkknowledge" in caught.value.fix
    assert names(tmp_path) == before


def test_too_little_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        save_state(tmp_path, state(step), name=f"{step:08d}")

    def full(*arguments: Any, **named: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(ResourceError, match="the memory is not enough"):
        load_state(tmp_path)
    assert names(tmp_path) == ["00000001", "00000002"]


def test_a_full_disk_is_named_and_the_older_state_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, state(1), name="00000001")

    class Full:
        """A file on a disk that fills up while it is written."""

        def __init__(self, file: BinaryIO) -> None:
            self.file = file

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    save = torch.save
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", lambda value, file: save(value, Full(file)))
        with pytest.raises(ResourceError, match="No space left"):
            save_state(tmp_path, state(2), name="00000002")
    assert same(load_state(tmp_path), state(1))
    assert names(tmp_path) == ["00000001"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot write checkpoint"):
        save_state(tmp_path / "file" / "checkpoint", state(1), name="00000001")
