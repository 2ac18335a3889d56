"""Whatever lies in a run folder, its readers make sense of it or say in words why not."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from damage import ODD, altered, as_json, damaged, require_words
from darkknowledge.runs.checked_json import write_checked
from darkknowledge.runs.files import MANIFEST, verify_manifest, write_manifest, write_text
from darkknowledge.runs.folder import RunFolder, list_runs, open_run
from darkknowledge.runs.torch_file import read_torch_file
from kills import killed_before

EVERY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SEEDS = st.integers(0, 10**9)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with all that a record may tell."""
    config = {"data": {"name": "digits", "root": "data"}, "training": {"seed": 0, "learning_rate": 0.1, "milestones": [1.5, 2.0]}, "plugins": []}
    with killed_before(None):
        made = RunFolder.create(tmp_path / "runs" / "a", kind="distill", config=config)
        made.note(status="finished", transfer={"path": "set", "sha256": "0" * 64}, data_fingerprint="f" * 64, best={"epoch": 3, "top1": 0.5})
        made.change({"training.seed": (0, 1)})
    return made


def look(run: RunFolder) -> None:
    """At everything, wherever the look before it ended."""
    looks: list[Callable[[], object]] = [
        lambda: run.record,
        lambda: run.config,
        lambda: run.finished,
        lambda: run.status,
        lambda: run.transfer_set,
        lambda: run.verify(),
        lambda: open_run(run.path),
        lambda: list_runs(run.path.parent),
    ]
    for each in looks:
        require_words(each)


@EVERY
@given(SEEDS)
def test_a_record_that_is_damaged(run: RunFolder, seed: int) -> None:
    path = run.path / "run.json"
    sound = path.read_bytes()
    path.write_bytes(damaged(sound, seed))
    look(run)
    path.write_bytes(sound)


@EVERY
@given(SEEDS)
def test_a_record_by_somebody_who_knows_how_to_put_its_digest_right(run: RunFolder, seed: int) -> None:
    path = run.path / "run.json"
    sound = path.read_bytes()
    content = {name: value for name, value in json.loads(sound).items() if name not in ("schema", "sha256")}
    found = altered(content, seed)
    with killed_before(None):
        try:
            write_checked(path, found)
        except (TypeError, ValueError, UnicodeEncodeError):  # what only others than we write
            path.write_bytes(as_json({"schema": 2, "content": found}, seed))
    look(run)
    path.write_bytes(sound)


def odd_yaml(sound: str, seed: int) -> bytes:
    """A configuration after accidents, with another value in it, or with what YAML knows beside plain values."""
    random = Random(seed)
    marks = (
        "&a ",
        "*a",
        "!!python/object:os.system ",
        "!!binary ",
        "<<: ",
        "? ",
        "- " * 50,
        "---\n",
        "2001-01-01",
        "0b1",
        "1_0",
        "\t",
        "[" * 500,
        "{" * 500,
    )
    if random.random() < 0.5:
        return damaged(sound.encode(), seed)
    lines = sound.splitlines(keepends=True)
    place = random.randrange(len(lines))
    key, colon, _ = lines[place].partition(": ")
    lines[place] = random.choice(
        (f"{key}{colon}{random.choice(ODD)!r}\n", f"{key}{colon}{random.choice(marks)}\n", random.choice(marks) + lines[place])
    )
    return "".join(lines).encode(errors="surrogatepass")


@EVERY
@given(SEEDS)
def test_a_configuration_that_the_record_vouches_for(run: RunFolder, seed: int) -> None:
    path, record = run.path / "config.yaml", (run.path / "run.json").read_bytes()
    sound = path.read_bytes()
    path.write_bytes(odd_yaml(sound.decode(), seed))
    with killed_before(None):
        run.vouch("config.yaml")
    look(run)
    path.write_bytes(sound)
    (run.path / "run.json").write_bytes(record)


@EVERY
@given(SEEDS)
def test_a_manifest(tmp_path: Path, seed: int) -> None:
    with killed_before(None):
        write_manifest(tmp_path, {name: write_text(tmp_path / name, name) for name in ("a", "b")})
    path = tmp_path / MANIFEST
    sound = path.read_bytes()
    path.write_bytes(damaged(sound, seed) if seed % 2 else as_json(altered(json.loads(sound), seed), seed))
    require_words(lambda: verify_manifest(tmp_path, required=("a",)))


def saved(*, zipped: bool) -> bytes:
    file = io.BytesIO()
    state: dict[str, Any] = {
        "schema": 1,
        "step": 7,
        "network": {"weight": torch.ones(3, 2), "bias": torch.zeros(2, dtype=torch.bfloat16)},
        "last": None,
    }
    torch.save(state, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def repacked(sound: bytes, seed: int) -> bytes:
    """A sound archive whose members are damaged, so that it is opened."""
    random, packed = Random(seed), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            if random.random() < 0.9:
                content = source.read(name)
                target.writestr(name, damaged(content, seed) if random.random() < 0.5 else content)
    return packed.getvalue()


ZIPPED, OLD = saved(zipped=True), saved(zipped=False)


@EVERY
@given(SEEDS)
def test_a_file_of_torch(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes((damaged(ZIPPED, seed), repacked(ZIPPED, seed), damaged(OLD, seed))[seed % 3])
    require_words(lambda: read_torch_file(path))


def test_the_sound_ones_are_read(run: RunFolder, tmp_path: Path) -> None:
    assert run.config["training"]["seed"] == 1
    for content in (ZIPPED, OLD):
        (tmp_path / "w.pt").write_bytes(content)
        assert read_torch_file(tmp_path / "w.pt")["step"] == 7
