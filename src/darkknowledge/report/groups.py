"""Several runs to compare: networks that differ by their seeds alone are a group, and the settings that differ are what the page is about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkknowledge.report.gather import Gathering, fits, on_other_examples
from darkknowledge.report.sections.provenance import common
from darkknowledge.report.story import Network
from darkknowledge.report.text import finite, visible

ASIDE = {
    *("training.seed", "training.log_every", "training.checkpoint_every", "training.threads", "data.root", "data.download", "data.workers"),
    *("teacher.source", "transfer.source"),
}
"""Settings that make no other group: the seed, and what changes no result or only says where something lies."""


@dataclass(frozen=True, slots=True)
class Group:
    """Networks of one kind, ``alone`` or ``distilled``, that differ by their seeds alone; at least one of them was measured."""

    kind: str
    settings: Mapping[str, Any]
    networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """All groups, the names of the settings in which those of a kind differ, the teacher where all have the same, and what was left out."""

    groups: tuple[Group, ...]
    varied: tuple[str, ...]
    teacher: Network | None
    notes: tuple[str, ...]

    def label(self, group: Group) -> str:
        """What makes a group another than the others."""
        values = [f"{said(name)} {told(group.settings[name])}" for name in self.varied if group.settings.get(name) is not None]
        return ", ".join([{"alone": "alone", "distilled": "distilled"}[group.kind], *values])


def groups_of(found: Gathering) -> Groups | None:
    """The groups; None where there is one student alone and one distilled at most, whose story can be told.

    Errors on other test examples are no errors to compare: such networks are left out.
    """
    taught_by = {digest for network in found.distilled for digest in network.taught_by}
    alone = [network for network in found.alone if network.fingerprint not in taught_by]
    networks = [*found.distilled, *alone]
    reference = next((network.answers for network in networks if network.answers), None)
    students = {"alone": alone, "distilled": found.distilled}
    arms = {kind: _grouped(kind, [network for network in arm if fits(network, reference)]) for kind, arm in students.items()}
    if all(len(groups) <= 1 for groups in arms.values()):
        return None
    varied = dict.fromkeys(name for groups in arms.values() for name in _varied(groups))
    measured = [group for groups in arms.values() for group in groups if group.networks]
    teachers = {network.taught_by for network in found.distilled}
    notes = [network.absent for network in networks if network.answers is None]
    notes += [on_other_examples(network) for network in networks if not fits(network, reference)]
    return Groups(
        tuple(sorted(measured, key=lambda group: [group.kind == "distilled", *(_order(group.settings.get(name)) for name in varied)])),
        tuple(varied),
        found.teacher if len(teachers) == 1 else None,
        tuple(dict.fromkeys([*found.notes, *notes])),
    )


def said(name: str) -> str:
    """A setting in words."""
    words = {"objective.alpha": "soft weight", "data.fraction": "share of data", "data.labelled": "share of labels"}
    words |= {"data.name": "data", "network.name": "network", "objective.name": "objective"}
    return words.get(name, visible(name.rpartition(".")[2].replace("_", " "), 40))


def told(value: Any) -> str:
    """A value in a label."""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _grouped(kind: str, networks: Sequence[Network]) -> list[Group]:
    parts: dict[str, tuple[dict[str, Any], dict[Any, Network]]] = {}
    for network in networks:
        settings = _comparable(network)
        _, members = parts.setdefault(json.dumps(settings, sort_keys=True), (settings, {}))
        # The jobs of a grid may each have trained the very same network.
        members.setdefault((network.seed, network.fingerprint or network.path), network)
    return [Group(kind, settings, tuple(one for one in members.values() if one.answers)) for settings, members in parts.values()]


def _comparable(network: Network) -> dict[str, Any]:
    settings = {name: value for name, value in common(network.settings).items() if name not in ASIDE}
    return settings | ({"teacher": " ".join(one[:8] for one in network.taught_by)} if network.taught_by else {})


def _varied(groups: Sequence[Group]) -> list[str]:
    names = dict.fromkeys(name for group in groups for name in group.settings)
    return [name for name in names if len({json.dumps(group.settings.get(name), sort_keys=True) for group in groups}) > 1]


def _order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then everything else by its text."""
    found = finite(value)
    return (1, 0.0, json.dumps(value, sort_keys=True)) if found is None else (0, found, "")
