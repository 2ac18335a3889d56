from __future__ import annotations

import errno
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from darkknowledge.errors import IntegrityError, ResourceError
from darkknowledge.runs.files import write_manifest
from darkknowledge.training import checkpoint
from darkknowledge.training.checkpoint import load_state, save_state
from training.small import same


def state(step: int) -> dict[str, Any]:
    return {"step": step, "network": {"weight": torch.full((300,), float(step))}, "best": None, "means": [{"steps": 2}]}


def test_the_state_read_is_the_state_saved_and_only_the_newest_stays(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoint"
    for step in (1, 2, 10):
        save_state(folder, state(step), name=f"{step:08d}")
        assert same(load_state(folder), state(step))
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "state-00000010.pt"]


def test_saving_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    for text in ("first", "second"):
        save_state(tmp_path, {"text": text}, name="00000003")
    assert load_state(tmp_path) == {"text": "second"}


def test_where_nothing_was_saved_there_is_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    assert load_state(tmp_path / "none") is None


class Killed(BaseException):
    pass


def test_a_kill_between_the_two_files_leaves_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, state(1), name="00000001")
    with monkeypatch.context() as patch:

        def killed(*arguments: Any) -> None:
            raise Killed

        patch.setattr(checkpoint, "write_manifest", killed)
        with pytest.raises(Killed):
            save_state(tmp_path, state(2), name="00000002")
    assert (tmp_path / "state-00000002.pt").exists()
    assert same(load_state(tmp_path), state(1))
    save_state(tmp_path, state(3), name="00000003")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "state-00000003.pt"]


def test_a_kill_before_the_old_file_goes_leaves_the_newer_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, state(1), name="00000001")
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("state"):
            raise Killed
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            save_state(tmp_path, state(2), name="00000002")
    assert (tmp_path / "state-00000001.pt").exists()
    assert same(load_state(tmp_path), state(2))


@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_flipped_byte_is_noticed(tmp_path: Path, position: int) -> None:
    save_state(tmp_path, state(1), name="00000001")
    path = tmp_path / "state-00000001.pt"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="not the file that was written"):
        load_state(tmp_path)


def test_a_missing_file_is_noticed(tmp_path: Path) -> None:
    save_state(tmp_path, state(1), name="00000001")
    (tmp_path / "state-00000001.pt").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        load_state(tmp_path)


class Harmful:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return harm, ()


def harm() -> None:
    Harmful.ran = True


def test_a_state_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state-00000001.pt"
    torch.save({"step": Harmful()}, path)
    write_manifest(tmp_path, [path.name])
    with pytest.raises(IntegrityError, match="holds no training state"):
        load_state(tmp_path)
    path.write_bytes(pickle.dumps(Harmful()))
    write_manifest(tmp_path, [path.name])
    with pytest.raises(IntegrityError, match="holds no training state"):
        load_state(tmp_path)
    assert not Harmful.ran


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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "state-00000001.pt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot write checkpoint"):
        save_state(tmp_path / "file" / "checkpoint", state(1), name="00000001")
