"""Whether a teacher asked again about replayed views answers what was recorded: 10,000 samples in every case.

    python benchmarks/transfer/replay.py DATA_ROOT MNIST_RUN CIFAR_ROOT CIFAR_RUN

The runs are those of total_variation.py. Two views of 5,000 pictures are recorded in every codec: MNIST with shifts, with mixup and with cutmix, and
CIFAR-10 as photos of 40×40 that the processes of a loader decode, cut and scale. Then everything is made and asked again: in other batch sizes and
another order, by other numbers of workers, by two processes of a gloo group with half of the samples each, after a recording that was killed
(SIGKILL) and continued, and by a training run that was stopped (SIGTERM) and resumed. Every picture's checksum must be the recorded one.

How differences are counted stands in _comparison.py.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from _comparison import ARITHMETIC, CODECS, VIEWS, Comparison, every_sample
from torch.multiprocessing.spawn import spawn

import darkknowledge
from darkknowledge import Recipe, TransferSet, model
from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset, load
from darkknowledge.errors import Interrupted
from darkknowledge.objective import build
from darkknowledge.runs.environment import environment
from darkknowledge.teacher import Frozen
from darkknowledge.training import fit
from darkknowledge.training.watching import Plan, Record

PICTURES = 5_000
RECORDED_IN = 256
RESULTS = Path(__file__).with_suffix(".json")


def prepare(settings: Mapping[str, Any], run: str) -> tuple[Dataset, Teacher]:
    torch.set_num_threads(1)
    data = load(**settings)
    return data, Frozen(model.load(Path(run) / "model"), data.class_names)


def record(settings: Mapping[str, Any], run: str, out: Path, codec: str) -> TransferSet:
    """Record both views, in shards of 1,024 rows."""
    options: dict[str, Any] = {"views": VIEWS, "codec": codec, "batch_size": RECORDED_IN, "shard_rows": 1024, "device": "cpu", "threads": 1}
    made = darkknowledge.record(run, settings, out, progress=False, **options)
    assert made is not None
    return made


def one_of_two(rank: int, settings: Mapping[str, Any], run: str, folder: Path) -> None:
    """A process of the gloo group: its half of the samples, then the largest differences of both."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    data, teacher = prepare(settings, run)
    found = Comparison(teacher, {codec: TransferSet.open(folder / codec) for codec in CODECS})
    mine = found.over(every_sample(data, batch_size=128, rank=rank, world=2))
    largest, samples = torch.tensor([mine[codec] for codec in CODECS]), torch.tensor(mine["samples"])
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    dist.all_reduce(samples)
    if rank == 0:
        result = {"samples": int(samples), **dict(zip(CODECS, largest.tolist(), strict=True)), "within_one_step": bool(largest.max() <= 1)}
        (folder / "gloo.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def two_processes(settings: Mapping[str, Any], run: str, folder: Path) -> Any:
    spawn(one_of_two, (settings, run, folder), nprocs=2)  # type: ignore[no-untyped-call]
    return json.loads((folder / "gloo.json").read_text())


def killed_and_continued(settings: Mapping[str, Any], run: str, folder: Path) -> dict[str, Any]:
    """Each set recorded by a process that is killed after two shards, then continued here; and its bytes beside the undisturbed ones."""
    sets, shards, same = {}, {}, True
    for codec in CODECS:
        out = folder / f"killed-{codec}"
        process = get_context("spawn").Process(target=record, args=(settings, run, out, codec))
        process.start()
        while len(list(out.glob("shards/*.json"))) < 2:
            time.sleep(0.001)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        shards[codec] = len(list(out.glob("shards/*.json")))
        sets[codec] = record(settings, run, out, codec)
        same &= all(path.read_bytes() == (folder / codec / path.relative_to(out)).read_bytes() for path in out.rglob("*.arrow"))
    data, teacher = prepare(settings, run)
    replayed = Comparison(teacher, sets).over(every_sample(data, batch_size=500))
    return {**replayed, "shards_before_the_kill": shards, "of_shards": len(sets["uint8"].shards), "same_bytes_as_undisturbed": same}


class Stop:
    """A watcher that asks its process to stop after a step."""

    def __init__(self, at: int) -> None:
        self.at = at

    def begin(self, plan: Plan) -> None: ...

    def step(self, done: int) -> None:
        if done == self.at:
            os.kill(os.getpid(), signal.SIGTERM)

    def record(self, record: Record) -> None: ...

    def end(self) -> None: ...


def resumed_training(data: Dataset, teacher: Teacher, sets: Mapping[str, TransferSet], folder: Path) -> dict[str, Any]:
    """Two epochs of a student, stopped in the first and resumed: what its teacher was shown."""
    found = Comparison(teacher, sets)
    recipe = Recipe(epochs=2, batch_size=100, views=VIEWS, precision="fp32", device="cpu", threads=1, checkpoint_every=1e6)
    for watchers in ([Stop(at=23)], []):
        torch.manual_seed(0)
        student = model.build("hinton_mlp", num_classes=10, input_shape=data.input_shape, mean=data.mean, std=data.std, hidden=[32])
        try:
            fit(student, build("hinton", temperature=4.0), data.train, recipe, teacher=found, watchers=watchers, checkpoint=folder / "state")
        except Interrupted as stopped:
            print(stopped, file=sys.stderr)
    return {**found.result(), "steps": 100, "stopped_after": 23, "samples_shown": sum(map(len, found.keys))}


def small_pictures(settings: Mapping[str, Any], run: str, folder: Path) -> Iterator[tuple[str, Any]]:
    data, teacher = prepare(settings, run)
    sets = {codec: record(settings, run, folder / codec, codec) for codec in CODECS}
    yield "the recording's own batches", Comparison(teacher, sets).over(every_sample(data, batch_size=RECORDED_IN, shuffled=False))
    for size in (1, 7, 64, 1000):
        yield f"shuffled batches of {size}", Comparison(teacher, sets).over(every_sample(data, batch_size=size))
    yield "two gloo processes", two_processes(settings, run, folder)
    yield "recording killed and continued", killed_and_continued(settings, run, folder)
    yield "training stopped and resumed", resumed_training(data, teacher, sets, folder)


def photos(settings: Mapping[str, Any], run: str, folder: Path) -> Iterator[tuple[str, Any]]:
    sets = {codec: record({**settings, "workers": 1}, run, folder / codec, codec) for codec in CODECS}
    for workers in (0, 1, 2):
        data, teacher = prepare({**settings, "workers": workers}, run)
        yield f"{workers} workers, shuffled batches of 100", Comparison(teacher, sets).over(every_sample(data, batch_size=100))
    yield "two gloo processes", two_processes(settings, run, folder)


def main(root: str, mnist_run: str, cifar_root: str, cifar_run: str) -> None:
    torch.set_num_threads(1)
    mnist = {"name": "mnist", "root": root, "validation": 1000, "fraction": PICTURES / 59_000, "augment": "jitter"}
    cifar = {"name": "parquet", "root": cifar_root, "validation": 1000, "fraction": PICTURES / 49_000, "augment": "photo", "image_size": 40}
    kinds = {"mnist jitter": (small_pictures, mnist, mnist_run), "cifar10-jpeg photo 40x40": (photos, cifar, cifar_run)}
    kinds |= {f"mnist jitter {mix}": (small_pictures, {**mnist, "mix": mix}, mnist_run) for mix in ("mixup", "cutmix")}
    results: dict[str, Any] = {"arithmetic": ARITHMETIC, "environment": environment()}
    for kind, (cases, settings, run) in kinds.items():
        results[kind] = {}
        with tempfile.TemporaryDirectory() as folder:
            for case, result in cases(settings, run, Path(folder)):
                results[kind][case] = result
                print(kind, case, json.dumps(result), file=sys.stderr, flush=True)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
