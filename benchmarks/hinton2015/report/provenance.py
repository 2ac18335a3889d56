"""Whether records belong together: made by the frozen recipe, and by students of the teachers that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.report.notation import listed
from benchmarks.hinton2015.selection import STAGES
from darkknowledge.errors import IntegrityError

if TYPE_CHECKING:
    from benchmarks.hinton2015.report.records import What

AGAIN = "restore the record, or remove it and run the experiment again"


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan says of a record: the stamp of its recipe, what it was, and the names of the networks that it learned from or consists of."""

    stamp: str
    note: Mapping[str, Any]
    teachers: tuple[str, ...]


@cache
def planned() -> Mapping[str, Planned]:
    """Each record of the plan, by its name."""
    found: dict[str, Planned] = {}
    for job in jobs([*ROWS, *STAGES]).values():
        if job.kind == "record":
            continue
        teachers = tuple(teacher.name for need in job.needs for teacher in need.needs or (need,))
        for name, own in zip(job.records, job.students or ({},), strict=True):
            found[name] = Planned(job.stamp, {**job.note, **own, "name": name, "split": job.split}, teachers)
    return found


def require_planned(name: str, record: Mapping[str, Any]) -> None:
    """Refuse a run of another recipe, one that the plan does not have, and one that says of itself what the plan does not.

    Raises:
        IntegrityError: it is one of these.
    """
    if name not in planned():
        raise IntegrityError(f"{name} is no run of the plan", fix="remove its record")
    if record.get("stamp") != planned()[name].stamp:
        raise IntegrityError(f"{name} is a run of another recipe", fix=AGAIN)
    for key, value in planned()[name].note.items():
        if record.get(key) != value:
            raise IntegrityError(f"{name} has {key} {record.get(key)!r}, and by the plan {value!r}", fix=AGAIN)


def require_teachers(runs: Iterable[What]) -> None:
    """Refuse students of other teachers than the plan's, of teachers that have no record, and of those that were trained again since.

    Raises:
        IntegrityError: there is one.
    """
    by_name = {what.name: what for what in runs}
    for what in by_name.values():
        own = [by_name[name].fingerprint if name in by_name else None for name in planned()[what.name].teachers]
        if own != list(what.teachers):
            raise IntegrityError(f"{what.name} learned from other teachers than those that have records", fix=AGAIN)


def made_with(runs: Iterable[What]) -> str:
    """Hardware and versions in a sentence for each kind of machine."""
    kinds = Counter(tuple(what.made_with.items()) for what in runs if what.made_with)
    if not kinds:
        return "Hardware and versions were not noted."
    counts = {kind: "" if len(kinds) == 1 else f" ({count} run{'s' * (count > 1)})" for kind, count in kinds.most_common()}
    return " ".join(f"{_sentence(dict(kind))}{count}." for kind, count in counts.items())


def _sentence(found: Mapping[str, Any]) -> str:
    packages = [f"{name} {version}" for name, version in found.items() if name not in ("processor", "cores", "python")]
    return f"{found['processor']}, {found['cores']} cores; Python {found['python']}, {listed(packages)}"
