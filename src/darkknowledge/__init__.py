"""Knowledge distillation for PyTorch: train a teacher, distill a student, see what was learned.

The names below are the public ones. They are imported when they are first asked for, because torch takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.data import Dataset
    from darkknowledge.model import Network
    from darkknowledge.objective import DistillationLoss, Mixture
    from darkknowledge.pipeline._measuring import Evaluation
    from darkknowledge.pipeline._training import Trained
    from darkknowledge.pipeline.distill import distill
    from darkknowledge.pipeline.distill_several import distill_several
    from darkknowledge.pipeline.evaluate import evaluate
    from darkknowledge.pipeline.export import Exported, export_run
    from darkknowledge.pipeline.figure import figure
    from darkknowledge.pipeline.list import list_runs
    from darkknowledge.pipeline.predict import Predictions, load, predict
    from darkknowledge.pipeline.record import record
    from darkknowledge.pipeline.report import make_report
    from darkknowledge.pipeline.run import Comparison, run
    from darkknowledge.pipeline.train import train
    from darkknowledge.teacher import Ensemble, Frozen
    from darkknowledge.training.lightning_module import DistillationModule
    from darkknowledge.training.recipe import Recipe
    from darkknowledge.transfer import TransferSet

__version__ = "0.1.0.dev0"

_HOME = {
    "Comparison": "pipeline.run",
    "Dataset": "data",
    "DistillationLoss": "objective",
    "DistillationModule": "training.lightning_module",
    "Ensemble": "teacher",
    "Evaluation": "pipeline._measuring",
    "Exported": "pipeline.export",
    "Frozen": "teacher",
    "Mixture": "objective",
    "Network": "model",
    "Predictions": "pipeline.predict",
    "Recipe": "training.recipe",
    "Trained": "pipeline._training",
    "TransferSet": "transfer",
    "distill": "pipeline.distill",
    "distill_several": "pipeline.distill_several",
    "evaluate": "pipeline.evaluate",
    "export_run": "pipeline.export",
    "figure": "pipeline.figure",
    "list_runs": "pipeline.list",
    "make_report": "pipeline.report",
    "load": "pipeline.predict",
    "predict": "pipeline.predict",
    "record": "pipeline.record",
    "run": "pipeline.run",
    "train": "pipeline.train",
}

__all__ = [
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


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
