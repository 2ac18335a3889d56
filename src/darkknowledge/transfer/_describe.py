"""What a transfer set is worth, in numbers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from darkknowledge.transfer._identity import Identity, described
from darkknowledge.transfer._output import answer_of, weights_of
from darkknowledge.transfer._statistics import chunks
from darkknowledge.transfer._transfer_set import TransferSet

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True)
class AtTemperature:
    """Means over all rows at one temperature: ``entropy`` of the soft target in nats, ``effective_classes`` exp(H), and the ``captured`` share of the
    recorded classes (1 where all are recorded).
    """

    temperature: float
    entropy: float
    effective_classes: float
    captured: float


@dataclass(frozen=True, slots=True)
class Description:
    """A transfer set in short.

    ``accuracy`` is that of the stored answers on the ``labelled`` rows, None without any; ``flat`` counts rows whose logits are all equal.
    ``bytes_per_example`` counts all views and files. ``temperatures`` are 1, 2, 4, 8, 16, or those that the set declares.
    """

    rows: int
    examples: int
    views: int
    classes: int
    members: int
    codec: str
    teacher: tuple[str, ...]
    average: str
    data: str
    transform: str
    precision: str
    bytes: int
    bytes_per_example: float
    labelled: int
    accuracy: float | None
    flat: int
    temperatures: tuple[AtTemperature, ...]


def describe(path: str | os.PathLike[str]) -> Description:
    """The description of the set in the folder ``path``, read in small pieces.

    Raises:
        UsageError: there is no transfer set.
        IntegrityError: it is not finished, or damaged.
    """
    found = TransferSet.open(path)
    identity, statistics = found.identity, found.manifest.statistics
    examples = _examples(found)
    size = sum(size for size, _ in found.manifest.files.values()) + len(found.manifest.to_text().encode())
    return Description(
        rows=len(found),
        examples=examples,
        views=found.views,
        classes=len(found.class_names),
        members=found.members,
        codec=described(identity.codec),
        teacher=identity.teacher,
        average=identity.average,
        data=identity.data,
        transform=identity.transform,
        precision=identity.precision,
        bytes=size,
        bytes_per_example=size / examples,
        labelled=statistics.labelled,
        accuracy=statistics.correct / statistics.labelled if statistics.labelled else None,
        flat=statistics.flat,
        temperatures=_temperatures(found),
    )


def _temperatures(found: TransferSet) -> tuple[AtTemperature, ...]:
    temperatures = found.temperatures or TEMPERATURES
    sums = torch.zeros(len(temperatures), 2, dtype=torch.float64)
    for shard in found.shards:
        for _, _, answers in chunks(shard, found.identity):
            sums += _entropies(answers, found.identity, temperatures)
    means = (sums / len(found)).tolist()
    return tuple(
        AtTemperature(temperature, entropy, effective, found.captured_mass(temperature))
        for temperature, (entropy, effective) in zip(temperatures, means, strict=True)
    )


def _entropies(answers: Tensor, identity: Identity, temperatures: Iterable[float]) -> Tensor:
    """The sums over rows of H and exp(H), (temperatures, 2)."""
    answer, sums = answer_of(answers, identity, weights_of(identity)), []
    for temperature in temperatures:
        log_p = (answer.logits(temperature) / temperature).log_softmax(-1)
        entropy = -(log_p.exp() * log_p.clamp_min(-math.log(torch.finfo(torch.float32).max))).sum(-1).double()
        sums.append(torch.stack((entropy.sum(), entropy.exp().sum())))
    return torch.stack(sums)


def _examples(found: TransferSet) -> int:
    """How many examples have rows; their rows stand together, as keys ascend."""
    count, last = 0, -1
    for shard in found.shards:
        ids = shard.keys // found.views
        count += int(np.count_nonzero(np.diff(ids, prepend=last)))
        last = int(ids[-1])
    return count
