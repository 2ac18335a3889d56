"""A network as a program of ``torch.export``, which PyTorch loads without this package.

PyTorch's own reader of such files can run code that their author put there: nothing here reads one but that which it has just written.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from darkknowledge.export._description import Description
from darkknowledge.export._onnx import BATCH, translating

METADATA = "darkknowledge.json"
"""The file within the archive that holds the description."""


def to_torch_export(network: nn.Module, description: Description) -> bytes:
    """The file for a network in evaluation mode: pixels (B, C, H, W) in [0, 1] to logits, for any B.

    Raises:
        UsageError: PyTorch cannot translate the network.
    """
    with translating("torch_export"):
        program = torch.export.export(
            network, (torch.zeros(2, *description.input_shape),), dynamic_shapes=({0: torch.export.Dim(BATCH)},), strict=False
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    program.example_inputs = None
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA: json.dumps(description.to_metadata())})
    return file.getvalue()


def read_torch_export(data: bytes) -> Callable[[Tensor], Tensor]:
    """The network in bytes that `to_torch_export` made a moment ago; nobody else's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(data)).module()

    def logits(inputs: Tensor) -> Tensor:
        return module(inputs)  # type: ignore[no-any-return]

    return logits
