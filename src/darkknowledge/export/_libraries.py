"""The libraries that an export may need and that are not installed with the package unless asked for: this is where they are imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from darkknowledge.errors import ResourceError

ERROR = 3
"""From where on ONNX Runtime writes to the terminal: it warns of hardware that is not there, and of files that are faulty in words of its own."""


def onnx() -> Any:
    """Reading and writing ONNX files.

    Raises:
        ResourceError: it is not installed.
    """
    with _installed_by("export"):
        import onnx
    return onnx


def onnxruntime() -> Any:
    """Running them; errors as `onnx`."""
    with _installed_by("export"):
        import onnxruntime
    onnxruntime.set_default_logger_severity(ERROR)
    return onnxruntime


def quantization() -> Any:
    """Making them of 8 bits; errors as `onnx`."""
    onnxruntime()
    with _installed_by("export"):
        import onnxruntime.quantization as found
    return found


def hub() -> Any:
    """The client of the Hugging Face Hub; errors as `onnx`."""
    with _installed_by("hub"):
        import huggingface_hub
    return huggingface_hub


def require_onnx() -> None:
    """Look before the work begins for all that writing and checking ONNX files needs, PyTorch's own exporter included; errors as `onnx`."""
    onnx()
    onnxruntime()
    with _installed_by("export"):
        import onnxscript  # noqa: F401 — torch.onnx imports it


@contextmanager
def _installed_by(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        raise ResourceError(f"{package} is not installed", fix=f'pip install "darkknowledge[{extra}]"') from error
