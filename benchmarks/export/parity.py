"""Export finished runs in every format, and keep the verdicts: how far the files are from their networks, and what int8 costs and saves.

``python benchmarks/export/parity.py RUN… [root=DATA]`` writes ``results.json`` beside this file. Runs of fewer than 1,000 steps have learned too
little for int8 to be judged by their accuracy; they are exported in float32 alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import darkknowledge
from darkknowledge.analysis import time_passes
from darkknowledge.export import OnnxModel
from darkknowledge.runs.environment import environment
from darkknowledge.runs.files import write_json
from darkknowledge.runs.folder import open_run

RECORD = Path(__file__).with_name("results.json")
LEARNED = 1_000
"""Steps."""
SECONDS = 2.0


def main(words: list[str]) -> None:
    """Measure every run."""
    root = next((word.removeprefix("root=") for word in words if word.startswith("root=")), None)
    torch.set_num_threads(1)
    runs = [_measured(Path(word), root) for word in words if not word.startswith("root=")]
    import onnx
    import onnxruntime

    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    write_json(RECORD, {"environment": environment(), "versions": versions, "runs": runs})


def _measured(path: Path, root: str | None) -> dict[str, Any]:
    run = open_run(path)
    record, config = run.record, run.config
    learned = record["steps"] >= LEARNED
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "export"
        formats = ["onnx", "torch_export", *(["int8"] if learned else [])]
        darkknowledge.export_run(path, formats, out=out, root=root, threads=1)
        verdict = json.loads((out / "verification.json").read_text())
        network = darkknowledge.load(out)
        example = torch.rand(1, *network.spec.input_shape)
        times = {name: _times(OnnxModel.open(out / name, threads=1), example) for name in verdict["files"] if name.endswith(".onnx")}
    print(f"{path.name}: {', '.join(verdict['files'])}")
    model = config.get("student") or config["model"]
    facts = {"network": {key: value for key, value in model.items() if value is not None}, "data": verdict["data"]}
    facts |= {"kind": record["kind"], "steps": record["steps"], "parameters": sum(value.numel() for value in network.body.parameters())}
    return {**facts, "examples": verdict["examples"], "calibration": verdict["calibration"], "files": verdict["files"], "seconds": times}


def _times(model: OnnxModel, example: torch.Tensor) -> dict[str, Any]:
    """Median and quartiles for a batch of 1 and of 256, one thread."""
    found = {size: time_passes(model, example, batch_size=size, seconds=SECONDS, runtime="onnxruntime") for size in (1, 256)}
    return {str(size): [latency.first_quartile, latency.median, latency.third_quartile] for size, latency in found.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
