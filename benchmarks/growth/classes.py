"""The objective and the codecs at one number of classes, in a process of its own: seconds of processor time of a call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from benchmarks._measuring import timed
from benchmarks._measuring.timing import calls_for
from benchmarks.objective.measure import gradient_of, make_logits

from darkknowledge import DistillationLoss
from darkknowledge.transfer.codec import build

BATCH, LEAST = 256, 0.3
"""Rows of a call, and seconds of calls whose mean counts."""
CODECS: dict[str, dict[str, Any]] = {"float16": {}, "uint8": {}, "topk": {"k": 64}}


def seconds(classes: int) -> dict[str, float]:
    """Of a call of each kind of work."""
    torch.set_num_threads(1)
    return {name: timed(work, calls=calls_for(work, least=LEAST)).processor for name, work in works(classes).items()}


def works(classes: int) -> dict[str, Callable[[], object]]:
    """Loss and gradient, compiled and not; rows written and read in each codec."""
    logits = make_logits(BATCH, classes)
    found: dict[str, Callable[[], object]] = {
        f"objective, {name}": gradient_of(DistillationLoss(4.0, 0.9, compile=compile), logits)
        for name, compile in (("compiled", "on"), ("eager", "off"))
    }
    for name, options in CODECS.items():
        codec = build(name, classes, **options)
        rows = codec.encode(logits.teacher)
        found |= {f"{name}, encode": partial(codec.encode, logits.teacher), f"{name}, decode": partial(codec.decode, rows)}
    return found
