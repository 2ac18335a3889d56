"""Transfer sets: a teacher's answers on disk, recorded once and read by every later student.

::

    SET/
      manifest.json                     what it is, and size and SHA-256 of every other file; written last
      shards/00000-of-00016.arrow       Arrow IPC file: one record batch, uncompressed columns of fixed width
      shards/00000-of-00016.json        the shard's rows, keys, statistics, size and SHA-256

A row answers for one view of one example; its key is ``id * views + view``, and keys ascend through the whole set.
Importing this package imports neither torch nor Arrow; its names are fetched when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.transfer._build import build, require_place
    from darkknowledge.transfer._dataset import TransferDataset
    from darkknowledge.transfer._describe import Description, describe
    from darkknowledge.transfer._export import export
    from darkknowledge.transfer._identity import Identity, require_same
    from darkknowledge.transfer._layout import printable
    from darkknowledge.transfer._loaded import LoadedSet
    from darkknowledge.transfer._output import TopKOutput
    from darkknowledge.transfer._pictures import require_same_pictures
    from darkknowledge.transfer._plan import Plan
    from darkknowledge.transfer._teacher import RecordedTeacher
    from darkknowledge.transfer._transfer_set import TransferSet
    from darkknowledge.transfer._verify import Fault, faults, verify

_HOMES = {
    "Description": "_describe",
    "Fault": "_verify",
    "Identity": "_identity",
    "LoadedSet": "_loaded",
    "Plan": "_plan",
    "RecordedTeacher": "_teacher",
    "TopKOutput": "_output",
    "TransferDataset": "_dataset",
    "TransferSet": "_transfer_set",
    "build": "_build",
    "describe": "_describe",
    "export": "_export",
    "faults": "_verify",
    "printable": "_layout",
    "require_place": "_build",
    "require_same": "_identity",
    "require_same_pictures": "_pictures",
    "verify": "_verify",
}

__all__ = [
    "Description",
    "Fault",
    "Identity",
    "LoadedSet",
    "Plan",
    "RecordedTeacher",
    "TopKOutput",
    "TransferDataset",
    "TransferSet",
    "build",
    "describe",
    "export",
    "faults",
    "printable",
    "require_place",
    "require_same",
    "require_same_pictures",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
