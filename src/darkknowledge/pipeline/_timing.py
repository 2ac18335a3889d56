"""What networks cost in ONNX Runtime, beside what they cost in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from darkknowledge.analysis import Cost, Latency, time_passes
from darkknowledge.analysis.cost import BATCH_SIZES
from darkknowledge.contract import PLAIN, Report
from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.export import OnnxModel, to_onnx
from darkknowledge.model import Network
from darkknowledge.pipeline._shipping import describe


def with_onnx(cost: Cost, networks: Sequence[Network], example: Tensor, report: Report) -> Cost:
    """The same cost with the latencies of ONNX Runtime too, where that is installed and the networks can be written for it; else a line says so."""
    try:
        return replace(cost, latency=(*cost.latency, *onnx_latency(networks, example)))
    except DarkKnowledgeError as error:
        report(f"no latency in ONNX Runtime: {error.what}{f' ({error.fix})' if error.fix else ''}")
        return cost


def onnx_latency(networks: Sequence[Network], example: Tensor, *, seconds: float = 0.5) -> tuple[Latency, ...]:
    """Times of ``networks``, one after another, on ``example`` (1, C, H, W); for each batch size as many ``seconds`` are measured."""
    models = [OnnxModel.of(to_onnx(network, describe(network, pictures=PLAIN, training={})), where="ONNX") for network in networks]

    def forward(inputs: Tensor) -> list[Tensor]:
        return [model(inputs) for model in models]

    return tuple(time_passes(forward, example, batch_size=size, seconds=seconds, runtime="onnxruntime") for size in BATCH_SIZES)
