"""Durable files: a crash at any moment leaves the old file or the new one, and a manifest notices every changed byte."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from darkknowledge.errors import IntegrityError, ResourceError
from darkknowledge.runs import files
from darkknowledge.runs.files import (
    MANIFEST,
    WORTH_A_THREAD,
    Written,
    read_json,
    sha256,
    sweep,
    verify_digest,
    verify_manifest,
    write_bytes,
    write_file,
    write_file_with_digest,
    write_json,
    write_manifest,
)

CRASHING_WRITER = """
import os, pathlib, sys
from darkknowledge.runs.files import write_text

path, moment = pathlib.Path(sys.argv[1]), int(sys.argv[2])
passed = 0

def dying(work):
    def step(*arguments):
        global passed
        if passed == moment:
            os._exit(9)
        passed += 1
        return work(*arguments)
    return step

os.fsync, pathlib.Path.replace = dying(os.fsync), dying(pathlib.Path.replace)
write_text(path, "new" * 10_000)
os._exit(passed)
"""
OLD, NEW = "old", "new" * 10_000
STEPS = 3  # flush the file, rename it, flush the folder


def write_and_die(path: Path, moment: int) -> int:
    return subprocess.run([sys.executable, "-c", CRASHING_WRITER, str(path), str(moment)], check=False).returncode


@pytest.mark.parametrize(("moment", "found"), [(0, OLD), (1, OLD), (2, NEW)])
def test_a_process_that_dies_before_a_step_of_writing_leaves_the_old_file_or_the_new_one(moment: int, found: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(OLD)
    assert write_and_die(path, moment) == 9
    assert path.read_text() == found


def test_writing_takes_the_steps_that_the_crashes_above_go_through(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert write_and_die(path, moment=99) == STEPS
    assert path.read_text() == NEW
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_refusing_file_system_leaves_the_old_file_and_nothing_beside_it(code: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(OLD)

    def half(file: BinaryIO) -> None:
        file.write(b"ne")
        raise OSError(code, os.strerror(code))

    with pytest.raises(ResourceError, match=f"cannot write file: {os.strerror(code)}") as caught:
        write_file(path, half)
    assert caught.value.exit_code == 5
    assert caught.value.fix
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_whatever_goes_wrong_in_the_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(OLD)
    with pytest.raises(ZeroDivisionError):
        write_file(path, lambda file: file.write(b"new") // 0)
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_json_holds_no_value_that_other_readers_refuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nonsense"])
def test_a_damaged_json_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"run.json is not valid JSON"):
        read_json(tmp_path / "run.json")
    with pytest.raises(IntegrityError, match=r"other.json cannot be read: No such file"):
        read_json(tmp_path / "other.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small files and their manifest."""
    weights = write_bytes(tmp_path / "weights.bin", bytes(range(40)))
    write_manifest(tmp_path, {"weights.bin": weights, "config.json": write_json(tmp_path / "config.json", {"depth": 20})})
    verify_manifest(tmp_path, required=["weights.bin"])
    return tmp_path


def test_a_manifest_holds_sizes_and_digests_that_other_tools_find_too(folder: Path) -> None:
    entries = json.loads((folder / MANIFEST).read_text())["files"]
    assert entries["weights.bin"] == {"bytes": 40, "sha256": hashlib.sha256(bytes(range(40))).hexdigest()}
    printed = subprocess.run(["sha256sum", "config.json"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert entries["config.json"]["sha256"] == sha256(folder / "config.json") == printed.split()[0]


@pytest.mark.parametrize("name", ["weights.bin", "config.json", MANIFEST])
def test_every_flipped_bit_of_every_byte_is_noticed(name: str, folder: Path) -> None:
    whole = (folder / name).read_bytes()
    for position in range(len(whole)):
        for bit in (1, 0x80):
            damaged = bytearray(whole)
            damaged[position] ^= bit
            (folder / name).write_bytes(damaged)
            with pytest.raises(IntegrityError):
                verify_manifest(folder, required=["weights.bin", "config.json"])
    (folder / name).write_bytes(whole)
    verify_manifest(folder)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b""])
