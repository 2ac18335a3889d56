from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkknowledge.errors import Interrupted, ResourceError
from darkknowledge.objective import DistillationLoss
from darkknowledge.training import Recipe, fit
from darkknowledge.training.compiling import STEPS_WORTH_COMPILING, CompiledNetwork, compiles_network, piece_sizes
from training.small import Answers, Bounded, CrossEntropy, Notes, mlp, points, same, weights
from training.test_loop import PLAIN
from training.test_resume import signal_after

ON = PLAIN.model_copy(update={"compile": "on"})
MANY = STEPS_WORTH_COMPILING


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch traces and guards as always, and then calls the same kernels as without compilation, so that no C++ is compiled."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("word", "device", "steps", "compiles"),
    [
        ("on", "cpu", 1, True),
        ("on", "cuda", 1, True),
        ("off", "cuda", MANY, False),
        ("auto", "cuda", MANY, True),
        ("auto", "cuda", MANY - 1, False),
        ("auto", "cpu", 10**9, False),
        ("auto", "mps", 10**9, False),
    ],
)
def test_what_is_asked_for_is_done_and_auto_looks_at_the_work_ahead(word: str, device: str, steps: int, compiles: bool) -> None:
    assert compiles_network(Recipe(compile=word), device, steps=steps) == compiles  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "pieces", "sizes"), [(256, 1, {256}), (10, 4, {2, 3}), (4, 8, {1})])
def test_the_sizes_compiled_for_are_those_of_a_whole_batch(size: int, pieces: int, sizes: set[int]) -> None:
    recipe = Recipe(batch_size=size, accumulate=pieces)
    assert piece_sizes(recipe) == sizes
    assert sizes == {len(part) for part in torch.zeros(size).tensor_split(min(pieces, size))}


class Counting(nn.Module):
    """Counts in Python how often its code runs as it is, which compiled code does not."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.plainly = mlp(), 0

    def forward(self, inputs: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            self.plainly += 1
        logits: Tensor = self.body(inputs)
        return logits


def test_whole_batches_alone_run_compiled_and_the_weights_and_names_are_the_same(traced: None) -> None:
    plain, network, other = Bounded(), Bounded(), Counting()
    names = list(network.state_dict())
    recipe = {"ema": 0.9, "clip_norm": 0.5, "accumulate": 2}
    found = [
        fit(each, CrossEntropy(), points(21), base.model_copy(update=recipe), validation=points(9)) for each, base in ((plain, PLAIN), (network, ON))
    ]
    assert [fitted.compiled for fitted in found] == [False, True]
    assert found[0].last == found[1].last
    assert same(weights(plain), weights(network))
    assert list(network.state_dict()) == names
    fit(other, CrossEntropy(), points(21), ON, validation=points(9))
    assert other.plainly == 4, "in each of two epochs one short batch and one pass of validation"
    assert not other.training


def test_more_networks_than_torch_compiles_of_one_function_are_compiled(traced: None) -> None:
    for width in range(3, 12):
        CompiledNetwork(mlp(width=width), sizes=frozenset({4}), required=True)(torch.zeros(4, 2))
    counting = Counting()
    CompiledNetwork(counting, sizes=frozenset({4}), required=True)(torch.zeros(4, 2))
    assert counting.plainly == 0


def failing(message: str) -> Any:
    """A backend that cannot compile."""

    def backend(graph: Any, inputs: Any) -> Any:
        raise RuntimeError(message)

    return backend


def test_without_a_compiler_on_is_refused_and_auto_goes_on_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=failing("no compiler found")))
    with pytest.raises(ResourceError, match="no compiler found") as refused:
        fit(mlp(), CrossEntropy(), points(16), ON)
    assert "training.compile=off" in refused.value.fix
    network = mlp()
    called = CompiledNetwork(network, sizes=frozenset({4}), required=False)
    with caplog.at_level(logging.WARNING, logger="darkknowledge"):
        for _ in range(3):
            assert torch.equal(called(torch.ones(4, 2)), network(torch.ones(4, 2)))
    said = [record.message for record in caplog.records if record.name.startswith("darkknowledge")]
    assert said == ["the network is not compiled: no compiler found"]
    torch.compiler.reset()


class Prepared(CrossEntropy):
    """An objective that hears what is ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, str]] = []

    def prepare(self, *, examples: int, compile: str) -> None:
        self.heard.append((examples, compile))


@pytest.mark.parametrize(("steps", "examples"), [(None, 63), (5, 37), (3, 21), (4, 29)])
def test_the_objective_hears_of_all_examples_that_the_run_sees_also_when_it_is_resumed(steps: int | None, examples: int, tmp_path: Path) -> None:
    recipe = PLAIN.model_copy(update={"epochs": 3, "compile": "off", "steps": steps})
    objective = Prepared()
    with pytest.raises(Interrupted):
        fit(mlp(), objective, points(21), recipe, watchers=[Notes(signal_after(2))], checkpoint=tmp_path / "state")
    fit(mlp(), objective, points(21), recipe, checkpoint=tmp_path / "state")
    assert objective.heard == [(examples, "off")] * 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's imports warn of what is not ours
def test_a_compiled_run_stopped_and_resumed_is_the_undisturbed_one(tmp_path: Path) -> None:
    """Dropout included; and dropout drops."""
    recipe = ON.model_copy(update={"ema": 0.8, "checkpoint_every": 1e9, "threads": 1})
    objective, teacher = DistillationLoss(temperature=3, alpha=0.7).mixture, Answers(mlp(seed=3))

    def run(network: nn.Module, name: str, notes: Notes) -> None:
        fitted = fit(network, objective, points(21), recipe, validation=points(9), teacher=teacher, watchers=[notes], checkpoint=tmp_path / name)
        assert fitted.compiled

    whole, stopped, resumed = Bounded(), Bounded(), Bounded()
    run(whole, "whole", Notes())
    with pytest.raises(Interrupted):
        run(stopped, "stopped", Notes(signal_after(2)))
    run(resumed, "stopped", Notes())
    assert same(weights(resumed), weights(whole))
    called = CompiledNetwork(Bounded().train(), sizes=frozenset({8}), required=True)
    first, other, again = (called(torch.ones(8, 2)) for seed in (1, 2, 1) if torch.manual_seed(seed))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.compiler.reset()
