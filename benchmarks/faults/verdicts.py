"""What in a record must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Parts = dict[str, Any]

MUST_BE_NONE = ("unreadable", "lost states", "not as undisturbed", "leftovers")
LARGEST = {"a saved training state": 2.0, "transfer set": 0.03, "network": 0.03, "training state": 0.03}
"""How large a ratio of wall time may be: the worse end of its interval."""


def faults_of(name: str, parts: Parts) -> list[str]:
    """What must not be in the parts of a record."""
    return [f"{part}: {fault}" for part, each in parts.items() for fault in FAULTS[name](each)]


def _kill_faults(each: Parts) -> Iterator[str]:
    for key in (*MUST_BE_NONE, "unclear messages"):
        found = each.get(key)
        if found:
            yield f"{found if isinstance(found, int) else len(found)} {key}"
    for when, codes_found in each.get("exit codes", {}).items():
        wrong = {
            code: count for code, count in codes_found.items() if code not in ("-9", "5", "0") or (when == "after room was made" and code != "0")
        }
        if wrong:
            yield f"exit codes {codes(wrong)} {when}"


def _flip_faults(each: Parts) -> Iterator[str]:
    if each.get("used"):
        _, _, late, crashed, unfound, wrong = numbers(each)
        kinds = {"found by dk verify alone": late, "crashes": crashed, "not found": unfound, "uses that came to something else": wrong}
        yield from (f"{count} {what}" for what, count in kinds.items() if count)


def _cost_faults(each: Parts) -> Iterator[str]:
    for other, variants in each.get("ratio to", {}).items():
        for variant, found in variants.items():
            if variant in LARGEST and found["wall"]["high"] > LARGEST[variant]:
                yield f"{variant} took {interval(found['wall'])} of the wall time of {other}; at most {LARGEST[variant]:g} is wanted"


def _resume_faults(each: Parts) -> Iterator[str]:
    if each.get("cases") != each.get("identical"):
        yield f"{each['cases'] - each['identical']} of {each['cases']} are not identical: {'; '.join(each['others'][:3])}"
    if each.get("refused as busy at first"):
        yield f"{each['refused as busy at first']} next starts refused as busy"


def _start_faults(each: Parts) -> Iterator[str]:
    for key in ("folders", "lie there", "with their own configuration", "finished"):
        if each.get(key) != each.get("starts") and "folders" in each:
            yield f"{each[key]} {key} of {each['starts']} starts"
    for key in ("refused, with the holder's name", "holders undisturbed"):
        if each.get(key) != each.get("pairs") and "faults" in each:
            yield f"{each[key]} of {each['pairs']} {key}"


FAULTS: dict[str, Callable[[Parts], Iterator[str]]] = {
    "kills": _kill_faults,
    "flips": _flip_faults,
    "costs": _cost_faults,
    "resume": _resume_faults,
    "starts": _start_faults,
}


def numbers(each: Parts) -> list[int]:
    """Flips, and how many of them were found, by a use or by the check alone; crashed; not found; gave something else."""
    late = sum(count for who, count in each["found"].items() if who.startswith("dk verify"))
    return [each["flips"], sum(each["found"].values()) - late, late, sum(each["crashed"].values()), each["unfound"], each["silently wrong"]]


def codes(found: dict[str, int]) -> str:
    """Exit codes with their numbers."""
    return ", ".join(f"{code} × {count}" for code, count in found.items())


def interval(found: Parts) -> str:
    """A median with its interval."""
    return f"{found['median']:.3g} ({found['low']:.3g} to {found['high']:.3g})"
