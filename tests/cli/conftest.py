"""The program in this process, and a folder with everything that a user may get wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import darkknowledge
from cli.world import QUIET, TINY, Done, Program, write_parquet, write_pictures
from darkknowledge.cli.main import main
from darkknowledge.runs.folder import RunFolder


@pytest.fixture
def dk(capsys: pytest.CaptureFixture[str]) -> Program:
    """``dk(*words)`` as on the command line, without the cost of a new process."""

    def run(*words: str) -> Done:
        capsys.readouterr()
        code = main(words)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs and data sets, sound ones and damaged ones. Tests leave it as it is."""
    folder = tmp_path_factory.mktemp("made")
    teach = {"training": {"epochs": 6, "learning_rate": 0.05, "batch_size": 64, "threads": 1}, "logging": QUIET}
    darkknowledge.train(TINY, "digits", out=folder / "runs" / "teacher", **teach)
    darkknowledge.train(TINY, "digits", out=folder / "runs" / "untrained", training={"steps": 1, "learning_rate": 1e-9, "threads": 1}, logging=QUIET)
    shutil.copytree(folder / "runs" / "teacher", folder / "runs" / "altered")
    weights = folder / "runs" / "altered" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    RunFolder.create(folder / "runs" / "unfinished", kind="train", config={"data": {"name": "digits"}, "training": {"seed": 0}})
    write_parquet(folder / "ants_bees", ["ants", "bees"])
    write_parquet(folder / "bees_ants", ["bees", "ants"])
    write_parquet(folder / "label_7", ["ants", "bees"], labels=[0, 1, 0, 7])
    darkknowledge.train(TINY, {"name": "parquet", "root": folder / "ants_bees"}, out=folder / "runs" / "ants_bees", **teach)
    quiet = {"shard_rows": 512, "threads": 1, "progress": False}
    darkknowledge.record(folder / "runs" / "teacher", "digits", folder / "sets" / "whole", **quiet)
    darkknowledge.record(folder / "runs" / "teacher", "digits", folder / "sets" / "half", shard="1/2", **quiet)
    shutil.copytree(folder / "sets" / "whole", folder / "sets" / "altered")
    shard = folder / "sets" / "altered" / "shards" / "00001-of-00003.arrow"
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    write_pictures(folder / "empty_class", {"ants": 4, "bees": 0})
    write_pictures(folder / "corrupt", {"ants": 4, "bees": 4})
    (folder / "corrupt" / "train" / "bees" / "2.png").write_bytes(b"no picture")
    (folder / "file").write_text("not a folder")
    (folder / "corrupt.pth").write_bytes(b"no weights")
    return folder


@pytest.fixture
def world(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder above as the current one."""
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
