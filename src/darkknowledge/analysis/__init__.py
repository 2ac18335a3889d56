"""Measurements: pure functions over logits (N, C) and labels (N,), and over the numbers of several runs. Each returns a frozen record.

Batches are concatenated before anything is measured, so that no result depends on their size.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.analysis.accuracy import Accuracy, correct, measure_accuracy, top_k_accuracy
    from darkknowledge.analysis.calibration import Bin, Calibration, brier, ece, equal_mass_bins, equal_width_bins, measure_calibration, nll
    from darkknowledge.analysis.cost import Cost, Latency, count_macs, count_parameters, measure_cost, measure_latency, time_passes
    from darkknowledge.analysis.fidelity import Agreement, Fidelity, measure_fidelity
    from darkknowledge.analysis.gap import GapRecovered, gap_recovered
    from darkknowledge.analysis.significance import (
        Interval,
        McNemar,
        PairedTest,
        Summary,
        bootstrap_interval,
        mcnemar,
        paired_test,
        share_interval,
        summarise,
    )
    from darkknowledge.analysis.temperature import TemperatureFit, fit_temperature

__all__ = [
    "Accuracy",
    "Agreement",
    "Bin",
    "Calibration",
    "Cost",
    "Fidelity",
    "GapRecovered",
    "Interval",
    "Latency",
    "McNemar",
    "PairedTest",
    "Summary",
    "TemperatureFit",
    "bootstrap_interval",
    "brier",
    "correct",
    "count_macs",
    "count_parameters",
    "ece",
    "equal_mass_bins",
    "equal_width_bins",
    "fit_temperature",
    "gap_recovered",
    "mcnemar",
    "measure_accuracy",
    "measure_calibration",
    "measure_cost",
    "measure_fidelity",
    "measure_latency",
    "nll",
    "paired_test",
    "share_interval",
    "summarise",
    "time_passes",
    "top_k_accuracy",
]

_FILES = ("accuracy", "calibration", "cost", "fidelity", "gap", "significance", "temperature")


def __getattr__(name: str) -> Any:
    """A public name, found when it is first asked for: the files import torch, which takes seconds."""
    if name in __all__:
        for file in _FILES:
            module = import_module(f"{__name__}.{file}")
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
