"""``verify``: every byte of a transfer set, or of the networks that a run kept."""

from __future__ import annotations

from pathlib import Path

from darkknowledge.errors import UsageError
from darkknowledge.runs.files import MANIFEST, verify_manifest
from darkknowledge.runs.folder import open_run
from darkknowledge.transfer import TransferSet
from darkknowledge.transfer import verify as verify_set

_NETWORKS = ("model", "best")


def verify(path: str | Path) -> list[str]:
    """Check the folder at ``path`` against its manifest, and what its files say against each other; a line for each thing that was found whole.

    Raises:
        UsageError: it is neither a transfer set, nor a run, nor a saved network.
        IntegrityError: something in it is not what was written; every such file is named.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        return _verify_run(path)
    if (path / "config.json").is_file():
        verify_manifest(path, required=("config.json", "model.safetensors"))
        return [f"{path}: a network, every byte as it was written"]
    verify_set(path)
    found = TransferSet.open(path)
    return [f"{path}: a transfer set of {len(found):,} rows, every byte as it was written"]


def _verify_run(path: Path) -> list[str]:
    kept = [path / name for name in _NETWORKS if (path / name / MANIFEST).is_file()]
    sets = sorted(manifest.parent for manifest in path.glob(f"transfer/*/{MANIFEST}"))
    if not kept and not sets:
        open_run(path)  # refuses a run that is not finished
        raise UsageError(f"{path} keeps no network of its own", fix="verify the runs inside it: dk list shows them")
    return [line for part in (*kept, *sets) for line in verify(part)]
