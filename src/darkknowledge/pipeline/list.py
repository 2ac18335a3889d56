"""``list``: the runs under a folder, as records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.checked_json import read_checked
from darkknowledge.runs.folder import RunFolder, list_runs as find_runs


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run folder in a line. Accuracies lie in [0, 1]; what is not known yet is ``None``."""

    path: Path
    kind: str
    status: str
    started: str
    data: str
    network: str
    seed: int | None
    validation_accuracy: float | None
    test_accuracy: float | None


def list_runs(root: str | Path = "runs") -> list[RunSummary]:
    """The runs under ``root``, oldest first; the networks of a ``run``, and several students, follow theirs. A damaged one is listed as such."""
    found = []
    for run in find_runs(root):
        found += [_summarise(run), *map(_summarise, find_runs(run.path))]
    return found


def _summarise(run: RunFolder) -> RunSummary:
    try:
        return _read(run)
    except (IntegrityError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return RunSummary(run.path, "", "damaged", "", "", "", None, None, None)


def _read(run: RunFolder) -> RunSummary:
    record, config = run.record, run.config
    accuracy = ((record.get("validation") or {}).get("last") or {}).get("accuracy")
    return RunSummary(
        path=run.path,
        kind=record["kind"],
        status=run.status,
        started=record["started"],
        data=str(config["data"]["name"]),
        network=str((config.get("student") or config.get("model") or {}).get("name", "")),
        seed=config["training"]["seed"] if not run.several else None,
        validation_accuracy=None if accuracy is None else float(accuracy),
        test_accuracy=_test_accuracy(run),
    )


def _test_accuracy(run: RunFolder) -> float | None:
    path = run.path / "evaluation-test.json"
    if not path.is_file():
        return None
    return float(read_checked(path)["accuracy"]["top1"])
