"""A transfer set and its pictures as a plain data set, for anybody's loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset

from darkknowledge.contract import Examples
from darkknowledge.randomness import view_of
from darkknowledge.transfer._identity import require_same_transform
from darkknowledge.transfer._pictures import require_same_pictures
from darkknowledge.transfer._transfer_set import TransferSet

Item: TypeAlias = tuple[Tensor, Tensor, Tensor]


class TransferDataset(Dataset[Item]):
    """Items (input, label, logits): a picture, its label, the teacher's raw logits (C,), or (M, C) of the members whose probabilities are averaged.

    In epoch e an example shows the view `randomness.view_of` (id, e), and a `torch.utils.data.DataLoader` asks for whole batches at once. The logits
    of a top-k set are those whose softmax at ``temperature`` is the soft target; other sets serve every temperature and ignore it. Some pictures of
    the first epoch are made at once, and compared with those that the teacher saw.

    Raises:
        DataError: the set lacks a row of this epoch.
        IntegrityError: the pictures have another transform than the set, or are not those that the teacher saw.
        UsageError: a top-k set does not hold this temperature.
    """

    def __init__(self, transfer_set: TransferSet, examples: Examples, *, epoch: int = 0, temperature: float = 1.0) -> None:
        require_same_transform(transfer_set.identity, examples.transform, where=str(transfer_set.path))
        transfer_set.captured_mass(temperature)
        self._set, self._examples, self._temperature = transfer_set, examples, temperature
        self.set_epoch(epoch)
        require_same_pictures(transfer_set, examples, examples.ids, self._views)

    def set_epoch(self, epoch: int) -> None:
        """Show the views of another epoch; call it before a loader makes its workers.

        Raises:
            DataError: the set lacks a row of this epoch.
        """
        ids = self._examples.ids.cpu()
        views = view_of(ids, epoch=epoch, views=self._set.views)
        self._set.require_rows(ids, views)
        self._views = views

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Item:
        if not -len(self) <= index < len(self):
            raise IndexError(index)  # ends a plain loop over the data set
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """Several items at once, which is how a DataLoader asks."""
        positions = torch.as_tensor(indices, dtype=torch.int64)
        views = None if self._set.identity.plain else self._views[positions]
        (batch,) = self._examples.batches(positions, batch_size=len(positions), views=views)
        return list(zip(batch.inputs, batch.labels, self._logits(batch.ids, views), strict=True))

    def _logits(self, ids: Tensor, views: Tensor | None) -> Tensor:
        logits = self._set.members_of(ids, views, temperature=self._temperature)
        return logits[0] if len(logits) == 1 else logits.transpose(0, 1)
