"""An ONNX file, read with distrust and run by ONNX Runtime on the processor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge.errors import IntegrityError
from darkknowledge.export._description import Description
from darkknowledge.export._libraries import onnx, onnxruntime
from darkknowledge.export._onnx import BATCH, INPUT, OUTPUT
from darkknowledge.runs.files import require_modest

LARGEST = 1 << 31
"""Bytes of a file at most."""
OWN = ("", "ai.onnx")
"""Domains whose operators only compute."""
MADE_BY_EXPORT = "use a file that dk export made"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """What a file computes, and what it says that it is."""

    description: Description
    session: Any

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None) -> OnnxModel:
        """The model in a file; errors as `of`."""
        try:
            require_modest(path, largest=LARGEST)
            data = path.read_bytes()
        except OSError as error:
            raise IntegrityError(f"{path.name} cannot be read: {error.strerror}", where=str(path), fix="check the path") from error
        except ValueError as error:
            raise IntegrityError(f"{path.name} is no ONNX file: {error}", where=str(path), fix=MADE_BY_EXPORT) from error
        return cls.of(data, where=str(path), threads=threads)

    @classmethod
    def of(cls, data: bytes, *, where: str, threads: int | None = None) -> OnnxModel:
        """The model in the bytes of a file. ``threads`` are as many as torch has unless told otherwise.

        Raises:
            ResourceError: onnx or onnxruntime is not installed.
            IntegrityError: it is no such file, has weights elsewhere, operators that do more than compute, or other inputs and outputs than it says.
        """
        model = _parsed(data, where)
        _refuse_outside(model, where)
        found = cls(Description.from_metadata({each.key: each.value for each in model.metadata_props}, where=where), _session(data, where, threads))
        found._check(where)
        return found

    def __call__(self, inputs: Tensor) -> Tensor:
        """Logits (B, classes) float32 of pixels (B, C, H, W) in [0, 1]."""
        (logits,) = self.session.run([OUTPUT], {INPUT: inputs.contiguous().float().numpy()})
        return torch.from_numpy(logits)

    def _check(self, where: str) -> None:
        """Refuse a graph that is not what its description says."""
        expected = (INPUT, [BATCH, *self.description.input_shape]), (OUTPUT, [BATCH, len(self.description.class_names)])
        found = [[(each.name, each.shape) for each in side] for side in (self.session.get_inputs(), self.session.get_outputs())]
        if found != [[expected[0]], [expected[1]]]:
            why = f"it takes and gives {found}, and its description says {list(expected)}"
            raise IntegrityError("the file is not what it says", where=where, why=why, fix=MADE_BY_EXPORT)


def _parsed(data: bytes, where: str) -> Any:
    load = onnx().load_model_from_string
    try:
        return load(data)
    except Exception as error:  # protobuf has errors of its own
        raise IntegrityError(f"the file is no ONNX model: {error}", where=where, fix=MADE_BY_EXPORT) from error


def _refuse_outside(model: Any, where: str) -> None:
    """Refuse whatever would be read from other files, or be run by other code.

    Weights in another file are named by a path, which may lead anywhere; operators of other domains may read files of their own.
    """
    for message in _messages(model):
        kind = message.DESCRIPTOR.name
        if kind == "TensorProto" and (message.external_data or message.data_location):
            what = f"its weights {message.name!r} lie in another file"
        elif kind == "NodeProto" and message.domain not in OWN:
            what = f"it has the operator {message.op_type!r} of the domain {message.domain!r}"
        else:
            continue
        raise IntegrityError("the ONNX file does not stand for itself", where=where, why=what, fix=MADE_BY_EXPORT)


def _messages(message: Any) -> Iterator[Any]:
    """A message of protobuf and all that lie in it, however deep: graphs lie in nodes, and tensors in their attributes."""
    yield message
    for _, value in message.ListFields():
        for part in (value,) if hasattr(value, "ListFields") else value if hasattr(value, "MergeFrom") else ():
            if hasattr(part, "ListFields"):
                yield from _messages(part)


def _session(data: bytes, where: str, threads: int | None) -> Any:
    runtime = onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or torch.get_num_threads(), 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        reason = str(error).partition("\n")[0]
        raise IntegrityError(f"ONNX Runtime cannot read the file: {reason}", where=where, fix=MADE_BY_EXPORT) from error
