"""The same ONNX file with weights and activations of 8 bits, by ONNX Runtime's static quantisation."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from darkknowledge.errors import UsageError
from darkknowledge.export._description import Description
from darkknowledge.export._libraries import onnx, quantization
from darkknowledge.export._onnx import INPUT, finished


def to_int8(data: bytes, description: Description, batches: Iterable[Tensor]) -> bytes:
    """The file ``data``, quantised; the range of every activation is that on the pictures of ``batches`` (B, C, H, W), which are training pictures.

    Raises:
        ResourceError: onnx or onnxruntime is not installed.
        UsageError: the quantiser cannot handle the network.
    """
    quantizer, load = quantization(), onnx().load_model_from_string
    with tempfile.TemporaryDirectory() as folder, _quiet():
        whole, prepared, small = (Path(folder) / name for name in ("whole.onnx", "prepared.onnx", "small.onnx"))
        whole.write_bytes(data)
        try:
            quantizer.quant_pre_process(str(whole), str(prepared))
            quantizer.quantize_static(
                str(prepared),
                str(small),
                _Reader(batches),
                quant_format=quantizer.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantizer.QuantType.QInt8,
                weight_type=quantizer.QuantType.QInt8,
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
            )
        except Exception as error:  # the quantiser raises whatever it meets in a graph
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UsageError(f"ONNX Runtime cannot quantise the network: {reason}", fix="export format=onnx") from error
        return finished(load(small.read_bytes()), description)


class _Reader:
    """What the quantiser asks for its pictures."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self._batches: Iterator[Tensor] = iter(batches)

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> dict[str, Any]:
        return {INPUT: next(self._batches).contiguous().numpy()}

    def get_next(self) -> dict[str, Any] | None:
        return next(self, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which goes to the root logger and to the warnings."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
