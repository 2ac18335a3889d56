"""The libraries that an export may need and that are not installed with the package unless asked for: this is where they are imported."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from darkknowledge.errors import ResourceError

EXTRAS = {"onnx": "export", "onnxscript": "export", "onnxruntime": "export", "huggingface_hub": "hub"}
"""Library to the extra of this package that installs it."""


def library(name: str) -> Any:
    """The module ``name``, which begins with one of `EXTRAS`.

    Raises:
        ResourceError: its library is not installed.
    """
    try:
        module = import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ResourceError(f"{package} is not installed", fix=f'pip install "darkknowledge[{EXTRAS[package]}]"') from error
    if name == "onnxruntime":
        module.set_default_logger_severity(ERROR)
    return module


ERROR = 3
"""From where on ONNX Runtime writes to the terminal: it warns of hardware that is not there, and of files that are faulty in words of its own."""


def require(*names: str) -> None:
    """Look before the work begins; errors as `library`."""
    for name in names:
        library(name)
