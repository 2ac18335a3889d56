"""Leaving the house: a student as files that others load, checked against the network that they were made from.

A room of plain bytes and numbers: it knows neither data sets nor runs. ``onnx``, ``onnxscript``, ``onnxruntime`` and ``huggingface_hub`` are
optional, and imported when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.export._card import Card as Card, Result as Result
    from darkknowledge.export._description import Description as Description
    from darkknowledge.export._hub import push as push, require_hub as require_hub
    from darkknowledge.export._int8 import to_int8 as to_int8
    from darkknowledge.export._libraries import require_onnx as require_onnx
    from darkknowledge.export._onnx import to_onnx as to_onnx
    from darkknowledge.export._onnx_model import OnnxModel as OnnxModel
    from darkknowledge.export._parity import TOLERANCE as TOLERANCE, Parity as Parity, compare as compare
    from darkknowledge.export._torch_export import read_torch_export as read_torch_export, to_torch_export as to_torch_export

_HOME = {
    "Card": "_card",
    "Description": "_description",
    "OnnxModel": "_onnx_model",
    "Parity": "_parity",
    "Result": "_card",
    "TOLERANCE": "_parity",
    "compare": "_parity",
    "push": "_hub",
    "read_torch_export": "_torch_export",
    "require_hub": "_hub",
    "require_onnx": "_libraries",
    "to_int8": "_int8",
    "to_onnx": "_onnx",
    "to_torch_export": "_torch_export",
}

__all__ = [
    "TOLERANCE",
    "Card",
    "Description",
    "OnnxModel",
    "Parity",
    "Result",
    "compare",
    "push",
    "read_torch_export",
    "require_hub",
    "require_onnx",
    "to_int8",
    "to_onnx",
    "to_torch_export",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
