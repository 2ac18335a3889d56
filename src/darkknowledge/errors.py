"""What can go wrong, and what the process exits with.

::

    DarkKnowledgeError            1
    ├── UsageError                2   a key, a value or a combination that makes no sense
    ├── DataError                 3   data missing, unreadable or not what was declared
    ├── IntegrityError            4   a file that is not what its manifest says, a wrong pairing
    ├── ResourceError             5   disk, permission, memory, a missing package
    ├── DivergedError             6   a loss, a weight or a gradient that is no longer finite
    ├── BusyError                 7   a run folder that another process holds
    └── Interrupted         130, 143   SIGINT, SIGTERM, after the state was saved

Every message says what happened, where, why it matters and what to do. The command line prints it without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class DarkKnowledgeError(Exception):
    """The root: what happened, and where it is known, where, why it matters and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "") -> None:
        self.what, self.where, self.why, self.fix = what, where, why, fix
        parts = [what, *(f"  {name}: {text}" for name, text in (("where", where), ("why", why), ("fix", fix)) if text)]
        super().__init__("\n".join(parts))


class UsageError(DarkKnowledgeError):
    exit_code = 2


class DataError(DarkKnowledgeError):
    exit_code = 3


class IntegrityError(DarkKnowledgeError):
    exit_code = 4


class ResourceError(DarkKnowledgeError):
    exit_code = 5


class DivergedError(DarkKnowledgeError):
    """``found`` says where: the step, what is not finite, and the ids of the examples of the steps since it last was."""

    exit_code = 6

    def __init__(self, what: str, *, where: str = "", why: str = "", fix: str = "", found: Mapping[str, Any] | None = None) -> None:
        super().__init__(what, where=where, why=why, fix=fix)
        self.found = dict(found or {})


class BusyError(DarkKnowledgeError):
    exit_code = 7


class Interrupted(DarkKnowledgeError):  # noqa: N818 — it is no error: the run stopped as asked
    """A signal asked the run to stop, and its state is on disk."""

    def __init__(self, what: str, *, signal: int, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.exit_code = 128 + signal


def close_match(word: str, choices: Iterable[str]) -> str:
    """``Did you mean 'hinton'? `` for a word near a choice, else the empty string; then the list of choices."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}Choices: {', '.join(choices)}."
