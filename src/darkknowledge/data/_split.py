"""Which training cases a run may see, and what it may know of them.

One idea carries all options: `stratified_order` puts the cases in an order of which *every* prefix has the class proportions of the whole. The
validation set, a fraction of the cases and a fraction of the labels are prefixes of such orders; so the 3 % set lies in the 10 % set, and a
choice depends on seed, ids and labels alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.errors import UsageError, close_match
from darkknowledge.randomness import Stream, bits

Classes = Sequence[str | int] | str | int


@dataclass(frozen=True, slots=True)
class Split:
    """The options; their order of work is: carve validation, drop classes, take the fraction, hide labels.

    The validation set keeps every class and every label whatever the other options say, and is the same for all of them: runs with fewer cases,
    classes or labels are compared on the full task, as the paper's networks that never saw a 3 are tested on 3s.

    Args:
        validation: how much of the training set to set aside, a share in [0, 1) or a number of cases (an integer). At 0 nothing is.
        split_seed: seed of every choice made here.
        fraction: share in (0, 1] of the remaining cases.
        labelled: share in (0, 1] of those that keep their label; the others get `IGNORED`.
        classes: train on these classes only, by name or index. The class list stays the full one.
        without: train on all but these.
        hide_labels: hide every training label.

    Raises:
        UsageError: a value out of range, or two options that contradict each other.

    Source: Hinton, Vinyals & Dean (2015), section 3 (omitted classes) and section 6 (3 % of the cases).
    """

    validation: float | int = 0.1
    split_seed: int = 0
    fraction: float = 1.0
    labelled: float = 1.0
    classes: Classes | None = None
    without: Classes | None = None
    hide_labels: bool = False

    def __post_init__(self) -> None:
        _check_validation(self.validation)
        for name in ("fraction", "labelled"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
                fix = "to hide every label say hide_labels=true" if name == "labelled" else "1 takes every case"
                raise UsageError(f"{name} must be a share above 0 and at most 1, not {value!r}", where=name, fix=fix)
        if self.classes is not None and self.without is not None:
            raise UsageError("classes and without cannot be given together", fix="say which classes to keep or which to leave out")
        if self.hide_labels and self.labelled < 1:
            raise UsageError("hide_labels hides what labelled would keep", fix="give one of the two")


class SplitOptions(TypedDict, total=False):
    """The arguments of `Split`, which hold their meaning and defaults."""

    validation: float | int
    split_seed: int
    fraction: float
    labelled: float
    classes: Classes | None
    without: Classes | None
    hide_labels: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """Positions in the training set for ``train`` and ``validation``, and the labels that the training cases show."""

    train: Tensor
    train_labels: Tensor
    validation: Tensor


def divide(ids: Tensor, labels: Tensor, class_names: Sequence[str], split: Split) -> Parts:
    """Carry out ``split`` on a training set with these ``ids`` and ``labels``, both (N,).

    Raises:
        UsageError: an unknown class, or nothing left to train on.
    """
    chosen = _kept_classes(class_names, split)
    kept = torch.tensor([row in chosen for row in range(len(class_names))])
    known = (labels != IGNORED).nonzero()[:, 0]
    validation = _prefix(known, ids, labels, _count(split.validation, len(known)), split.split_seed, Stream.VALIDATION)
    rest = torch.ones(len(ids), dtype=torch.bool)
    rest[validation] = False
    # A case without a label belongs to no class: classes= drops it, without= keeps it.
    allowed = torch.where(labels == IGNORED, torch.tensor(split.classes is None), kept[labels.clamp(min=0)])
    pool = (rest & allowed).nonzero()[:, 0]
    train = _prefix(pool, ids, labels, round(split.fraction * len(pool)), split.split_seed, Stream.FRACTION)
    if not len(train):
        raise UsageError(
            f"no training cases are left of {len(ids)}",
            why=f"validation={split.validation} leaves {int(rest.sum())}, the classes leave {len(pool)}, fraction={split.fraction} leaves none",
            fix="set less aside or take a larger fraction",
        )
    return Parts(train, _shown(train, ids, labels, split), validation)


def stratified_order(ids: Tensor, labels: Tensor, *, seed: int, stream: int) -> Tensor:
    """Positions (N,) in an order of which every prefix holds each class in proportion, to within one case, else at random.

    Within its class of n cases a case has a random rank r; the order is by (r + 1/2)/n. So a prefix up to q holds round(q·n) of each class.

    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> labels[stratified_order(torch.arange(6), labels, seed=0, stream=Stream.FRACTION)[:3]].bincount()
    tensor([2, 1])
    """
    keys = bits(seed, ids, 0, stream)
    shuffled = keys.argsort()
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    place, counts = torch.unique(labels[by_class], return_inverse=True, return_counts=True)[1:]
    rank = torch.arange(len(ids)) - (counts.cumsum(0) - counts)[place]
    quantile = (rank.double() + 0.5) / counts[place]
    tie = keys[by_class].argsort()
    return by_class[tie[quantile[tie].argsort(stable=True)]]


def _prefix(pool: Tensor, ids: Tensor, labels: Tensor, count: int, seed: int, stream: Stream) -> Tensor:
    """The first ``count`` of the positions ``pool`` in stratified order, sorted."""
    order = stratified_order(ids[pool], labels[pool], seed=seed, stream=stream)
    return pool[order[:count]].sort().values


def _shown(train: Tensor, ids: Tensor, labels: Tensor, split: Split) -> Tensor:
    if split.hide_labels:
        return torch.full_like(train, IGNORED)
    if split.labelled == 1:
        return labels[train]
    known = train[labels[train] != IGNORED]
    keep = _prefix(known, ids, labels, max(1, round(split.labelled * len(known))), split.split_seed, Stream.LABELLED)
    shown = torch.full_like(labels, IGNORED)
    shown[keep] = labels[keep]
    return shown[train]


def _count(share: float | int, total: int) -> int:
    if isinstance(share, float):
        return max(1, round(share * total)) if share else 0
    if share >= total > 0:
        raise UsageError(f"validation={share} would take all of the {total} labelled training cases", where="validation", fix="set less aside")
    return share


def _check_validation(value: object) -> None:
    valid = (isinstance(value, float) and 0 <= value < 1) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    if not valid or (isinstance(value, float) and math.isnan(value)):
        raise UsageError(
            f"validation must be a share of the training set below 1 or a number of cases, not {value!r}",
            where="validation",
            fix="0.1 sets a tenth aside, 5000 sets 5,000 cases aside, 0 none",
        )


def _kept_classes(class_names: Sequence[str], split: Split) -> set[int]:
    everything = set(range(len(class_names)))
    if split.classes is not None:
        return {_index(entry, class_names, "classes") for entry in _listed(split.classes, "classes")}
    if split.without is not None:
        return everything - {_index(entry, class_names, "without") for entry in _listed(split.without, "without")}
    return everything


def _listed(classes: Classes, option: str) -> list[str | int]:
    entries = [classes] if isinstance(classes, str | int) else list(classes)
    if not entries:
        raise UsageError(f"{option} names no class", where=option, fix="leave it away, or list names or indices")
    return entries


def _index(entry: str | int, class_names: Sequence[str], option: str) -> int:
    """The index of a class given by name, or by index as a number or in digits; a name wins."""
    if entry in class_names:
        return list(class_names).index(str(entry))
    try:
        index = int(entry)
    except ValueError:
        index = -1
    if not 0 <= index < len(class_names):
        raise UsageError(f"there is no class {entry!r}", where=option, fix=close_match(str(entry), class_names))
    return index
