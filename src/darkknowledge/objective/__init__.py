"""Formulas: a function per example, and under it the thin module; one file a method.

A formula's function and its file share a name, so functions come from their files, ``from darkknowledge.objective.hinton import hinton``, and
everything else from here.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

CHOICES = {
    "distillation": "darkknowledge.objective.distillation:distillation",
    "hard_label": "darkknowledge.objective.hard_label:HardLabel",
    "hinton": "darkknowledge.objective.hinton:Hinton",
    "logit_matching": "darkknowledge.objective.logit_matching:LogitMatching",
    "mixture": "darkknowledge.objective.mixture:mixture",
    "soft_cross_entropy": "darkknowledge.objective.soft_cross_entropy:SoftCrossEntropy",
}
"""What ``objective.name`` may be on the command line, and what makes it."""

if TYPE_CHECKING:
    from darkknowledge.objective._build import build
    from darkknowledge.objective._gradients import (
        gradient_variance,
        hard_label_gradient,
        high_temperature_gradient,
        soft_target_gradient,
        zero_mean_gradient,
    )
    from darkknowledge.objective._schedule import Constant, Linear, WarmUp, schedule
    from darkknowledge.objective._temperature import effective_classes, entropy, log_soften, soften
    from darkknowledge.objective._term import Term
    from darkknowledge.objective.distillation import DistillationLoss
    from darkknowledge.objective.hard_label import HardLabel
    from darkknowledge.objective.hinton import Hinton
    from darkknowledge.objective.logit_matching import LogitMatching
    from darkknowledge.objective.mixture import Mixture
    from darkknowledge.objective.soft_cross_entropy import SoftCrossEntropy

__all__ = [
    "CHOICES",
    "Constant",
    "DistillationLoss",
    "HardLabel",
    "Hinton",
    "Linear",
    "LogitMatching",
    "Mixture",
    "SoftCrossEntropy",
    "Term",
    "WarmUp",
    "build",
    "effective_classes",
    "entropy",
    "gradient_variance",
    "hard_label_gradient",
    "high_temperature_gradient",
    "log_soften",
    "schedule",
    "soft_target_gradient",
    "soften",
    "zero_mean_gradient",
]

_FILES = {
    "_build": ["build"],
    "_gradients": ["gradient_variance", "hard_label_gradient", "high_temperature_gradient", "soft_target_gradient", "zero_mean_gradient"],
    "_schedule": ["Constant", "Linear", "WarmUp", "schedule"],
    "_temperature": ["effective_classes", "entropy", "log_soften", "soften"],
    "_term": ["Term"],
    "distillation": ["DistillationLoss"],
    "hard_label": ["HardLabel"],
    "hinton": ["Hinton"],
    "logit_matching": ["LogitMatching"],
    "mixture": ["Mixture"],
    "soft_cross_entropy": ["SoftCrossEntropy"],
}
_HOME = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Public names are found when they are asked for: importing torch takes seconds, and listing the choices must not."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
