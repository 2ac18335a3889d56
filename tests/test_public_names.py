"""The names that users rely on. A change here is a change of the public surface and belongs into the changelog."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import darkknowledge

PUBLIC = [
    "Comparison",
    "Dataset",
    "DistillationLoss",
    "DistillationModule",
    "Ensemble",
    "Evaluation",
    "Exported",
    "Frozen",
    "Mixture",
    "Network",
    "Predictions",
    "Recipe",
    "Trained",
    "TransferSet",
    "__version__",
    "distill",
    "distill_several",
    "evaluate",
    "export_run",
    "figure",
    "list_runs",
    "load",
    "make_report",
    "predict",
    "record",
    "run",
    "train",
]


def test_the_public_names_are_these() -> None:
    assert darkknowledge.__all__ == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "DistillationModule"])
def test_every_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    found = getattr(darkknowledge, name)
    assert found.__doc__


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of lightning's own imports
def test_the_lightning_module_can_be_imported_too() -> None:
    import lightning

    assert issubclass(darkknowledge.DistillationModule, lightning.LightningModule)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'distil'"):
        darkknowledge.distil  # noqa: B018
    with pytest.raises(ImportError):
        exec("from darkknowledge import distil")


ROOMS = [
    "objective",
    "model",
    "data",
    "teacher",
    "transfer",
    "training",
    "analysis",
    "export",
    "pipeline",
    "cli",
    "runs",
    "errors",
    "training.recipe",
    "pipeline.settings",
]


@pytest.mark.parametrize("code", ["import darkknowledge", *(f"import darkknowledge.{room}" for room in ROOMS)])
def test_importing_a_room_imports_no_torch(code: str) -> None:
    heavy = "{'torch', 'lightning_fabric', 'lightning', 'numpy'}"
    script = f"import sys; {code}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["objective", "model", "data", "teacher", "analysis", "training", "export"])
def test_what_a_room_exports_is_there(room: str) -> None:
    module = import_module(f"darkknowledge.{room}")
    for name in set(module.__all__) - {"DistillationModule"}:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_the_same_class_comes_from_the_top_and_from_its_room() -> None:
    from darkknowledge.objective import DistillationLoss

    assert darkknowledge.DistillationLoss is DistillationLoss
