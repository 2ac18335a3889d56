"""Where all of this comes from: settings and their differences, fingerprints, versions, seeds, time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from darkknowledge.report.content import Block, Listing, Note, Section, Table
from darkknowledge.report.story import Network, Story, flat, setting
from darkknowledge.report.text import NOTHING, finite, number, visible

TITLE = "Provenance"
LONGEST = 300
PARTS = {"model": "network", "student": "network"}


def provenance(story: Story) -> Section:
    """The section."""
    networks = [*story.teachers, *story.alone, *story.distilled]
    arms = [("teacher", story.teachers[:1]), ("student alone", story.alone[:1]), ("student distilled", story.distilled[:1])]
    blocks: list[Block] = [
        Table("The runs", ["run", "seed", "steps", "seconds", "started", "device", "weights’ fingerprint"], [_run(one) for one in networks])
    ]
    chosen = [(name, found[0]) for name, found in arms if found]
    blocks.append(differences("Settings in which the networks differ", [(name, common(one.settings)) for name, one in chosen]))
    blocks.append(Table("What they rest on", ["", ""], _facts(story, networks)))
    blocks += [Listing(f"every setting of {visible(one.name)}", listing(one.settings)) for _, one in chosen]
    blocks += [Note(f"Could not be read: {visible(note, LONGEST)}.") for note in story.notes]
    return Section("provenance", TITLE, "", blocks)


def common(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run by dotted name, the network’s under one name whether it taught or learned; without where the run lies."""
    found = {}
    for name, value in flat(settings).items():
        head, _, rest = name.partition(".")
        found[f"{PARTS.get(head, head)}.{rest}" if rest else name] = value
    return {
        name: value
        for name, value in found.items()
        if name not in ("out", "resume", "plugins", "resume_changes", "students") and not name.startswith("logging.")
    }


def differences(caption: str, settings: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """A table of the settings that are not the same for all, a column each."""
    names = dict.fromkeys(name for _, found in settings for name in found)
    rows = []
    for name in names:
        values = [written(found[name]) if name in found else "–" for _, found in settings]
        if len(set(values)) > 1 and not set(values) <= {"–", "null"}:
            rows.append([visible(name), *values])
    return Table(caption, ["setting", *(visible(name) for name, _ in settings)], rows)


def written(value: Any, longest: int = 80) -> str:
    """A setting in a cell."""
    return visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), longest)


def listing(settings: Mapping[str, Any]) -> str:
    """Every setting, one a line."""
    return "\n".join(
        f"{visible(name)}: {visible(value if isinstance(value, str) else json.dumps(value), LONGEST)}" for name, value in flat(settings).items()
    )


def _run(network: Network) -> list[str]:
    record = network.record
    return [
        visible(network.name),
        NOTHING if network.seed is None else str(network.seed),
        f"{record['steps']:,}" if isinstance(record.get("steps"), int) else NOTHING,
        number(finite(record.get("seconds")), 1),
        visible(record.get("started", NOTHING)),
        visible(record.get("device", NOTHING)),
        visible(network.fingerprint[:16] or NOTHING),
    ]


def _facts(story: Story, networks: Sequence[Network]) -> list[list[str]]:
    first = (story.distilled or story.alone or story.teachers)[0]
    machine, packages = first.environment, first.environment.get("packages")
    versions = ", ".join(f"{name} {version}" for name, version in packages.items()) if isinstance(packages, Mapping) else NOTHING
    total = sum(finite(one.record.get("seconds")) or 0.0 for one in networks)
    facts = [
        ("data", story.data or setting(first.settings, "data.name") or NOTHING),
        ("data’s fingerprint", str(first.record.get("data_fingerprint", NOTHING))[:32]),
        ("objective", next((one.record.get("objective") for one in story.distilled), None) or first.record.get("objective", NOTHING)),
        ("transfer set", setting(first.record, "transfer.path") or NOTHING),
        ("transfer set’s fingerprint", str(setting(first.record, "transfer.sha256") or NOTHING)[:32]),
        ("training in all", f"{number(total, 1)} s (networks: {len(networks)})"),
        ("machine", f"{machine.get('processor', NOTHING)}, cores: {machine.get('cores', NOTHING)}, threads: {machine.get('threads', NOTHING)}"),
        ("accelerator", machine.get("accelerator") or "none"),
        ("system", f"{machine.get('system', NOTHING)}, Python {machine.get('python', NOTHING)}"),
        ("versions", versions),
        ("command", first.record.get("command", NOTHING)),
    ]
    return [[name, visible(value, LONGEST)] for name, value in facts]