def test_a_file_that_was_cut_or_grew_is_named(folder: Path, change: object) -> None:
    path = folder / "weights.bin"
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(IntegrityError, match=r"weights.bin is not the file that was written"):
        verify_manifest(folder)


def test_a_missing_file_and_a_missing_manifest_are_told_apart(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    with pytest.raises(IntegrityError, match=r"weights.bin is missing"):
        verify_manifest(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(IntegrityError, match=r"has no manifest.json: it was never finished"):
        verify_manifest(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside", "link", "nul\0l"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "outside")
    entry = {"bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    write_json(folder / MANIFEST, {"schema": 1, "files": {name: entry}})
    with pytest.raises(IntegrityError, match="outside its folder"):
        verify_manifest(folder)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ([], "is no manifest"),
        ({"files": {}}, "is no manifest"),
        ({"schema": 1}, "is no manifest"),
        ({"schema": 1, "files": {"weights.bin": 40}}, "is no manifest"),
        ({"schema": 1, "files": {}}, r"does not name weights.bin"),
        ({"schema": 2, "files": {}}, "schema 2, and 1 is the one known here"),
    ],
)
def test_a_manifest_that_vouches_for_nothing_is_refused(manifest: object, message: str, folder: Path) -> None:
    write_json(folder / MANIFEST, manifest)
    with pytest.raises(IntegrityError, match=message):
        verify_manifest(folder, required=["weights.bin"])


def test_all_damaged_files_are_named_at_once(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    (folder / "config.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"2 faults were found:\n  .*config.json is not the file that was written\n  .*weights.bin is missing"):
        verify_manifest(folder)


def test_what_was_written_is_known_without_reading_it_again(tmp_path: Path) -> None:
    """Also of a writer that hands over numbers wider than a byte, and nothing at all."""
    for parts in ([b"ab", memoryview(np.arange(3, dtype=np.int64))], [bytes(100_000)] * 3, [b"a", bytes(WORTH_A_THREAD), b"b"], []):
        written = write_file(tmp_path / "file", lambda file, parts=parts: [file.write(part) for part in parts])
        content = b"".join(bytes(part) for part in parts)
        assert (tmp_path / "file").read_bytes() == content
        assert written == Written(len(content), hashlib.sha256(content).hexdigest()) == Written.of(tmp_path / "file")


def test_a_writer_that_goes_back_is_refused_as_its_bytes_would_be_other_than_those_hashed(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="from its beginning to its end"):
        write_file(tmp_path / "file", lambda file: file.seek(0))
    assert not list(tmp_path.iterdir())


def test_a_digest_in_a_name_vouches_for_the_file(tmp_path: Path) -> None:
    path = write_file_with_digest(tmp_path / "state-1.pt", lambda file: file.write(b"abc"))
    assert path == tmp_path / f"state-1-{hashlib.sha256(b'abc').hexdigest()}.pt"
    verify_digest(path)
    path.write_bytes(b"abd")
    with pytest.raises(IntegrityError, match="is not the file that was written"):
        verify_digest(path)
    path.unlink()
    with pytest.raises(IntegrityError, match="cannot be read: No such file"):
        verify_digest(path)


def test_only_what_writers_leave_is_swept(tmp_path: Path) -> None:
    keep = [".lock", "file", ".hidden", ".file.tmp-1", ".file.tmp-x-0123abcd", "file.tmp-1-0123abcd"]
    for name in [*keep, ".file.tmp-1-0123abcd", ".a.b.tmp-65536-ffffffff"]:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(keep)


def test_a_killed_writer_leaves_what_is_swept(tmp_path: Path) -> None:
    assert write_and_die(tmp_path / "file", 0) == 9
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_of_one_name_written_at_once_do_not_mix(tmp_path: Path) -> None:
    """The temporary names differ, so the last one to rename wins with its whole content."""
    inner = []

    def outer(file: BinaryIO) -> None:
        file.write(b"outer")
        write_bytes(tmp_path / "file", b"inner")
        inner.append((tmp_path / "file").read_bytes())

    files.write_file(tmp_path / "file", outer)
    assert inner == [b"inner"]
    assert (tmp_path / "file").read_bytes() == b"outer"
