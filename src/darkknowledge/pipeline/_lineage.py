"""Where a network comes from, for whoever gets it: names, numbers and fingerprints, and no path of the machine on which it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from darkknowledge.pipeline._materials import is_folder
from darkknowledge.pipeline._parts import ModelSettings, ObjectiveSettings, TeacherSettings
from darkknowledge.pipeline._reopening import read_part
from darkknowledge.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Lineage:
    """Names of the teachers, what the Hub calls them, and how the network was trained, by words that a model card shows."""

    teachers: tuple[str, ...]
    base_model: tuple[str, ...]
    training: dict[str, Any]

    @classmethod
    def of(cls, run: RunFolder, *, base_model: str | None, published: bool) -> Self:
        """What a finished run says. ``base_model`` is the teacher's name on the Hub; where the card is ``published`` only such names may stand in it.

        Raises:
            IntegrityError: it says something else than a run does.
        """
        config, record = run.config, run.record
        taught = "teacher_fingerprints" in record or run.transfer_set is not None
        sources = read_part(run, TeacherSettings, "teacher", config.get("teacher") or {}).source if taught else ()
        teachers = tuple(map(_name, sources)) or (("of a recorded transfer set",) if taught else ())
        hub = (base_model,) if base_model else tuple(filter(None, map(_on_the_hub, sources)))
        return cls(teachers, hub if hub or published else tuple(map(_name, sources)), _training(run, config, record))


def _name(source: str | ModelSettings) -> str:
    """A run's folder, without the way to it, or a network by name."""
    if isinstance(source, ModelSettings):
        return source.name
    return Path(source).resolve().name if is_folder(source) else source


def _on_the_hub(source: str | ModelSettings) -> str | None:
    """Where the published weights of timm lie."""
    library, _, name = source.partition(":") if isinstance(source, str) else ("", "", "")
    return f"timm/{name}" if library == "timm" else None


def _training(run: RunFolder, config: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    objective = read_part(run, ObjectiveSettings, "objective", config.get("objective") or {})
    recipe = config.get("training")
    found: dict[str, Any] = {"objective": record.get("objective")}
    found |= {name: getattr(objective, name) for name in ("temperature", "alpha", "hard_weight", "soft_weight")}
    found["steps"], found["seed"] = record.get("steps"), recipe.get("seed") if isinstance(recipe, Mapping) else None
    found["teacher_fingerprints"] = record.get("teacher_fingerprints")
    found["transfer_set_fingerprint"] = None if run.transfer_set is None else run.transfer_set[1]
    found["data_fingerprint"] = record.get("data_fingerprint")
    found["network_fingerprint"] = record.get("model_fingerprint")
    return {name: value for name, value in found.items() if value is not None}
