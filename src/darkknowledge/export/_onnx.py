"""A network as one ONNX file: pixels in [0, 1] to logits, normalisation inside, any number of pictures at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
from torch import nn

from darkknowledge.errors import UsageError
from darkknowledge.export._description import Description
from darkknowledge.export._libraries import onnx, require_onnx

INPUT, OUTPUT, BATCH = "pixels", "logits", "batch"
"""Names in the graph: ``pixels`` (batch, C, H, W) float32 in [0, 1], ``logits`` (batch, classes) float32."""
LARGEST = (1 << 31) - (1 << 20)
"""Bytes of weights that one file can hold: its format ends at 2 GiB, of which the graph needs a little."""


def to_onnx(network: nn.Module, description: Description) -> bytes:
    """The file for a network in evaluation mode, which takes (B, C, H, W) to logits (B, classes).

    Raises:
        ResourceError: onnx, onnxscript or onnxruntime is not installed.
        UsageError: the weights are too large for one file, or PyTorch cannot translate the network.
    """
    require_onnx()
    _refuse_large(network)
    shape = description.input_shape
    with translating("ONNX"):
        program = torch.onnx.export(
            network,
            (torch.zeros(2, *shape),),  # a batch of one would be taken for a constant
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim(BATCH)},),
        )
    assert program is not None
    return finished(program.model_proto, description)


@contextmanager
def translating(form: str) -> Iterator[None]:
    """PyTorch writes a network in a form, without its warnings about its own future: what is made is compared with the network.

    Raises:
        UsageError: it cannot; the reason is the first one of all that its errors name.
    """
    try:
        # Of what it cannot translate it prints the graph.
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # whatever the network's operators make it raise
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        reason = (str(first).strip().splitlines() or [type(first).__name__])[0]
        fix = "export format=safetensors, which holds every network"
        raise UsageError(f"PyTorch cannot write the network as {form}: {reason}", fix=fix) from error


def finished(model: Any, description: Description) -> bytes:
    """The bytes of a model that says what it is, and nothing of the machine on which it was made."""
    for node in model.graph.node:  # the exporter leaves the paths and lines of the program that it translated
        del node.metadata_props[:]
        node.doc_string = ""
    for part in (model.graph, *model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx().helper.set_model_props(model, description.to_metadata())
    onnx().checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _refuse_large(network: nn.Module) -> None:
    size = sum(value.nbytes for value in network.state_dict().values())
    if size > LARGEST:
        raise UsageError(
            f"the network has {size / 1e9:.1f} GB of weights, and one ONNX file holds 2 GB",
            why="in several files, each must be found again by the path of the others",
            fix="export format=safetensors or torch_export",
        )
