"""A teacher asked again about recorded views answers the same, however they are asked for; ``benchmarks/transfer/replay.py`` is the large form."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.multiprocessing.spawn import spawn

import darkknowledge
from darkknowledge import Recipe, TransferSet
from darkknowledge.errors import IntegrityError, Interrupted
from darkknowledge.model import build
from darkknowledge.objective import build as build_objective
from darkknowledge.training import fit
from darkknowledge.training.watching import Plan, Record
from pipeline.replaying import CODECS, VIEWS, AskedAgain, half_of_it, load_pair
from pipeline.small import TEACHER

DIGITS = {"name": "digits", "augment": "jitter", "validation": 100, "fraction": 500 / 1197}
SAMPLES = 1000


def record(teacher: Any, out: Path, settings: dict[str, Any], **options: Any) -> TransferSet | None:
    fixed = {"views": VIEWS, "batch_size": 64, "shard_rows": 256, "device": "cpu", "check": False, "progress": False}
    return darkknowledge.record(teacher, settings, out, **fixed, **options)


def make(teacher: Path, settings: dict[str, Any], folder: Path) -> dict[str, TransferSet]:
    """The teacher's answers in every codec."""
    found = {codec: record(teacher, folder / codec, settings, codec=codec) for codec in CODECS}
    return {codec: each for codec, each in found.items() if each is not None}


@pytest.fixture(scope="module")
def folder(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 samples of digits in every codec."""
    recorded = tmp_path_factory.mktemp("sets")
    assert {len(found) for found in make(runs / "teacher-0", DIGITS, recorded).values()} == {SAMPLES}
    return recorded


@pytest.fixture
def sets(folder: Path) -> dict[str, TransferSet]:
    return {codec: TransferSet.open(folder / codec) for codec in CODECS}


def ask_all_again(teacher: Path, settings: dict[str, Any], sets: dict[str, TransferSet], *, batch_size: int) -> None:
    data, live = load_pair(teacher, settings)
    order = torch.randperm(VIEWS * len(data.train), generator=torch.Generator().manual_seed(batch_size))
    batches = data.train.batches(order // VIEWS, batch_size=batch_size, views=order % VIEWS)
    (recorded,) = {tuple(found.keys().tolist()) for found in sets.values()}
    assert AskedAgain(live, sets).over(batches) == list(recorded)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_batches_of_any_size_and_order_are_answered_the_same(batch_size: int, runs: Path, sets: dict[str, TransferSet]) -> None:
    ask_all_again(runs / "teacher-0", DIGITS, sets, batch_size=batch_size)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_pictures_are_answered_the_same(mix: str, runs: Path, tmp_path: Path) -> None:
    teacher, settings = runs / "teacher-0", DIGITS | {"mix": mix}
    ask_all_again(teacher, settings, make(teacher, settings, tmp_path), batch_size=33)


def test_pictures_of_another_augmentation_are_noticed_though_nobody_looked_at_the_identity(runs: Path, sets: dict[str, TransferSet]) -> None:
    with pytest.raises(IntegrityError, match="not the ones that the teacher saw"):
        ask_all_again(runs / "teacher-0", DIGITS | {"augment_seed": 1}, sets, batch_size=64)


def test_another_teacher_is_more_than_a_step_away(runs: Path, sets: dict[str, TransferSet]) -> None:
    for codec, found in sets.items():
        with pytest.raises(AssertionError, match=f"{codec}: off by"):
            ask_all_again(runs / "teacher-1", DIGITS, {codec: found}, batch_size=64)


@pytest.mark.slow
def test_two_processes_of_a_group_are_answered_the_same(folder: Path, runs: Path) -> None:
    spawn(half_of_it, (runs / "teacher-0", DIGITS, folder), nprocs=2)  # type: ignore[no-untyped-call]


def test_a_recording_that_was_stopped_and_continued_is_answered_the_same(runs: Path, tmp_path: Path) -> None:
    assert record(runs / "teacher-0", tmp_path / "set", DIGITS, codec="float32", shard="2/2") is None
    whole = record(runs / "teacher-0", tmp_path / "set", DIGITS, codec="float32")
    assert whole is not None
    ask_all_again(runs / "teacher-0", DIGITS, {"float32": whole}, batch_size=50)


class Stop:
    """A watcher that asks its process to stop after a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def begin(self, plan: Plan) -> None: ...

    def step(self, done: int) -> None:
        if done == self.at:
            os.kill(os.getpid(), signal.SIGTERM)

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...


def test_a_resumed_run_asks_for_what_the_undisturbed_one_would_have_and_is_answered_the_same(
    runs: Path, sets: dict[str, TransferSet], tmp_path: Path
) -> None:
    data, live = load_pair(runs / "teacher-0", DIGITS)
    asked = AskedAgain(live, sets)
    recipe = Recipe(epochs=2, batch_size=32, views=VIEWS, precision="fp32", device="cpu", threads=1)
    shape: dict[str, Any] = {"num_classes": 10, "input_shape": data.input_shape, "mean": data.mean, "std": data.std}
    student = build("hinton_mlp", hidden=[8], **shape)
    with pytest.raises(Interrupted):
        fit(student, build_objective("hinton"), data.train, recipe, teacher=asked, watchers=[Stop(5)], checkpoint=tmp_path)
    assert len(asked.keys) == 5 * 32
    fit(build("hinton_mlp", hidden=[8], **shape), build_objective("hinton"), data.train, recipe, teacher=asked, checkpoint=tmp_path)
    assert sorted(asked.keys) == sets["uint8"].keys().tolist()


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Any]:
    """A folder of 24 noisy colour pictures of different sizes."""
    random = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 256, (20 + number, 30 - number, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / "train" / name / f"{number}.png")
    return {"name": "image_folder", "root": tmp_path / "photos", "augment": "photo", "image_size": 16, "validation": 0}


def test_pictures_made_by_any_number_of_workers_are_answered_the_same(photos: dict[str, Any], tmp_path: Path) -> None:
    recipe = {"steps": 1, "threads": 1}
    trained = darkknowledge.train(TEACHER, photos | {"workers": 0}, training=recipe, logging={"progress": False}, out=tmp_path / "teacher")
    sets = make(trained.path, photos | {"workers": 0}, tmp_path)
    assert len(sets["uint8"]) == 24 * VIEWS
    for workers in (0, 1, 2):
        ask_all_again(trained.path, photos | {"workers": workers}, sets, batch_size=5)
