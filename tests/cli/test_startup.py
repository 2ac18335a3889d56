"""A mistake must not cost the seconds that torch takes to import. Measured times are in benchmarks/startup."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
sys.modules["torchmetrics"] = None  # Fabric imports it where it is installed; it is no dependency of ours
from darkknowledge.cli.main import main
code = main({words!r})
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


def modules(*words: str, code: int) -> set[str]:
    """What a command imported that ended with this exit code."""
    done = subprocess.run([sys.executable, "-c", PROBE.format(words=words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def processor_seconds(*words: str) -> float:
    """Processor time of a command in a process of its own, the best of three: others on the machine do not count, and caches are warm."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "darkknowledge.cli.main", *words], capture_output=True, check=False, env={**os.environ, "COLUMNS": "80"}
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["tran"], 2),
        (["run", "objective.temperatur=2"], 2),
        (["distill", "objective.temperature=-1"], 2),
        (["train", "--cfg", "job"], 0),
        (["list", "root=nowhere"], 0),
    ],
)
def test_help_and_a_mistake_import_nothing_slow(words: list[str], code: int) -> None:
    assert (
        modules(*words, code=code) & {"torch", "lightning_fabric", "lightning", "numpy", "timm", "torchvision", "sklearn", "wandb", "pandas"} == set()
    )


def test_help_imports_neither_hydra_nor_pydantic() -> None:
    assert modules("--help", code=0) & {"hydra", "omegaconf", "pydantic", "rich"} == set()


def test_an_unknown_key_is_found_without_pydantic() -> None:
    assert modules("run", "objective.temperatur=2", code=2) & {"pydantic", "rich"} == set()


@pytest.mark.parametrize(("words", "limit"), [(["--help"], 0.3), (["run", "objective.temperatur=2"], 1.2), (["run", "seeds=0"], 1.5)])
def test_help_and_a_mistake_take_no_time(words: list[str], limit: float) -> None:
    """Twice what a quiet core takes, for slower and busier machines; importing torch alone would break every limit."""
    assert processor_seconds(*words) < limit


def test_missing_data_are_found_without_lightning(tmp_path: Path) -> None:
    imported = modules("train", "data=mnist", f"data.root={tmp_path}/nowhere", f"out={tmp_path}/run", code=3)
    assert "torch" in imported
    assert imported & {"lightning_fabric", "lightning", "timm", "torchvision", "wandb", "sklearn"} == set()
