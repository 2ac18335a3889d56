"""``predict``: what a saved network says to pictures, at temperature 1, whatever it was trained at; and ``load``, the network alone."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from darkknowledge import model as model_room
from darkknowledge.data import Preparation
from darkknowledge.data.image_folder import SUFFIXES
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.export import OnnxModel
from darkknowledge.model import Network
from darkknowledge.pipeline._materials import model_folder
from darkknowledge.pipeline._rows import read_rows
from darkknowledge.pipeline.settings import PredictSettings, validate
from darkknowledge.runs.files import MANIFEST, make_place, read_json, verify_manifest, write_text
from darkknowledge.teacher import Frozen
from darkknowledge.training.signals import stoppable
from darkknowledge.training.threads import threads_restored, use_threads


@dataclass(frozen=True, slots=True)
class Predictions:
    """For each of N inputs, by ``names``, the probabilities (N, C) of the classes."""

    class_names: tuple[str, ...]
    names: tuple[str, ...]
    probabilities: Tensor

    @property
    def classes(self) -> list[str]:
        """The most probable class of each input."""
        return [self.class_names[index] for index in self.probabilities.argmax(1).tolist()]

    def save(self, path: Path) -> None:
        """Write a CSV file: input, class, its probability, and a column for each class."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["input", "class", "probability", *self.class_names])
        for name, best, row in zip(self.names, self.classes, self.probabilities.tolist(), strict=True):
            table.writerow([name, best, *(f"{value:.6g}" for value in (max(row), *row))])
        write_text(path, text.getvalue())


def load(path: str | Path, *, plugins: tuple[str, ...] = ()) -> Network:
    """The network in an exported folder, or in a finished run: pixels (B, C, H, W) in [0, 1] to logits (B, classes), on the CPU, in evaluation mode.

    Every byte is checked against the folder's manifest, nothing is downloaded, and no code of the folder runs. ``plugins`` names the modules that may
    be imported to build a network of a class of one's own.

    Raises:
        UsageError: there is no network, or one of a class that ``plugins`` does not allow.
        IntegrityError: a file is missing or altered.

    Example::

        network = darkknowledge.load("runs/student/export")
        probabilities = network(pixels).softmax(1)
    """
    return model_room.load(model_folder(path), plugins=plugins)


def predict(
    model: str | Path,
    input: str | Path,
    *,
    out: str | Path | None = None,
    batch_size: int = 256,
    threads: int | None = None,
    plugins: tuple[str, ...] = (),
) -> Predictions:
    """What a saved network says to pictures: a probability for every class, the softmax of its logits.

    Pictures are prepared as those of the network's test split were.

    Args:
        model: an exported folder or a finished run (run by PyTorch), or an ONNX file (run by ONNX Runtime).
        input: a picture, a folder of pictures, or a CSV file with a row of numbers in [0, 1] for each picture: C × H × W of them.
        out: a CSV file to write.
        batch_size: pictures that are asked about at a time.
        threads: for torch and ONNX Runtime.
        plugins: modules whose classes may be imported when the network is one of them.

    Raises:
        DarkKnowledgeError: what the class says.

    Example::

        found = darkknowledge.predict("runs/student/export", "seven.png")
        found.classes, found.probabilities
    """
    values = {"model": model, "input": input, "out": out, "batch_size": batch_size, "threads": threads, "plugins": plugins}
    return predict_from(validate(PredictSettings, values))


@stoppable()
@threads_restored()
@torch.no_grad()
def predict_from(settings: PredictSettings) -> Predictions:
    """`predict` with checked settings."""
    use_threads(settings.threads)
    require_place(settings)
    if settings.out is not None:
        make_place(settings.out)
    shipped = _Shipped.open(settings.model, settings.plugins)
    names, pictures = _inputs(settings.input, shipped)
    answers = [shipped.logits(torch.stack(batch)) for batch in _batches(pictures, settings.batch_size)]
    found = Predictions(shipped.class_names, names, torch.cat(answers).double().softmax(1))
    if settings.out is not None:
        found.save(settings.out)
    return found


def require_place(settings: PredictSettings) -> None:
    """Refuse a network, inputs or an output that cannot be, before anything slow.

    Raises:
        UsageError: there is no such thing, or a file where one would be written.
    """
    for key, path in (("model", settings.model), ("input", settings.input)):
        if not path.exists():
            raise UsageError(f"{path} does not exist", where=f"{key}={path}", fix="check the path")
    if settings.out is not None and os.path.lexists(settings.out):
        raise UsageError(f"{settings.out} exists", where=f"out={settings.out}", fix="choose another name, or remove it")


@dataclass(frozen=True, slots=True)
class _Shipped:
    """A network that was saved, and what it needs to be shown."""

    logits: Callable[[Tensor], Tensor]
    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    pictures: str

    @classmethod
    def open(cls, path: Path, plugins: Sequence[str]) -> _Shipped:
        if path.suffix == ".onnx":
            _verify_beside(path)
            model = OnnxModel.open(path)
            seen = model.description
            return cls(model, seen.class_names, seen.input_shape, seen.pictures)
        folder = model_folder(path)
        network = model_room.load(folder, plugins=plugins)
        return cls(Frozen(network, network.spec.class_names).networks[0], network.spec.class_names, network.spec.input_shape, _pictures(folder))


def _verify_beside(path: Path) -> None:
    """Check an ONNX file against the manifest that lies beside it, if one does and names it."""
    if (path.parent / MANIFEST).is_file() and path.name in read_json(path.parent / MANIFEST).get("files", {}):
        verify_manifest(path.parent, required=(path.name,))


def _pictures(folder: Path) -> str:
    """How pictures were prepared for the network in a folder."""
    said = read_json(folder / "config.json").get("pictures")
    if not isinstance(said, str):
        raise IntegrityError(
            "config.json does not say how pictures are prepared for the network",
            where=str(folder / "config.json"),
            why="it was written by an earlier version",
            fix="export the run: dk export run=… format=safetensors",
        )
    return said


def _inputs(path: Path, shipped: _Shipped) -> tuple[tuple[str, ...], Iterator[Tensor]]:
    """Names of the inputs, and their pixels one after another."""
    if path.suffix.lower() == ".csv" and path.is_file():
        rows = read_rows(path, shipped.input_shape)
        return tuple(f"row {number}" for number in range(1, len(rows) + 1)), iter(rows)
    prepare = Preparation(shipped.input_shape, shipped.pictures)
    if path.is_dir():
        files = list_pictures(path)
        return tuple(str(file.relative_to(path)) for file in files), map(prepare, files)
    return (path.name,), map(prepare, [path])


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and in those below it, in alphabetical order; what is hidden is passed over, and so are hidden folders.

    Raises:
        DataError: there are none.
    """
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise DataError(f"{folder} holds no pictures", where=str(folder), fix=f"give a folder of {', '.join(sorted(SUFFIXES))}")
    return found


def _batches(pictures: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    batch: list[Tensor] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
