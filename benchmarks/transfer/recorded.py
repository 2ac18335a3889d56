"""A teacher's answers to pictures of noise, recorded."""

from __future__ import annotations

from pathlib import Path

from darkknowledge.data import Dataset
from darkknowledge.model import fingerprint
from darkknowledge.teacher import Ensemble, Frozen
from darkknowledge.transfer import Identity, Plan, TransferSet, build
from darkknowledge.transfer.codec import choose


def planned(teacher: Frozen | Ensemble, data: Dataset) -> Plan:
    """The teacher's answers to all pictures, in the codec that suits their number of classes."""
    prints, codec = tuple(map(fingerprint, teacher.networks)), choose(len(data.class_names))
    identity = Identity(prints, teacher.average, teacher.weights, data.fingerprint, data.class_names, data.train.transform, 1, codec)
    return Plan.make(identity, ids=data.train.ids)


def recorded(teacher: Frozen | Ensemble, data: Dataset, out: Path) -> TransferSet:
    """The same, in a folder."""
    made = build(out, planned(teacher, data), teacher=teacher, examples=data.train)
    assert made is not None
    return made
