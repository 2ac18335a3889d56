"""What a training step costs: ours with a recorded teacher beside the student alone, and beside what people write or pick, all with live teachers.

    uv run --group bench python -m benchmarks step

One thread, batches of 256, float32, and bfloat16 where the processor multiplies it. Forty steps of the small network at a time, four of the residual
one, after two that warm up: ours in the middle of `fit`, the peers' in the middle of their loop. Every run starts from a copy of one student. The
pictures are noise.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from benchmarks._measuring import Comparison, Run, Seconds, compare, seconds_of_steps
from benchmarks.step.peers import ALPHA, MOMENTUM, PEERS, RATE, TEMPERATURE, Job, Step, train
from benchmarks.step.workload import QUICK, WORKLOADS, Workload, job, make_data, network, share
from benchmarks.transfer.recorded import recorded
from torch import Tensor, nn

from darkknowledge.contract import Teacher
from darkknowledge.data import Dataset
from darkknowledge.objective import build as build_objective
from darkknowledge.teacher import Ensemble, Frozen
from darkknowledge.training import fit
from darkknowledge.training.precision import has_bfloat16
from darkknowledge.training.recipe import Recipe
from darkknowledge.training.watching import Watcher
from darkknowledge.transfer import RecordedTeacher

MEMBERS = 5
ALONE, RECORDED, PASSES = "student alone", "recorded", "the teacher's passes alone"
Variants = dict[str, Callable[[], object]]


def measure(run: Run) -> None:
    """Every pair of networks in each precision, with one teacher and with an ensemble."""
    torch.set_num_threads(1)
    peers = available(run)
    for name, workload in (QUICK if run.quick else WORKLOADS).items():
        for precision in ("fp32", "bf16") if has_bfloat16("cpu") else ("fp32",):
            for members in (1, MEMBERS):
                with tempfile.TemporaryDirectory() as folder:
                    race(run, f"{name}, {precision}, {members} teacher{'s' * (members > 1)}", workload, members, precision, peers, Path(folder))


def available(run: Run) -> dict[str, Callable[[Job], Step]]:
    """The peers that are installed; the others are named."""
    needs = {"timm": ("timm.task", "timm"), "torchdistill": ("torchdistill.core.distillation", "torchdistill")}
    return {name: make for name, make in PEERS.items() if name not in needs or run.peer(needs[name][0], package=needs[name][1])}


def race(
    run: Run, title: str, workload: Workload, members: int, precision: str, peers: dict[str, Callable[[Job], Step]], folder: Path
) -> None:  # fmt: skip
    """One comparison. That of an ensemble takes a third of the rounds: its live teachers take most of the time."""
    data = make_data(workload)
    student = network(workload, data, workload.student)
    teachers = tuple(network(workload, data, workload.teacher, seed=1 + number) for number in range(members))
    variants = {**ours(workload, data, student, teachers, precision, folder), **theirs(workload, data, student, teachers, precision, peers)}
    found = compare(variants, to=(ALONE, RECORDED), repeats=run.repeats if members == 1 else -(-run.repeats // 3))
    run.add(title, found)
    example = next(data.train.batches(torch.arange(1), batch_size=1, views=None)).inputs
    verdict(run, title, found, share(student, teachers, example), peers)


def ours(
    workload: Workload, data: Dataset, student: nn.Module, teachers: tuple[nn.Module, ...], precision: str, folder: Path
) -> Variants:  # fmt: skip
    """`fit` without a teacher, with recorded answers in memory, and with the live teacher."""
    live = asked(data, copy.deepcopy(teachers))
    answers = RecordedTeacher(recorded(live, data, folder / "set").load())
    sources: dict[str, Teacher | None] = {ALONE: None, RECORDED: answers, "ours, live": live}
    return {name: partial(fitted, workload, data, student, source, precision) for name, source in sources.items()}


def asked(data: Dataset, networks: tuple[nn.Module, ...]) -> Frozen | Ensemble:
    """Our teacher of them."""
    members = [Frozen(network, data.class_names) for network in networks]
    return members[0] if len(members) == 1 else Ensemble(members)


def fitted(workload: Workload, data: Dataset, student: nn.Module, teacher: Teacher | None, precision: str) -> Seconds:
    """Our steps."""
    objective = build_objective("hard_label") if teacher is None else build_objective("distillation", temperature=TEMPERATURE, alpha=ALPHA)
    recipe = Recipe(epochs=-(-workload.planned // workload.batches), steps=workload.planned, batch_size=workload.batch_size, learning_rate=RATE,
                    momentum=MOMENTUM, warmup=0.0, precision=precision, device="cpu", threads=1, views=1)  # type: ignore[arg-type]  # fmt: skip

    def start(watch: Watcher) -> None:
        fit(copy.deepcopy(student), objective, data.train, recipe, teacher=teacher, watchers=[watch])

    return seconds_of_steps(start, skip=workload.skip, count=workload.steps)


def theirs(
    workload: Workload, data: Dataset, student: nn.Module, teachers: tuple[nn.Module, ...], precision: str, peers: dict[str, Callable[[Job], Step]]
) -> Variants:  # fmt: skip
    """The peers, and the teachers' answers with nothing else."""
    copies = copy.deepcopy(teachers)

    def timed(make: Callable[[Job], Step]) -> Seconds:
        mine = job(workload, data, student, copies, precision=precision)
        return seconds_of_steps(lambda watch: train(make, mine, watch.step), skip=workload.skip, count=workload.steps)

    return {name: partial(timed, make) for name, make in {**peers, PASSES: answering}.items()}


def answering(job: Job) -> Step:
    """The teachers' answers with nothing else."""

    def step(inputs: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad(), job.autocast():
            return torch.stack([teacher.eval()(inputs) for teacher in job.teachers])

    return step


def verdict(run: Run, title: str, found: Comparison, share: float, peers: dict[str, Callable[[Job], Step]]) -> None:
    """What the teacher is by count and by the clock, and how much longer the peers take than ours."""
    took = found.ratio(PASSES, ALONE)["processor"].median
    part = {
        "teacher's share of the student's step by operations": round(share, 3),
        "by processor time": round(took, 3),
        "recorded / student alone": found.ratio(RECORDED, ALONE)["processor"].median,
        **{f"{peer} / recorded": found.ratio(peer, RECORDED)["processor"].median for peer in peers},
    }
    run.add(f"{title}: in short", part)
