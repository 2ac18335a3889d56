"""What is said, and what is left, where the memory is not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from darkknowledge.errors import ResourceError
from darkknowledge.training import Recipe, Student, fit, fit_together
from darkknowledge.training.checkpoint import read_state, saved_states
from training.small import CrossEntropy, mlp, points

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.05, checkpoint_every=0.0, precision="fp32", device="cpu")
TRAIN, PETABYTE = points(40), 1 << 50


class Hungry(nn.Module):
    """Asks for too much in one of its calls."""

    def __init__(self, call: int, ask: Callable[[], Any], *, training: bool = True) -> None:
        super().__init__()
        self.body, self.left, self.ask, self.when = mlp(), call, ask, training

    def forward(self, inputs: Tensor) -> Tensor:
        self.left -= self.training is self.when
        if self.left == 0:
            self.ask()
        logits: Tensor = self.body(inputs)
        return logits


def on_a_device() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB")


def in_a_library() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


ASKS: dict[str, tuple[Callable[[], Any], str]] = {
    "torch": (lambda: torch.empty(PETABYTE, dtype=torch.uint8), "you tried to allocate 1125899906842624 bytes"),
    "numpy": (lambda: np.empty(PETABYTE, dtype=np.uint8), "Unable to allocate 1.00 PiB"),
    "Python": (lambda: bytearray(PETABYTE), "MemoryError"),
    "a device": (on_a_device, "Tried to allocate 2.00 GiB"),
    "a library": (in_a_library, "CUBLAS_STATUS_ALLOC_FAILED"),
}


@pytest.mark.parametrize("who", ASKS)
def test_the_batch_the_peak_and_the_way_out_are_told_and_the_last_state_is_kept(who: str, tmp_path: Path) -> None:
    ask, said = ASKS[who]
    with pytest.raises(ResourceError) as short:
        fit(Hungry(4, ask), CrossEntropy(), TRAIN, RECIPE, name="student-0", checkpoint=tmp_path / "state")
    told = short.value
    assert (told.exit_code, told.what) == (5, "the memory is not enough to train student-0 in batches of 8")
    assert told.where.startswith("cpu, ")
    assert 0.05 < float(told.where.split()[1]) < 1000, "gigabytes of this process"
    assert said in told.why
    assert "training.accumulate=2 computes the same batch in smaller pieces, training.batch_size=4 makes it smaller" in told.fix
    assert f"the state of step 3 is kept in {tmp_path / 'state'}: resume=true resume_changes=[training.accumulate]" in told.fix
    assert read_state(saved_states(tmp_path / "state")[-1])["step"] == 3


def test_what_was_advised_before_is_not_advised_again() -> None:
    recipe = RECIPE.model_copy(update={"batch_size": 6, "accumulate": 4})
    with pytest.raises(ResourceError, match="in batches of 6, computed in 4 pieces") as short:
        fit(Hungry(4, on_a_device), CrossEntropy(), TRAIN, recipe)
    assert "training.accumulate=6 " in short.value.fix
    with pytest.raises(ResourceError) as short:
        fit(Hungry(4, on_a_device), CrossEntropy(), TRAIN, recipe.model_copy(update={"accumulate": 6}))
    assert short.value.fix == "choose a smaller network"


def test_validation_is_told_of_too_and_shrinks_with_the_pieces() -> None:
    with pytest.raises(ResourceError, match="the memory is not enough to train"):
        fit(Hungry(1, on_a_device, training=False), CrossEntropy(), TRAIN, RECIPE, validation=points(9))
    sizes: list[int] = []
    for recipe in (RECIPE, RECIPE.model_copy(update={"accumulate": 4})):
        network = Hungry(0, on_a_device)
        network.register_forward_hook(lambda module, inputs, logits: None if module.training else sizes.append(len(logits)))
        fit(network, CrossEntropy(), TRAIN, recipe.model_copy(update={"epochs": 1}), validation=points(40))
    assert sizes == [32, 8, *[8] * 5]


class Bulky(nn.Module):
    """Takes more memory than there is on its way to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.body = mlp()

    def to(self, *arguments: Any, **named: Any) -> Any:
        on_a_device()


@pytest.mark.parametrize(("network", "teacher"), [(Bulky(), None), (mlp(), Bulky())], ids=["student", "teacher"])
def test_what_does_not_fit_before_the_first_step_is_told_too(network: nn.Module, teacher: Any) -> None:
    with pytest.raises(ResourceError) as short:
        fit(network, CrossEntropy(), TRAIN, RECIPE, teacher=teacher, name="student-0")
    assert short.value.what == "the memory is not enough to begin to train student-0: for the networks and their data"
    assert "GB at most in use" in short.value.where
    assert "training.device=cpu" in short.value.fix


def test_several_students_may_be_fewer() -> None:
    group = [Student(Hungry(4, on_a_device), CrossEntropy(), RECIPE, str(index)) for index in range(3)]
    with pytest.raises(ResourceError, match="to train 3 students together in batches of 8") as short:
        fit_together(group, TRAIN)
    assert short.value.fix.endswith("; or train fewer students at once")


def test_other_faults_are_what_they_are() -> None:
    def fail() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(Hungry(4, fail), CrossEntropy(), TRAIN, RECIPE)
