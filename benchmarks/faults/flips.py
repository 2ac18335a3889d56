"""Single bits flipped in every kind of file that is written, one at a time: who finds it, before anything is computed from the file.

A kind of file counts as not used where every use comes to the same when all files of the kind are missing, and when they hold zeros.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.faults.flips_world import Artefact
from benchmarks.faults.world import fresh
from darkknowledge.errors import DarkKnowledgeError

CHECK = "dk verify"
"""The use that looks at every byte and makes nothing of it."""
SHOWN = 12
"""Examples of flips that were not found, a kind."""
FIRST, SHARE = 8, 4
"""A kind of file in which none of so many flips was found takes only every fourth turn from then on."""


@dataclass(slots=True)
class Kind:
    """One kind of file of an artefact."""

    artefact: Artefact
    files: list[str]
    used: bool = True
    flips: int = 0
    found: Counter[str] = field(default_factory=Counter)
    """By whom, and as what."""
    crashed: Counter[str] = field(default_factory=Counter)
    """Uses that raised something else than an error of ours."""
    unfound: int = 0
    silently_wrong: int = 0
    """Of those not found, or found after a use that took the damaged file: flips with which a use came to something else."""
    examples: list[str] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)
    """Where in the text the bits lie that were not found."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "used": self.used,
            "flips": self.flips,
            "found": dict(self.found.most_common()),
            "crashed": dict(self.crashed.most_common()),
            "unfound": self.unfound,
            "silently wrong": self.silently_wrong,
            "lines": dict(self.lines.most_common()),
            "examples": self.examples,
        }


class Flipping:
    """Copies of the artefacts, each spoiled by one bit and then used."""

    def __init__(self, artefacts: list[Artefact], scratch: Path) -> None:
        self.scratch = scratch
        self.kinds = {f"{artefact.name}: {kind}": Kind(artefact, files) for artefact in artefacts for kind, files in artefact.kinds().items()}
        self.outcomes: dict[str, dict[str, object]] = {artefact.name: self.undamaged(artefact) for artefact in artefacts}

    def undamaged(self, artefact: Artefact) -> dict[str, object]:
        """What the uses come to; one that refuses the folder as it is, is none."""
        found: dict[str, object] = {}
        for name, use in artefact.uses.items():
            with contextlib.suppress(DarkKnowledgeError), heard():
                found[name] = use(self.copy(artefact))
        return found

    def copy(self, artefact: Artefact) -> Path:
        """A copy that may be spoiled and written to."""
        return Path(shutil.copytree(artefact.folder, fresh(self.scratch) / artefact.folder.name))

    def makes_a_difference(self, kind: Kind) -> bool:
        """Whether any use comes to something else when the files of this kind are missing, or hold zeros; looking for damage is no use."""
        uses = [name for name in self.outcomes[kind.artefact.name] if name != CHECK]
        return any(self.differs(kind, name, spoil) for name in uses for spoil in (Path.unlink, zero))

    def differs(self, kind: Kind, name: str, spoil: Callable[[Path], object]) -> bool:
        """Whether a use comes to something else, or says something of a file, when the files of this kind are spoiled."""
        folder = self.copy(kind.artefact)
        for file in kind.files:
            spoil(folder / file)
        try:
            with heard() as said:
                outcome = kind.artefact.uses[name](folder)
        except Exception:
            return True
        return outcome != self.outcomes[kind.artefact.name][name] or any(Path(file).name in said.getvalue() for file in kind.files)

    def flip(self, count: int, moments: random.Random) -> dict[str, Any]:
        """So many flips: equally many in every kind of file, but fewer where nobody finds them."""
        for kind in itertools.islice(self.turns(), count):
            file = moments.choice(kind.files)
            size = (kind.artefact.folder / file).stat().st_size
            self.try_one(kind, file, moments.randrange(size), moments.randrange(8))
        for kind in self.kinds.values():
            kind.used = any(not who.startswith(CHECK) for who in kind.found) or self.makes_a_difference(kind)
        return {name: kind.as_json() for name, kind in self.kinds.items()}

    def turns(self) -> Iterator[Kind]:
        """Whose turn it is, without end."""
        for turn in itertools.count():
            yield from (kind for kind in self.kinds.values() if kind.found or kind.flips < FIRST or turn % SHARE == 0)

    def try_one(self, kind: Kind, file: str, at: int, bit: int) -> None:
        """One flip, and every use on a copy of its own until one finds it."""
        kind.flips += 1
        wrong = False
        for name, expected in self.outcomes[kind.artefact.name].items():
            folder = self.copy(kind.artefact)
            flip_bit(folder / file, at, bit)
            try:
                with heard() as said:
                    outcome = kind.artefact.uses[name](folder)
            except DarkKnowledgeError as error:
                kind.found[f"{name}: {type(error).__name__}"] += 1
                break
            except Exception as error:
                kind.crashed[f"{name}: {type(error).__name__}"] += 1
                wrong = True
                continue
            if Path(file).name in said.getvalue():
                kind.found[f"{name}: said so and went on"] += 1
                break
            wrong = wrong or outcome != expected
        else:
            kind.unfound += 1
            kind.lines[line_of(kind.artefact.folder / file, at)] += 1
            if len(kind.examples) < SHOWN:
                kind.examples.append(f"{file}, byte {at}, bit {bit}{': a use came to something else' if wrong else ''}")
        kind.silently_wrong += wrong


@contextlib.contextmanager
def heard() -> Any:
    """What is said meanwhile, on the screen and by warnings."""
    said = io.StringIO()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        warnings.simplefilter("always")
        yield said
        said.write("\n".join(str(each.message) for each in warned))


def zero(path: Path) -> None:
    """Keep the size alone."""
    path.write_bytes(bytes(path.stat().st_size))


def flip_bit(path: Path, at: int, bit: int) -> None:
    """Turn one bit around."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def line_of(path: Path, at: int) -> str:
    """In a text, what the line of a byte begins with; in another file, nothing."""
    if path.suffix not in (".json", ".jsonl", ".yaml", ".csv"):
        return "(binary)"
    data = path.read_bytes()
    line = data[data.rfind(b"\n", 0, at) + 1 :].split(b"\n")[0].decode(errors="replace").strip()
    return line.partition(":")[0][:40]
