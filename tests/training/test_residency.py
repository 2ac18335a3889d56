from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from darkknowledge.data import from_tensors
from darkknowledge.data._mix import Mixed
from darkknowledge.data._replay import Replayable
from darkknowledge.training import fit, residency
from darkknowledge.training.residency import SHARE, reside
from training.small import CrossEntropy, Points, mlp, points, same, weights
from training.test_loop import PLAIN

GPU = torch.device("cuda")


@dataclasses.dataclass(frozen=True)
class Movable(Points):
    """Points that say how large they are, and note where they were moved."""

    resident_bytes: int | None = 100
    moves: list[str] = dataclasses.field(default_factory=list)

    def to(self, device: torch.device | str) -> Movable:
        self.moves.append(str(device))
        return dataclasses.replace(self, asked=self.asked)


def movable(size: int | None) -> Movable:
    found = points(20)
    return Movable(found.inputs, found.labels, resident_bytes=size)


@pytest.mark.parametrize(
    ("sizes", "moved"),
    [((60, 40), (True, True)), ((60, 41), (True, False)), ((101, 40), (False, True)), ((None, 40), (False, True)), ((0, 0), (True, True))],
)
def test_splits_move_while_there_is_room(monkeypatch: pytest.MonkeyPatch, sizes: tuple[int | None, int], moved: tuple[bool, bool]) -> None:
    monkeypatch.setattr(residency, "free_memory", lambda device: 100 / SHARE)
    splits = [movable(size) for size in sizes]
    found = reside(splits, GPU)
    assert tuple(split.moves == ["cuda"] for split in splits) == moved
    assert tuple(new is not old for new, old in zip(found, splits, strict=True)) == moved


def test_examples_that_say_nothing_stay_and_no_split_stays_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residency, "free_memory", lambda device: 1e9)
    plain = points(5)
    assert reside([plain, None], GPU) == [plain, None]


def test_the_loop_moves_its_splits_once_and_trains_on_what_was_moved() -> None:
    network, other, train, validation = mlp(), mlp(), movable(100), movable(100)
    asked: list[str] = []

    def moved(self: Movable, device: torch.device | str) -> Points:
        self.moves.append(str(device))
        return Points(self.inputs, self.labels, asked=lambda view: asked.append("train" if view is not None else "validation"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Movable, "to", moved)
        fit(network, CrossEntropy(), train, PLAIN, validation=validation)
    assert (train.moves, validation.moves) == (["cpu"], ["cpu"])
    assert asked == ["train", "validation"] * 2
    fit(other, CrossEntropy(), points(20), PLAIN)
    assert same(weights(network), weights(other))


def pictures(**options: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return from_tensors(images, torch.arange(40) % 4, class_names=list("abcd"), validation=0, **options).train


def test_small_pictures_say_what_moving_them_takes() -> None:
    assert pictures().resident_bytes == 40 * (3 * 8 * 8 + 8 + 8)
    mixed = pictures(mix="mixup")
    assert isinstance(mixed, Mixed)
    assert mixed.resident_bytes == 40 * (3 * 8 * 8 + 8 + 8 + 8)


def test_pictures_that_a_transform_of_ones_own_looks_at_stay_in_main_memory() -> None:
    mirrored = Replayable(lambda picture: picture, meaning="nothing/1")
    assert pictures(augment=mirrored).resident_bytes is None
    assert pictures(augment=mirrored, mix="cutmix").resident_bytes is None


def test_main_memory_has_room_for_what_lies_there() -> None:
    assert residency.free_memory(torch.device("cpu")) == float("inf")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: nothing is moved to one")
@pytest.mark.parametrize("mix", [None, "mixup"])
def test_on_a_gpu_every_batch_of_a_run_is_made_there(mix: str | None) -> None:
    assert 0 < residency.free_memory(GPU) < float("inf")
    (train,) = reside([pictures(augment="crop_flip", mix=mix)], GPU)
    (batch,) = train.batches(torch.arange(40), batch_size=40, views=torch.zeros(40, dtype=torch.int64))
    assert {part.device.type for part in (batch.ids, batch.inputs, batch.labels, batch.views)} == {"cuda"}
