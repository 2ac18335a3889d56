"""``export``: a finished run's network as files that others load, each of them checked on the whole test split before the folder appears."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkknowledge import export as export_room, model as model_room
from darkknowledge.contract import Report
from darkknowledge.data import Dataset
from darkknowledge.errors import UsageError
from darkknowledge.export import Result
from darkknowledge.pipeline._materials import model_folder
from darkknowledge.pipeline._reopening import data_of, require_same_data
from darkknowledge.pipeline._shipping import fill, with_onnx
from darkknowledge.pipeline.settings import ExportSettings, validate
from darkknowledge.runs.files import flush_folder, storage_error
from darkknowledge.runs.folder import open_run
from darkknowledge.teacher import check_pairing
from darkknowledge.training.signals import stoppable
from darkknowledge.training.threads import threads_restored, use_threads


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
    run = open_run(settings.run)
    weights, out = model_folder(run.path, weights=settings.weights), target(settings)
    if with_onnx(settings):
        export_room.require_onnx()
    if settings.push_to is not None:
        export_room.require_hub()
    network = model_room.load(weights, plugins=settings.plugins)
    found = data or data_of(run, settings)
    require_same_data(run, found)
    check_pairing(network.spec.class_names, found.class_names)
    report(f"checking on the test split of {found.name}")
    with _appearing(out) as folder:
        results = fill(folder, run, network, found, settings)
    address = None if settings.push_to is None else export_room.push(out, settings.push_to)
    return Exported(out, results, address)


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
