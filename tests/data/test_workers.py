"""The processes that decode pictures, and what happens to them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from darkknowledge import data
from darkknowledge.cli.main import guarded
from darkknowledge.contract import Batch
from darkknowledge.data import Replayable, _photos


def write_pictures(root: Path) -> None:
    """Seven, of which one is for test."""
    for index in range(7):
        folder = root / "ab"[index % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((70 + 5 * index, 90, 3), 40 * index, np.uint8)).save(folder / f"{index}.png")


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., list[Batch]]:
    """``look(*numbers)``: batches of the views, whose transform sends these signals to its own process."""
    write_pictures(tmp_path)
    main = os.getpid()

    def batches(*numbers: int) -> list[Batch]:
        def transform(picture: Any) -> Any:
            assert os.getpid() != main
            for number in numbers:
                os.kill(os.getpid(), number)
            return v2.functional.resize(picture, [32, 32])

        recipe = Replayable(transform, meaning="signals/1")
        examples = data.load("image_folder", root=tmp_path, image_size=32, workers=1, validation=0, augment=recipe).train
        return list(examples.batches(torch.arange(6), batch_size=2, views=torch.zeros(6, dtype=torch.long)))

    return batches


def test_a_signal_to_all_processes_leaves_their_batches_to_the_main_one(look: Callable[..., list[Batch]]) -> None:
    assert [len(batch) for batch in look(signal.SIGTERM, signal.SIGINT)] == [2, 2, 2]


def test_one_that_is_still_there_at_the_end_of_the_program_does_not_hold_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure in a transform, whose traceback is kept as by a notebook: the loader's process is alive when Python ends it by a signal."""
    monkeypatch.setattr(_photos, "GRACE", 1)
    write_pictures(tmp_path)

    def program() -> None:
        recipe = Replayable(lambda picture: 1 / 0, meaning="fails/1")
        examples = data.load("image_folder", root=tmp_path, image_size=32, workers=1, validation=0, augment=recipe).train
        try:
            list(examples.batches(torch.arange(4), batch_size=1, views=torch.zeros(4, dtype=torch.long)))
        except ZeroDivisionError as error:
            sys.last_value = error

    child = get_context("fork").Process(target=program)
    child.start()
    child.join(60)
    ended, _ = child.exitcode, child.kill()
    assert ended == 0


def test_one_that_is_killed_is_told_in_words(look: Callable[..., list[Batch]], capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        return len(look(signal.SIGKILL))

    assert guarded(work) == 5
    said = capsys.readouterr().err
    assert said.startswith("error: a process that decodes pictures is gone\n  why: DataLoader worker (pid")
    assert said.endswith("fix: lower data.workers if the memory was not enough for all\n")
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        guarded(work, debug=True)
