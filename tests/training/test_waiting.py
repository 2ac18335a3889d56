"""No step waits for the device: on the processor no value of a step is read by Python, and on a GPU torch itself raises an error at any wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from darkknowledge.contract import Batch, Output
from darkknowledge.data import from_tensors
from darkknowledge.objective import DistillationLoss, _checks
from darkknowledge.training import Recipe, fit
from darkknowledge.training.loop import Lockstep
from darkknowledge.transfer import RecordedTeacher
from training.small import CrossEntropy, mlp, points
from training.test_loop import PLAIN
from transfer.small import Fixed, recorded

VARIANTS: list[dict[str, Any]] = [
    {},
    {"clip_norm": 0.5},
    {"ema": 0.9},
    {"accumulate": 3},
    {"optimizer": "adamw", "precision": "bf16"},
]


class ValueReadError(AssertionError):
    """Python asked for the value of a tensor."""


class NoReads(TorchDispatchMode):
    """Refuses what turns a tensor into a number, or its values into a shape."""

    refused = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")
    """On the processor indexing with a mask finds its rows inside of ``index``, so a mask is refused there. ``tolist`` and
    ``numpy`` read memory unseen; ``test_loop`` counts their calls."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket._qualified_op_name.split("::")[-1]
        masks = args[1] if name == "index" else ()
        if name.startswith(self.refused) or any(mask is not None and mask.dtype == torch.bool for mask in masks):
            raise ValueReadError(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def steps_alone_may_not_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Refuse reads while a batch is made and a step is taken, and nowhere else; the steps are counted."""
    taken: list[int] = []
    advance, update = Lockstep.advance, AveragedModel.update_parameters

    def watched(self: Lockstep, batch: Batch) -> None:
        with NoReads():
            advance(self, batch)
        taken.append(len(batch))

    def counted(self: Any, network: nn.Module) -> None:
        with _disable_current_modes():  # it reads its own counter, which lies in main memory whatever the device
            update(self, network)

    with monkeypatch.context() as patch:
        patch.setattr(Lockstep, "advance", watched)
        patch.setattr(AveragedModel, "update_parameters", counted)
        patch.setattr(_checks, "can_look", lambda tensor: False)  # as on a device: values are looked at on the processor alone, by design
        yield taken


class Rows:
    """Answers that lie in memory, looked up as a device does it."""

    class_names = ("a", "b", "c", "d")

    def __init__(self, answers: Tensor) -> None:
        self.answers = answers

    def __call__(self, batch: Batch) -> Output:
        return Output.single(self.answers.index_select(0, batch.ids))

    def to(self, device: torch.device | str) -> Rows:
        return Rows(self.answers.to(device))


def pictures(mix: str | None) -> Any:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return from_tensors(images, torch.arange(40) % 4, class_names=list("abcd"), validation=0, augment="crop_flip_cutout", mix=mix).train


def convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 36, 4))


def go(recipe: Recipe, mix: str | None, teacher: Any) -> None:
    train = pictures(mix)
    fit(convolutions(), DistillationLoss(temperature=4, alpha=0.3).mixture, train, recipe, validation=train, teacher=teacher)


@pytest.mark.parametrize("mix", [None, "mixup", "cutmix"])
@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_no_value_of_a_step_is_read(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], mix: str | None) -> None:
    with steps_alone_may_not_read(monkeypatch) as taken:
        go(PLAIN.model_copy(update=changes), mix, Rows(torch.randn(40, 4)))
    assert taken == [8] * 10


@pytest.mark.parametrize("mix", [None, "mixup", "cutmix"])
def test_no_value_is_read_while_a_batch_is_made(mix: str | None) -> None:
    train = pictures(mix)
    batches = train.batches(torch.arange(40), batch_size=8, views=torch.ones(40, dtype=torch.int64))
    with NoReads():
        assert len(list(batches)) == 5


def reads(kind: str) -> Any:
    def forward(inputs: Tensor) -> Tensor:
        looks: dict[str, Any] = {
            "item": lambda: inputs.sum().item(),
            "bool": lambda: bool((inputs > 0).any()),
            "mask": lambda: inputs[inputs > 0],
        }
        looks[kind]()
        return inputs

    return forward


@pytest.mark.parametrize("kind", ["item", "bool", "mask"])
def test_a_network_that_reads_a_value_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    network = mlp()
    network[0].register_forward_pre_hook(lambda module, inputs: (reads(kind)(inputs[0]),))
    with steps_alone_may_not_read(monkeypatch), pytest.raises(ValueReadError):
        fit(network, CrossEntropy(), points(16), PLAIN)


VIEWS = 2


def recorded_teacher(folder: Path, train: Any) -> RecordedTeacher:
    """The answers of a teacher to `VIEWS` views of each picture, in memory."""
    made = recorded(folder, teacher=Fixed(lambda batch: batch.inputs.flatten(1)[:, :4], 4), examples=train, views=VIEWS)
    return RecordedTeacher(made.load())


def test_the_recorded_teacher_of_the_next_test_teaches_on_the_processor_too(tmp_path: Path) -> None:
    train = pictures("mixup")
    go(PLAIN.model_copy(update={"views": VIEWS}), "mixup", recorded_teacher(tmp_path / "set", train))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: that torch sees no wait in a step is not shown")
@pytest.mark.parametrize("mix", [None, "mixup", "cutmix"])
@pytest.mark.parametrize("changes", [*VARIANTS, {"ema": 0.9, "clip_norm": 0.5, "accumulate": 2}], ids=str)
def test_on_a_gpu_no_step_waits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, Any], mix: str | None) -> None:
    """After two steps, in which kernels are loaded and the first batch is compared with what the teacher saw."""
    advance, taken = Lockstep.advance, []

    def watched(self: Lockstep, batch: Batch) -> None:
        assert batch.inputs.is_cuda, "the examples do not live on the device"
        torch.cuda.set_sync_debug_mode("error" if len(taken) >= 2 else "default")
        try:
            advance(self, batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        taken.append(len(batch))

    monkeypatch.setattr(Lockstep, "advance", watched)
    teacher = recorded_teacher(tmp_path / "set", pictures(mix))
    go(PLAIN.model_copy(update={"device": "cuda", "views": VIEWS, **changes}), mix, teacher)
    assert taken == [8] * 10
