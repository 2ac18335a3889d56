"""Proof, before a student learns from a set, that its pictures are those that the teacher saw."""

from __future__ import annotations

import torch
from torch import Tensor

from darkknowledge.contract import Examples
from darkknowledge.errors import DataError
from darkknowledge.transfer._transfer_set import TransferSet

SAMPLE = 64
"""Pictures that are made again."""


def require_same_pictures(transfer_set: TransferSet, examples: Examples, ids: Tensor, views: Tensor | None = None) -> None:
    """Make 64 pictures again, spread evenly over ``views`` (N,) of the examples ``ids`` (N,), and compare them with those that the teacher saw.

    Raises:
        IntegrityError: a picture has another checksum than the recorded one.
        DataError: an example is not in the data, or a row not in the set.
    """
    if not len(ids):
        return
    chosen = torch.linspace(0, len(ids) - 1, min(SAMPLE, len(ids))).round().long()
    shown = None
    if not transfer_set.identity.plain:
        shown = (torch.zeros_like(ids) if views is None else views).cpu()[chosen]
    for batch in examples.batches(_positions(examples, ids.cpu()[chosen]), batch_size=SAMPLE, views=shown):
        transfer_set.check_alignment(batch)


def _positions(examples: Examples, ids: Tensor) -> Tensor:
    ordered, positions = examples.ids.cpu().sort()
    places = torch.searchsorted(ordered, ids).clamp_max(len(ordered) - 1)
    if not len(ordered) or not torch.equal(ordered[places], ids):
        raise DataError("the data lacks examples that it is to be checked by", fix="give ids of these examples")
    return positions[places]
