"""Examples that are small enough live on the device: batches are then gathered, augmented and scaled where they are used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from darkknowledge.contract import Examples

SHARE = 1 / 4
"""Of the device's free memory that examples may take; the rest is for the network, its gradients and what a step keeps."""


def reside(splits: Sequence[Examples | None], device: torch.device) -> list[Any]:
    """The splits, each moved to ``device`` if all that moved before it and itself take no more than `SHARE` of the memory that is free there.

    Which batches come of them does not depend on that. Examples that are better made in main memory, as photos are, stay (`contract.Examples`).
    """
    left: float = SHARE * free_memory(device)
    found: list[Any] = list(splits)
    for index, split in enumerate(found):
        size = getattr(split, "resident_bytes", None)
        if size is not None and size <= left:
            found[index], left = split.to(device), left - size
    return found


def free_memory(device: torch.device) -> float:
    """Free bytes on a device; of main memory, where small examples lie already, there is always enough."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return max(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory(), 0)
    return math.inf
