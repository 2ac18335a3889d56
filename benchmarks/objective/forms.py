"""The objective with recorded answers as they lie in a transfer set, beside the same answers as dense logits.

*dense*: the teacher's logits (B, C) are there as float32. *decoded*: they are made of the rows first, and handed over dense. *recorded*: the
objective is given the answer of the transfer set and reads the rows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from benchmarks._measuring import Run, compare
from benchmarks.objective.losses import ALPHA
from benchmarks.objective.measure import make_logits
from torch import Tensor

from darkknowledge.contract import PLAIN, Answer, Output
from darkknowledge.objective.distillation import distillation
from darkknowledge.transfer import Identity
from darkknowledge.transfer._output import answer_of, weights_of
from darkknowledge.transfer.codec import Codec, build

TEMPERATURE = 4.0
TOP: Mapping[str, Any] = {"k": 64, "temperatures": (TEMPERATURE,)}
FORMS: tuple[tuple[str, Mapping[str, Any], int, int], ...] = (
    ("uint8", {}, 1024, 1000),
    ("float16", {}, 1024, 1000),
    ("float16", {}, 256, 10),
    ("topk", TOP, 512, 32000),
)
"""Codec, its options, batch and classes."""
QUICK_FORMS: tuple[tuple[str, Mapping[str, Any], int, int], ...] = (
    ("uint8", {}, 32, 100),
    ("topk", {"k": 8, "temperatures": (TEMPERATURE,)}, 32, 1000),
)


def measure(run: Run) -> None:
    """Every form at its size."""
    torch.set_num_threads(1)
    for name, options, batch, classes in QUICK_FORMS if run.quick else FORMS:
        torch.compiler.reset()
        found = compare(variants(build(name, classes, **options), batch), to=("dense", "decoded"), repeats=run.repeats, memory=True,
                        unit=("(B, C)", 4 * batch * classes))  # fmt: skip
        run.add(f"{name}, {batch} × {classes}", found)


def variants(codec: Codec, batch: int) -> dict[str, Callable[[], object]]:
    """The three ways to the same loss and gradient."""
    student, teacher, labels = make_logits(batch, codec.classes)
    rows = codec.encode(teacher)
    identity = Identity(("random",), "probability", (1.0,), "random", tuple(map(str, range(codec.classes))), PLAIN, 1, codec)
    weights, dense = weights_of(identity), codec.decode(rows, TEMPERATURE)
    answers: dict[str, Callable[[], Answer]] = {
        "dense": lambda: Output.single(dense),
        "decoded": lambda: Output.single(codec.decode(rows, TEMPERATURE)),
        "recorded": lambda: answer_of(rows, identity, weights),
    }
    return {name: partial(step, compiled(batch), student, labels, answer) for name, answer in answers.items()}


def compiled(batch: int) -> Any:
    """The objective of a long run."""
    objective = distillation(TEMPERATURE, ALPHA)
    objective.prepare(examples=10_000 * batch, compile="on")
    return objective


def step(objective: Any, student: Tensor, labels: Tensor, answer: Callable[[], Answer]) -> tuple[Tensor, Tensor]:
    """Loss and gradient."""
    loss = objective.loss(student, answer(), labels, epoch=0.0).total
    return loss, torch.autograd.grad(loss, student)[0]
