"""The one training loop, on Lightning Fabric, and a Lightning module for people who bring their own trainer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.training.lightning_module import DistillationModule as DistillationModule
    from darkknowledge.training.loop import fit as fit, fit_together as fit_together
    from darkknowledge.training.recipe import Recipe as Recipe
    from darkknowledge.training.student import Fitted as Fitted, Student as Student

_HOME = {
    "DistillationModule": "lightning_module",
    "Fitted": "student",
    "Student": "student",
    "fit": "loop",
    "fit_together": "loop",
    "Recipe": "recipe",
}

__all__ = ["DistillationModule", "Fitted", "Recipe", "Student", "fit", "fit_together"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
