"""``verify``: every byte of a transfer set, of a network, or of what a run keeps, finished or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.checked_json import vouched_for
from darkknowledge.runs.files import MANIFEST, raise_together, verify_digest, verify_files, verify_manifest
from darkknowledge.runs.folder import RunFolder
from darkknowledge.training.checkpoint import saved_states
from darkknowledge.training.metric_files import read_records
from darkknowledge.transfer import TransferSet, verify as verify_set

Look = Callable[[], str]
"""Checks one thing, and says what it is."""


def verify(path: str | Path) -> list[str]:
    """Check what lies at ``path`` against what was noted when it was written; a line for each thing that was found whole.

    Raises:
        UsageError: it is neither a transfer set, nor a run, nor a saved network.
        IntegrityError: something in it is not what was written; every such file is named.
    """
    lines, faults = [], []
    for look in _looks(Path(path)):
        try:
            lines.append(look())
        except IntegrityError as error:
            faults.append(error)
    raise_together(faults)
    return lines


def _looks(path: Path) -> Iterator[Look]:
    if (path / "run.json").is_file():
        yield from _looks_at_run(path)
    elif (path / "config.json").is_file():
        yield partial(_network, path)
    else:
        yield partial(_transfer_set, path)


def _looks_at_run(path: Path) -> Iterator[Look]:
    yield partial(_run, RunFolder(path))
    for name in ("model", "best", "export"):
        # Without its manifest it was being written when the run was stopped, and will be written again.
        if (path / name / MANIFEST).is_file() or (_finished(path) and (name == "model" or (path / name).exists())):
            yield partial(_network, path / name)
    yield from (partial(_state, state) for state in saved_states(path / "checkpoint"))
    yield from (partial(_numbers, file) for file in sorted([*path.glob("evaluation-*.json"), *path.glob("comparison.json")]))
    yield from (partial(_transfer_set, manifest.parent) for manifest in sorted(path.glob(f"transfer/*/{MANIFEST}")))
    for record in sorted(path.glob("*/run.json")):
        if not record.parent.is_symlink():  # what lies elsewhere is not the run's, and may be the run itself
            yield from _looks_at_run(record.parent)


def _finished(path: Path) -> bool:
    """Whether a network was trained to its end."""
    try:
        return RunFolder(path).finished and RunFolder(path).record["kind"] in ("train", "distill")
    except IntegrityError:  # which is told by itself
        return False


def _run(run: RunFolder) -> str:
    run.verify()
    lines = len(read_records(run.path / "metrics.jsonl"))
    return f"{run.path}: a run that is {run.status}, with {lines:,} lines of metrics"


def _network(path: Path) -> str:
    verify_manifest(path, required=("config.json", "model.safetensors"))
    return f"{path}: a network, every byte as it was written"


def _state(path: Path) -> str:
    try:
        verify_digest(path)
    except IntegrityError:
        if path.exists():
            raise
        return f"{path}: a training state that newer ones have replaced meanwhile"
    return f"{path}: a training state, every byte as it was written"


def _numbers(path: Path) -> str:
    verify_files(path.parent, vouched_for(path))
    return f"{path}: numbers as they were written"


def _transfer_set(path: Path) -> str:
    verify_set(path)
    return f"{path}: a transfer set of {len(TransferSet.open(path)):,} rows, every byte as it was written"
