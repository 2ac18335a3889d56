"""What is refused before it is opened, and what is not known."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from darkknowledge.errors import BusyError, IntegrityError, ResourceError, UsageError
from darkknowledge.runs import environment
from darkknowledge.runs.folder import RunFolder, lock, refuse_links
from darkknowledge.runs.plain_yaml import read_yaml
from darkknowledge.runs.surroundings import UNRESTRICTED, refuse_unrestricted_loading
from darkknowledge.runs.torch_file import read_torch_file


def tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())


def compressed(path: Path) -> None:
    torch.save({"weight": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (tar, "is damaged, or no file of PyTorch's"),
        (compressed, "would fill more memory than it has bytes: it was not opened"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: torch.save(Path, path), "holds Python objects and not only weights"),
    ],
)
def test_what_holds_no_weights_is_refused(write: Callable[[Path], object], what: str, tmp_path: Path) -> None:
    write(tmp_path / "weights.pt")
    with pytest.raises(IntegrityError, match=f"weights.pt {what}"):
        read_torch_file(tmp_path / "weights.pt")


def test_weights_that_do_not_fit_are_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({}, tmp_path / "weights.pt")

    def full(*arguments: object, **named: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(ResourceError, match=r"the memory is not enough to read weights\.pt"):
        read_torch_file(tmp_path / "weights.pt")


@pytest.mark.parametrize("word", ["1", "y", "YES", "true"])
def test_an_environment_that_allows_any_code_is_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UNRESTRICTED, word)
    with pytest.raises(UsageError, match=f"{UNRESTRICTED} is set"):
        refuse_unrestricted_loading()


def test_a_configuration_is_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("- 1\n")
    with pytest.raises(IntegrityError, match=r"config\.yaml is no configuration"):
        read_yaml(tmp_path / "config.yaml")


def test_a_run_with_a_link_in_it_is_not_written_into(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", kind="train", config={})
    refuse_links(run)
    (run.path / "model").symlink_to(tmp_path)
    with pytest.raises(IntegrityError, match="model is a link out of the run folder"):
        refuse_links(run)


def test_a_folder_that_is_made_elsewhere_meanwhile_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with lock(tmp_path / "run"), pytest.raises(BusyError):
        RunFolder.create(tmp_path / "run", kind="train", config={}, again=True)
    RunFolder.create(tmp_path / "run", kind="train", config={}, again=True).note(status="running")
    with pytest.raises(UsageError, match="exists"):
        RunFolder.create(tmp_path / "run", kind="train", config={}, again=True)
    assert RunFolder(tmp_path / "run").record["status"] == "running"


def test_what_is_not_known_of_a_machine_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment._version("no-such-package") is None
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "a machine")
    assert environment._processor() == "a machine"
