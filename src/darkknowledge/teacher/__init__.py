"""Who answers: a frozen network, an ensemble of teachers; and what is checked about them before the first step."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.teacher._examination import Examination, examine, verdict
    from darkknowledge.teacher._pairing import check_pairing
    from darkknowledge.teacher.ensemble import Ensemble
    from darkknowledge.teacher.frozen import Frozen

__all__ = ["CHOICES", "Ensemble", "Examination", "Frozen", "check_pairing", "examine", "verdict"]

CHOICES = {
    "ensemble": "darkknowledge.teacher.ensemble:Ensemble",
    "frozen": "darkknowledge.teacher.frozen:Frozen",
}

_FILES = ("_pairing", "frozen", "ensemble", "_examination")


def __getattr__(name: str) -> Any:
    """A public name, found when it is first asked for: the files import torch, which takes seconds."""
    if name in __all__:
        for file in _FILES:
            module = import_module(f"{__name__}.{file}")
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
