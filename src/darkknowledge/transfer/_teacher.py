"""A transfer set in a teacher's place."""

from __future__ import annotations

import torch

from darkknowledge.contract import Answer, Batch
from darkknowledge.transfer._loaded import LoadedSet
from darkknowledge.transfer._transfer_set import TransferSet


class RecordedTeacher:
    """A `contract.Teacher` that looks its answers up by id and view; a batch without views is asked about as view 0.

    The inputs of its first batch are compared with those that were recorded; to look up answers to others on purpose, ask the set itself.
    """

    needs_ids = True
    """See `contract.Teacher`."""

    def __init__(self, source: TransferSet | LoadedSet) -> None:
        self._source, self._aligned = source, False

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class, by index."""
        return self._source.class_names

    def __call__(self, batch: Batch) -> Answer:
        """The recorded answers to a batch.

        Raises:
            DataError: an answer was never recorded (not noticed after the first batch where the set is loaded on an accelerator).
            IntegrityError: an input of the first batch is not the one that the teacher saw.
        """
        if not self._aligned and len(batch):
            self._source.check_alignment(batch)
            self._aligned = True
        return self._source.answer(batch.ids, batch.views)

    def to(self, device: torch.device | str) -> RecordedTeacher:
        """The same teacher, its rows moved to ``device`` where they are in memory; mapped rows stay, and their answers follow the batch."""
        return RecordedTeacher(self._source.to(device)) if isinstance(self._source, LoadedSet) else self

    def __repr__(self) -> str:
        return f"RecordedTeacher({self._source!r})"
