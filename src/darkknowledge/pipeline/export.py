"""``export``: a finished run's network as files that others load, each of them checked on the whole test split before the folder appears."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge import export as export_room
from darkknowledge import model as model_room
from darkknowledge.analysis import measure_accuracy, share_interval
from darkknowledge.contract import Examples, Report
from darkknowledge.data import Dataset
from darkknowledge.errors import UsageError
from darkknowledge.export import Card, Description, OnnxModel, Parity, Result
from darkknowledge.model import Network
from darkknowledge.pipeline._lineage import Lineage
from darkknowledge.pipeline._materials import model_folder
from darkknowledge.pipeline._reopening import data_of, require_same_data
from darkknowledge.pipeline.settings import ExportSettings, validate
from darkknowledge.runs.files import Written, flush_folder, storage_error, verify_files, write_bytes, write_json, write_manifest, write_text
from darkknowledge.runs.folder import RunFolder, open_run
from darkknowledge.teacher import Frozen, check_pairing
from darkknowledge.training.signals import stoppable
from darkknowledge.training.threads import threads_restored, use_threads

WEIGHTS, ONNX, PROGRAM, INT8 = "model.safetensors", "model.onnx", "model.pt2", "model-int8.onnx"
FILES = {"safetensors": WEIGHTS, "onnx": ONNX, "torch_export": PROGRAM, "int8": INT8}
"""What each format is called in the folder."""

Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Exported:
    """The folder that was made, the results of its files on the test split, beginning with the network's own, and where it was pushed to."""

    path: Path
    results: tuple[Result, ...]
    address: str | None = None


def export_run(
    run: str | Path,
    format: str | Sequence[str] = "onnx",
    *,
    out: str | Path | None = None,
    weights: str = "last",
    data: Dataset | None = None,
    root: str | Path | None = None,
    calibration: int = 512,
    base_model: str | None = None,
    push_to: str | None = None,
    batch_size: int = 256,
    threads: int | None = None,
    plugins: tuple[str, ...] = (),
) -> Exported:
    """Write a finished run's network, alone and without its teacher, as files that others load, each checked against it on the whole test split.

    The folder has the shape of the Hugging Face Hub: ``model.safetensors``, ``config.json``, ``README.md`` (a model card), ``verification.json`` and
    a manifest, and ``model.onnx``, ``model.pt2`` or ``model-int8.onnx`` as asked for. It appears when everything in it is checked, or not at all.

    Args:
        run: a run folder.
        format: ``safetensors``, ``onnx``, ``torch_export``, ``int8``, or several of them; the first is always there.
        out: the folder to make; by default ``export`` in the run.
        weights: of the ``last`` epoch or of the ``best`` on validation.
        data: the data set, for a run that was given a ready one.
        root: where the data lies now, when it is not where the run found it.
        calibration: training pictures from which ``int8`` takes the ranges of its activations.
        base_model: the teacher's name on the Hub, for the model card.
        push_to: ``user/name`` on the Hugging Face Hub; nothing is sent without it.
        batch_size: pictures that are asked about at a time.
        threads: for torch and ONNX Runtime.
        plugins: modules whose classes may be imported when the run names one.

    Raises:
        IntegrityError: a file computes something else than the network.
        DarkKnowledgeError: what the class says.

    Example::

        exported = darkknowledge.export_run("runs/student", ["onnx", "int8"])
        network = darkknowledge.load(exported.path)
    """
    values: dict[str, Any] = {"run": run, "format": format, "out": out, "weights": weights, "root": root, "calibration": calibration}
    values |= {"base_model": base_model, "push_to": push_to, "batch_size": batch_size, "threads": threads, "plugins": plugins}
    return export_from(validate(ExportSettings, values), data=data, report=lambda line: None)


