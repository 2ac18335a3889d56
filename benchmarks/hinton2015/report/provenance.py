"""Whether records belong together: made by the frozen recipe, and by students of the teachers that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from benchmarks.hinton2015.plan import ROWS, jobs
from benchmarks.hinton2015.report.notation import listed
from benchmarks.hinton2015.selection import STAGES
from darkknowledge.errors import IntegrityError

if TYPE_CHECKING:
    from benchmarks.hinton2015.report.records import What

AGAIN = "restore the record, or remove it and run the experiment again"


@cache
def planned() -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Stamp and note of each record of the plan, by its name."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for job in jobs([*ROWS, *STAGES]).values():
        for name, own in zip(job.records, job.students or ({},), strict=True):
            found[name] = job.stamp, {**job.note, **own, "name": name, "split": job.split}
    return found


def require_planned(name: str, record: Mapping[str, Any]) -> None:
    """Refuse a run of another recipe, one that the plan does not have, and one that says of itself what the plan does not.

    Raises:
        IntegrityError: it is one of these.
    """
    if name not in planned():
        raise IntegrityError(f"{name} is no run of the plan", fix="remove its record")
    stamp, note = planned()[name]
    if record.get("stamp") != stamp:
        raise IntegrityError(f"{name} is a run of another recipe", fix=AGAIN)
    for key, value in note.items():
        if record.get(key) != value:
            raise IntegrityError(f"{name} has {key} {record.get(key)!r}, and by the plan {value!r}", fix=AGAIN)


def require_teachers(runs: Iterable[What]) -> None:
    """Refuse students of teachers that were never measured, or that were trained again since.

    Raises:
        IntegrityError: there is one.
    """
    runs = list(runs)
    measured = {what.fingerprint for what in runs if what.arm == "teacher"}
    for what in runs:
        if not measured.issuperset(what.teachers):
            raise IntegrityError(f"{what.name} learned from other teachers than those that have records", fix=AGAIN)


def made_with(runs: Iterable[What]) -> str:
    """Hardware and versions in a sentence for each kind of machine."""
    kinds = Counter(tuple(what.made_with.items()) for what in runs if what.made_with)
    if not kinds:
        return "Hardware and versions were not noted."
    whole = len(kinds) == 1
    return " ".join(_sentence(dict(kind)) + ("" if whole else f" ({count} runs)") + "." for kind, count in kinds.most_common())


def _sentence(found: Mapping[str, Any]) -> str:
    packages = [f"{name} {version}" for name, version in found.items() if name not in ("processor", "cores", "python")]
    return f"{found['processor']}, {found['cores']} cores; Python {found['python']}, {listed(packages)}"
