"""P11, the gradients behind soft targets: ``python -m benchmarks.hinton2015.gradients --teacher RUN --student RUN … --data FOLDER``.

On the same training pictures, for a student at its initial weights, after one epoch of soft targets, and at the end of each run that is given.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.hinton2015.gradients_section import RECORD, section
from benchmarks.hinton2015.recipe import ALPHA, FULL, RATES, TEMPERATURE, mlp, training
from darkknowledge.runs.files import read_json, write_json

if TYPE_CHECKING:
    from darkknowledge.data import Dataset
    from darkknowledge.model import Network

__all__ = ["main", "section"]

CASES = 4000
HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"


def main(words: list[str]) -> int:
    """Measure, write the record, draw the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hinton2015.gradients", description=__doc__)
    parser.add_argument("--teacher", type=Path, help="a run folder; without it the figures alone are drawn, from the record")
    parser.add_argument("--student", type=Path, nargs="*", default=[], help="run folders of trained students")
    parser.add_argument("--data", type=Path, default=Path("data"), help="the folder with MNIST")
    parser.add_argument("--cases", type=int, default=CASES, help="training pictures to measure on")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where the record goes")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the figures go")
    given = parser.parse_args(words)
    if given.teacher is not None:
        write_json(given.results / RECORD, measured(given.teacher, given.student, given.data, cases=given.cases))
    from benchmarks.hinton2015.gradients_figures import draw

    for path in draw(read_json(given.results / RECORD), given.docs):
        print(f"drawn: {path.name}")
    return 0


def measured(teacher: Path, students: list[Path], data: Path, *, cases: int) -> dict[str, Any]:
    """The record: each moment, and the approximations after one epoch."""
    import torch

    from benchmarks.hinton2015.gradients_measuring import moment, scale
    from darkknowledge.data import load
    from darkknowledge.model import load as load_network
    from darkknowledge.report.figure.forms import approximations
    from darkknowledge.teacher import Frozen

    torch.set_num_threads(1)
    began = time.process_time()
    found = load("mnist", root=data, augment="none", validation=FULL["validation"])
    positions = torch.randperm(len(found.train), generator=torch.Generator().manual_seed(0))[:cases].sort().values
    (batch,) = found.train.batches(positions, batch_size=cases, views=None)
    frozen = Frozen(load_network(teacher / "model"), found.class_names)
    answers = frozen(batch).logits()
    moments: list[dict[str, Any]] = []
    for name, network in _students(found, frozen, students):
        at = moment(network, batch.inputs, batch.labels, answers, mixed=(TEMPERATURE, ALPHA))
        print(f"{name}: measured")
        if name == ONE_EPOCH:
            with torch.no_grad():
                forms = asdict(approximations(network(batch.inputs), answers))
        moments.append({"name": name, **at})
    runs = {_name(run): _fingerprint(run) for run in students}
    record = {"cases": cases, "teacher": scale(answers), "temperature": TEMPERATURE, "alpha": ALPHA, "moments": moments, "forms": forms}
    seconds = round(time.process_time() - began, 1)
    return record | {"model_fingerprints": {"teacher": _fingerprint(teacher), **runs}, "core_seconds": seconds}


INITIAL, ONE_EPOCH = "initial weights", "after one epoch"


def _students(data: Dataset, teacher: Any, runs: list[Path]) -> Iterator[tuple[str, Network]]:
    """The same student as time goes by, and those of the runs."""
    import torch

    import darkknowledge
    from darkknowledge.model import build, load as load_network

    torch.manual_seed(0)
    options = mlp(800)
    network = build(options.pop("name"), num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, **options)
    yield INITIAL, network
    recipe = training(1, RATES["soft"], 0, precision="fp32", schedule="constant", compile="off")
    with tempfile.TemporaryDirectory() as folder:
        answers, run = Path(folder) / "answers", Path(folder) / "student"
        darkknowledge.record(teacher, data, answers, threads=1, precision="fp32", progress=False)
        goal = {"name": "distillation", "temperature": TEMPERATURE, "alpha": ALPHA}
        darkknowledge.distill(None, network, data, objective=goal, transfer=answers, training=recipe, logging={"progress": False}, out=run)
    yield ONE_EPOCH, network
    for run in runs:
        yield _name(run), load_network(run / "model")


def _name(run: Path) -> str:
    """What a run learned from, in words."""
    return f"trained on {'labels' if read_json(run / 'run.json')['kind'] == 'train' else 'soft targets'}"


def _fingerprint(run: Path) -> str:
    return str(read_json(run / "run.json")["model_fingerprint"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
