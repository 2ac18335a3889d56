"""The tables of README.md, made from the records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.verdicts import MUST_BE_NONE, Parts, codes, faults_of, interval, numbers

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- made from the records -->", "<!-- until here -->"


def write(results: Path) -> None:
    """Put the tables between the markers of the page."""
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n\n{page_of(results)}\n{END}{after}", encoding="utf-8")


def page_of(results: Path) -> str:
    """A section for each record that is there."""
    sections = []
    for name, (title, table) in SECTIONS.items():
        path = results / f"{name}.json"
        if not path.exists():
            continue
        record = json.loads(path.read_text(encoding="utf-8"))
        faults = faults_of(name, record["results"])
        verdict = "Nothing was found that must not be." if not faults else "\n".join(["What must not be:", "", *(f"- {fault}" for fault in faults)])
        sections.append(f"## {title}\n\n{where(record)}\n\n{table(record['results'])}\n\n{verdict}\n")
    return "\n".join(sections)


def where(record: dict[str, Any]) -> str:
    """On what it ran."""
    place, asked = record["environment"], record["results"]["asked"]
    packages = place["packages"]
    versions = f"Python {place['python']}, torch {packages['torch']}, darkknowledge {packages['darkknowledge']}"
    load = ", ".join(map(str, place["load"]))
    quick = " A quick run, whose numbers mean nothing." if record["quick"] else ""
    return f"{place['processor']}, {place['cores']} cores (load {load}), {place['system']}, {versions}; seed {asked['seed']}.{quick}"


def table_of(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown, numbers with commas."""
    shown = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [list(head), ["---"] * len(head), *shown])


def kills(parts: Parts) -> str:
    """A row for each kind of process."""
    rows = [
        [name, sum(count for phase, count in each["phases"].items() if BUSY.search(phase)), each["kills"]]
        + [each[key] if isinstance(each[key], int) else len(each[key]) for key in MUST_BE_NONE]
        for name, each in parts.items()
        if "kills" in each and "cases" not in each and name != "asked"
    ]
    total = ["**all**", *(sum(row[index] for row in rows) for index in range(1, len(rows[0])))] if rows else []
    killed = table_of(["SIGKILL while", "in the middle of a save or a file", "kills", *MUST_BE_NONE], [*rows, total])
    head = ["disk full while", "cases", "killed as well", "as it filled up", "started while it was full", "after room was made", *MUST_BE_NONE]
    full = [
        [name.removesuffix(", full disk"), each["cases"], each["kills"], *(codes(found) for found in each["exit codes"].values())]
        + [each[key] if isinstance(each[key], int) else len(each[key]) for key in MUST_BE_NONE]
        for name, each in parts.items()
        if "cases" in each
    ]
    places = parts["file systems"]
    hows = {each["how"] for each in parts.values() if "how" in each}
    note = f"On {places['folder']}, TMPDIR elsewhere on {places['TMPDIR elsewhere']}."
    note += f" The full disk: {'; '.join(sorted(hows))}; exit codes, and how often."
    return f"{killed}\n\n{table_of(head, full)}\n\n{note}"


BUSY = re.compile("saving|in the middle")


def flips(parts: Parts) -> str:
    """A row for each kind of file."""
    kinds = {name: each for name, each in parts.items() if name != "asked"}
    rows = [[name, *numbers(each), "yes" if each["used"] else "no", ", ".join(finders(each))] for name, each in kinds.items()]
    sums = [[numbers(each) for each in kinds.values() if each["used"] is used] for used in (True, False)]
    totals = [
        [f"**all that are {word}**", *(sum(column) for column in zip(*some, strict=True)), "", ""]
        for word, some in zip(("used", "not used"), sums, strict=True)
        if some
    ]
    head = [
        "file",
        "flips",
        "found by what uses it",
        "by `dk verify` alone",
        "a crash",
        "not found",
        "a use came to something else",
        "used",
        "by whom",
    ]
    return table_of(head, [*rows, *totals])


def finders(each: Parts) -> Iterator[str]:
    """Who found them."""
    for who, count in {**each["found"], **each["crashed"]}.items():
        yield f"{who} × {count:,}"


def costs(parts: Parts) -> str:
    """A row for each variant beside the one that it is compared with."""
    rows = []
    for name, each in parts.items():
        for other, variants in each.get("ratio to", {}).items():
            rows += [[name, variant, other, interval(found["processor"]), interval(found["wall"])] for variant, found in variants.items()]
    noisy = [name for name, each in parts.items() if "noise" in each and not each["noise"]["quiet"]]
    table = table_of(["", "what", "beside", "processor time", "wall time"], rows)
    rounds = next((each["rounds"] for each in parts.values() if "rounds" in each), 0)
    note = f"Ratios within a round, median and 95 % interval of {rounds} rounds."
    return f"{table}\n\n{note}" + (f" The machine was not quiet for: {'; '.join(noisy)}." if noisy else "")


def resume(parts: Parts) -> str:
    """A row for each way to stop."""
    keys = ("cases", "identical", "refused as busy at first")
    return table_of(["stopped by", *keys], [[name, *(each[key] for key in keys)] for name, each in parts.items() if name != "asked"])


def starts(parts: Parts) -> str:
    """The two parts in lines."""
    rows = [
        [name, key, value if not isinstance(value, dict) else codes(value)]
        for name, each in parts.items()
        if name != "asked"
        for key, value in each.items()
    ]
    return table_of(["", "", ""], [row for row in rows if not isinstance(row[2], list)])


SECTIONS: dict[str, tuple[str, Callable[[Parts], str]]] = {
    "kills": ("Kills and full disks", kills),
    "flips": ("Flipped bits", flips),
    "costs": ("Costs", costs),
    "resume": ("Stopped at every step", resume),
    "starts": ("Starts", starts),
}