@stoppable()
@threads_restored()
def export_from(settings: ExportSettings, *, data: Dataset | None = None, report: Report) -> Exported:
    """`export_run` with checked settings."""
    use_threads(settings.threads)
    out = target(settings)
    if _with_onnx(settings):
        export_room.require_onnx()
    if settings.push_to is not None:
        export_room.require_hub()
    run = open_run(settings.run)
    network = model_room.load(model_folder(run.path, weights=settings.weights), plugins=settings.plugins)
    found = data or data_of(run, settings)
    require_same_data(run, found)
    check_pairing(network.spec.class_names, found.class_names)
    report(f"checking on the test split of {found.name}")
    with _appearing(out) as folder:
        results = _fill(folder, run, network, found, settings)
    address = None if settings.push_to is None else export_room.push(out, settings.push_to)
    return Exported(out, results, address)


def _with_onnx(settings: ExportSettings) -> bool:
    return bool({"onnx", "int8"} & set(settings.format))


def target(settings: ExportSettings) -> Path:
    """The folder to make.

    Raises:
        UsageError: it is there.
    """
    out = settings.out or settings.run / "export"
    if os.path.lexists(out):
        raise UsageError(
            f"{out} exists", where=str(out), why="an export never writes over files", fix="choose another folder with out=…, or remove it"
        )
    return out


@contextmanager
def _appearing(out: Path) -> Iterator[Path]:
    """A folder to fill, that gets its name when it is full, and goes when filling it fails."""
    folder = out.with_name(f".{out.name}.partial-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        folder.mkdir(parents=True)
        yield folder
        flush_folder(folder)
        folder.rename(out)
        flush_folder(out.parent)
    except OSError as error:
        raise storage_error(error, out) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fill(folder: Path, run: RunFolder, network: Network, data: Dataset, settings: ExportSettings) -> tuple[Result, ...]:
    """Write every file, check them all, and say so in the card; the manifest comes last."""
    examples, lineage = data.open_test(), Lineage.of(run, base_model=settings.base_model, published=settings.push_to is not None)
    description = describe(network, pictures=examples.transform, training=lineage.training)
    notes = {"pictures": description.pictures, "training": description.training}
    written = model_room.write(network, folder, notes=notes)
    write_manifest(folder, written)  # without one nobody would read the weights back
    files: dict[str, Logits] = {WEIGHTS: model_room.load(folder, plugins=settings.plugins)}
    for name, made in _made(network, description, data, settings).items():
        written[name] = write_bytes(folder / name, made)
        files[name] = _read_back(folder, name, written[name])
    # Convolutions may be computed in another order for every layout of the memory, so the reference is the network as `evaluate` asks it.
    batches = (batch.inputs for batch in shown(examples, torch.arange(len(examples)), settings.batch_size))
    reference = Frozen(network, data.class_names).networks[0]
    parities = export_room.compare(reference, files, batches)
    for name, parity in parities.items():
        if name != INT8:
            parity.check(name)
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


def describe(network: Network, *, pictures: str, training: dict[str, Any]) -> Description:
    """What an exported file says of itself."""
    spec, seen = network.spec, network.preprocessing
    return Description(spec.class_names, spec.input_shape, seen.mean, seen.std, seen.size, pictures, training)


def _made(network: Network, description: Description, data: Dataset, settings: ExportSettings) -> dict[str, bytes]:
    """The files beside the weights, by name; the one of 8 bits is made of that of float32, whether that is kept or not."""
    made: dict[str, bytes] = {}
    if "torch_export" in settings.format:
        made[PROGRAM] = export_room.to_torch_export(network, description)
    if _with_onnx(settings):
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


def _result(name: str, parity: Parity, labels: Tensor, size: int) -> Result:
    found = measure_accuracy(parity.found, labels)
    interval = share_interval(found.examples - found.errors, found.examples)
    return Result(name, size, found.errors, found.examples, (interval.low, interval.high), parity.difference, parity.same_class)


def _versions(settings: ExportSettings) -> dict[str, str]:
    """Of what made and checked the files."""
    libraries = ("onnx", "onnxscript", "onnxruntime") if _with_onnx(settings) else ()
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
