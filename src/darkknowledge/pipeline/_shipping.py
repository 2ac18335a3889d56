"""What an exported folder is filled with: the files, the verdict on each, and the card that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge import export as export_room, model as model_room
from darkknowledge.analysis import measure_accuracy, share_interval
from darkknowledge.contract import Examples
from darkknowledge.data import Dataset
from darkknowledge.errors import IntegrityError
from darkknowledge.export import Card, Description, OnnxModel, Parity, Result
from darkknowledge.model import Network
from darkknowledge.pipeline._lineage import Lineage
from darkknowledge.pipeline.settings import ExportSettings
from darkknowledge.report.answers import kept_answers
from darkknowledge.runs.files import Written, verify_files, write_bytes, write_json, write_manifest, write_text
from darkknowledge.runs.folder import RunFolder
from darkknowledge.teacher import Frozen

WEIGHTS, ONNX, PROGRAM, INT8 = "model.safetensors", "model.onnx", "model.pt2", "model-int8.onnx"

SAME = 0.01
"""Of the largest logit: less is another device or another order of sums, more are other pictures."""

Logits = Callable[[Tensor], Tensor]


def fill(folder: Path, run: RunFolder, network: Network, data: Dataset, settings: ExportSettings) -> tuple[Result, ...]:
    """Write every file, check them all, and say so in the card; the manifest comes last. The results begin with those of the weights.

    Raises:
        IntegrityError: a file is not read back as it was written, or computes something else than the network.
    """
    examples, lineage = data.open_test(), Lineage.of(run, base_model=settings.base_model, published=settings.push_to is not None)
    description = describe(network, pictures=examples.transform, training=lineage.training)
    written = model_room.write(network, folder, notes={"pictures": description.pictures, "training": description.training})
    write_manifest(folder, written)  # without one nobody would read the weights back
    files: dict[str, Logits] = {WEIGHTS: model_room.load(folder, plugins=settings.plugins)}
    for name, made in _made(network, description, data, settings).items():
        written[name] = write_bytes(folder / name, made)
        files[name] = _read_back(folder, name, written[name])
    parities = _checked(network, files, examples, settings)
    if settings.weights == "last":
        _require_measured(run, parities[WEIGHTS].reference, examples)
    results = tuple(_result(name, parity, examples.labels, written[name].bytes) for name, parity in parities.items())
    card = Card(
        name=run.path.resolve().name,
        description=description,
        data=data.name,
        teachers=lineage.teachers,
        base_model=lineage.base_model,
        parameters=sum(parameter.numel() for parameter in network.body.parameters()),
        results=results,
        versions=_versions(settings),
    )
    written["verification.json"] = write_json(folder / "verification.json", _verification(card, data, settings))
    written["README.md"] = write_text(folder / "README.md", card.text())
    write_manifest(folder, written)
    return results


def with_onnx(settings: ExportSettings) -> bool:
    """Whether an ONNX file is made, be it that of 8 bits alone."""
    return bool({"onnx", "int8"} & set(settings.format))


def describe(network: Network, *, pictures: str, training: dict[str, Any]) -> Description:
    """What an exported file says of itself."""
    spec, seen = network.spec, network.preprocessing
    return Description(spec.class_names, spec.input_shape, seen.mean, seen.std, seen.size, pictures, training)


def _made(network: Network, description: Description, data: Dataset, settings: ExportSettings) -> dict[str, bytes]:
    """The files beside the weights, by name; the one of 8 bits is made of that of float32, whether that is kept or not."""
    made: dict[str, bytes] = {}
    if "torch_export" in settings.format:
        made[PROGRAM] = export_room.to_torch_export(network, description)
    if with_onnx(settings):
        onnx = export_room.to_onnx(network, description)
        if "onnx" in settings.format:
            made[ONNX] = onnx
        if "int8" in settings.format:
            positions = _spread(len(data.train), settings.calibration)
            batches = (batch.inputs for batch in shown(data.train, positions, 64))
            made[INT8] = export_room.to_int8(onnx, description, batches)
    return made


def _spread(examples: int, count: int) -> Tensor:
    """Positions of ``count`` examples, evenly over all of them."""
    return torch.linspace(0, examples - 1, min(count, examples)).round().long()


def shown(examples: Examples, positions: Tensor, batch_size: int) -> Iterator[Any]:
    """The plain pictures at these positions."""
    return examples.batches(positions, batch_size=batch_size, views=None)


def _read_back(folder: Path, name: str, written: Written) -> Logits:
    """What the file computes, after it was read from the disk and found to be the one that was written."""
    verify_files(folder, {name: written})
    if name == PROGRAM:
        return export_room.read_torch_export((folder / name).read_bytes())
    return OnnxModel.open(folder / name)


def _checked(network: Network, files: Mapping[str, Logits], examples: Examples, settings: ExportSettings) -> dict[str, Parity]:
    """Every file beside the network on all the examples; those of float32 must compute the same."""
    # Convolutions may be computed in another order for every layout of the memory, so the reference is the network as `evaluate` asks it.
    reference = Frozen(network, network.spec.class_names).networks[0]
    batches = (batch.inputs for batch in shown(examples, torch.arange(len(examples)), settings.batch_size))
    parities = export_room.compare(reference, files, batches)
    for name, parity in parities.items():
        if name != INT8:
            parity.check(name)
    return parities


def _require_measured(run: RunFolder, answers: Tensor, examples: Examples) -> None:
    """Where the network was measured before, its answers are those that were kept: a run knows its training data, and not its test split.

    Raises:
        IntegrityError: they are not.
    """
    if not (run.path / "evaluation-test.json").is_file():
        return
    kept = kept_answers(run.path, split="test")
    if not (kept.ids.equal(examples.ids) and kept.labels.equal(examples.labels) and Parity(kept.logits, answers).difference <= SAME):
        raise IntegrityError(
            f"{run.path} was measured on another test split",
            why="the card would tell of pictures that the numbers of the run are not from",
            fix=f"point root=… at the data of the run, or measure it anew: dk evaluate run={run.path}",
        )


def _result(name: str, parity: Parity, labels: Tensor, size: int) -> Result:
    found = measure_accuracy(parity.found, labels)
    interval = share_interval(found.examples - found.errors, found.examples)
    return Result(name, size, found.errors, found.examples, (interval.low, interval.high), parity.difference, parity.same_class)


def _versions(settings: ExportSettings) -> dict[str, str]:
    """Of what made and checked the files."""
    libraries = ("onnx", "onnxscript", "onnxruntime") if with_onnx(settings) else ()
    return {name: version(name) for name in ("darkknowledge", "torch", *libraries)}


def _verification(card: Card, data: Dataset, settings: ExportSettings) -> dict[str, Any]:
    """The verdict on every file, in numbers."""
    files = {
        result.file: {
            "bytes": result.bytes,
            "errors": result.errors,
            "accuracy": result.accuracy,
            "interval": list(result.interval),
            "largest_difference": result.difference,
            "same_class": result.same_class,
        }
        for result in card.results
    }
    calibration = {"split": "train", "pictures": min(settings.calibration, len(data.train)), "method": "minimum and maximum"}
    return {
        "data": card.data,
        "data_fingerprint": data.fingerprint,
        "split": "test",
        "examples": card.results[0].examples,
        "tolerance": export_room.TOLERANCE,
        "files": files,
        "calibration": calibration if "int8" in settings.format else None,
        "versions": dict(card.versions),
    }
