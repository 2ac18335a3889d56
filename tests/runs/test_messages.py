"""Whole messages about files, word by word: what happened, where, why it matters and what to do. The folder's own path is a dot here."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.runs import files
from darkknowledge.runs.checked_json import read_checked, vouched_for, write_checked
from darkknowledge.runs.files import Written, read_json, verify_digest, verify_files, verify_manifest, write_file, write_json

ANEW = "  fix: restore the file or make the folder anew"
ELSEWHERE = {
    errno.ENOSPC: "free some space or choose another folder with out=…",
    errno.EDQUOT: "free some space or choose another folder with out=…",
    errno.EACCES: "choose a folder that you may write to with out=…",
    errno.EPERM: "choose a folder that you may write to with out=…",
    errno.EROFS: "choose a folder on a writable file system with out=…",
    errno.ENODEV: "check the path and the file system",
}


def put(folder: Path, text: str, name: str = "run.json") -> Path:
    (folder / name).write_text(text)
    return folder / name


def with_manifest(folder: Path, manifest: object) -> Path:
    write_json(folder / "manifest.json", manifest)
    return folder


def vouching(folder: Path, files: object) -> Path:
    write_checked(folder / "run.json", {"files": files})
    return folder / "run.json"


def three_faults(folder: Path) -> None:
    put(folder, "other", "one")
    verify_files(folder, {"one": Written(1, ""), "two": Written(1, ""), "../three": Written(1, "")})


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "run.json")
    return folder / "run.json"


def huge(folder: Path) -> Path:
    with (folder / "run.json").open("wb") as file:
        file.truncate(files.LARGEST + 1)
    return folder / "run.json"


MISTAKES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: read_json(folder / "run.json"), "run.json cannot be read: No such file or directory\n  where: ./run.json"),
    (
        lambda folder: read_json(put(folder, "")),
        f"run.json is not valid JSON: Expecting value: line 1 column 1 (char 0)\n  where: ./run.json\n{ANEW}",
    ),
    (lambda folder: read_json(pipe(folder)), f"run.json is not valid JSON: it is no file of at most 33,554,432 bytes\n  where: ./run.json\n{ANEW}"),
    (lambda folder: read_json(huge(folder)), f"run.json is not valid JSON: it is no file of at most 33,554,432 bytes\n  where: ./run.json\n{ANEW}"),
    (lambda folder: verify_manifest(folder), ". has no manifest.json: it was never finished\n  where: .\n  fix: make it anew"),
    (
        lambda folder: verify_manifest(with_manifest(folder, {"schema": 1, "files": {}}), required=["config.json"]),
        "the manifest does not name config.json\n  where: ./manifest.json\n  fix: make the folder anew",
    ),
    (
        lambda folder: verify_manifest(with_manifest(folder, {"schema": 1})),
        "manifest.json is no manifest: KeyError('files')\n  where: ./manifest.json\n  fix: make the folder anew",
    ),
    (
        lambda folder: verify_manifest(with_manifest(folder, {"schema": 2})),
        "manifest.json has schema 2, and 1 is the one known here\n  where: ./manifest.json\n  fix: use a newer darkknowledge",
    ),
    (
        lambda folder: verify_files(folder, {"../one": Written(1, "")}),
        "a file outside its folder is named: '../one'\n  where: .\n  fix: do not use this folder",
    ),
    (lambda folder: verify_files(folder, {"one": Written(1, "")}), f"one is missing\n  where: ./one\n{ANEW}"),
    (
        lambda folder: verify_files(folder, {put(folder, "a", "one").name: Written(1, "")}),
        f"one is not the file that was written\n  where: ./one\n"
        f"  why: its size or SHA-256 differs from what was noted, so its content cannot be trusted\n{ANEW}",
    ),
    (
        three_faults,
        "3 faults were found:\n  ./one: one is not the file that was written\n  ./two: two is missing\n"
        "  .: a file outside its folder is named: '../three'\n"
        f"{ANEW}; do not use this folder",
    ),
    (
        lambda folder: verify_digest(put(folder, "a", "one-00.bin")),
        "one-00.bin is not the file that was written\n  where: ./one-00.bin\n"
        f"  why: its SHA-256 is not the one in its name, so its content cannot be trusted\n{ANEW}",
    ),
    (lambda folder: verify_digest(folder / "one-00.bin"), "one-00.bin cannot be read: No such file or directory\n  where: ./one-00.bin"),
    (
        lambda folder: read_checked(put(folder, json.dumps({"schema": 3}))),
        "run.json has schema 3, and 2 is the one known here\n  where: ./run.json\n  fix: use a newer darkknowledge",
    ),
    (
        lambda folder: read_checked(put(folder, json.dumps({"schema": 2}))),
        f"run.json is not the file that was written\n  where: ./run.json\n  why: it does not end with the SHA-256 of what it says\n{ANEW}",
    ),
    (
        lambda folder: vouched_for(vouching(folder, {"one": 1})),
        "run.json does not say what the files beside it are: darkknowledge.runs.files.Written() argument after ** must be a mapping, not int\n"
        "  where: ./run.json\n  fix: do not use this folder",
    ),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_damage_is_told_in_these_words(mistake: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DarkKnowledgeError) as caught:
        mistake(tmp_path)
    assert str(caught.value).replace(str(tmp_path), ".") == message


@pytest.mark.parametrize(("code", "advice"), ELSEWHERE.items(), ids=range(len(ELSEWHERE)))
def test_a_refusal_to_write_is_told_with_what_helps(code: int, advice: str, tmp_path: Path) -> None:
    def refuse(file: BinaryIO) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.raises(DarkKnowledgeError) as caught:
        write_file(tmp_path / "one", refuse)
    assert str(caught.value) == f"cannot write one: {os.strerror(code)}\n  where: {tmp_path / 'one'}\n  fix: {advice}"


def test_a_refusal_without_a_number_is_told_too(tmp_path: Path) -> None:
    def refuse(file: BinaryIO) -> None:
        raise OSError("no reason")

    with pytest.raises(DarkKnowledgeError) as caught:
        write_file(tmp_path / "one", refuse)
    assert str(caught.value) == f"cannot write one: no reason\n  where: {tmp_path / 'one'}\n  fix: check the path and the file system"
