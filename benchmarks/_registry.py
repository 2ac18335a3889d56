"""The benchmarks by name. Nothing is imported before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``target`` is ``module:function`` below this package, a function of a `Run`; ``record`` is the file of its results, beside it."""

    target: str
    record: str
    about: str

    @property
    def path(self) -> Path:
        """The record."""
        return FOLDER / self.record


TIMED = {
    "objective": Benchmark("objective.measure:measure", "objective/results.json", "loss and gradient beside the usual expressions of it"),
    "forms": Benchmark("objective.forms:measure", "objective/forms.json", "the objective with recorded rows and few classes beside dense logits"),
    "recorded": Benchmark("objective.recorded_step:measure", "objective/recorded_step.json", "a step with recorded answers to 1,000 classes"),
    "step": Benchmark("step.measure:measure", "step/results.json", "a training step beside the student alone and beside live teachers"),
    "end_to_end": Benchmark("end_to_end.measure:measure", "end_to_end/results.json", "five students of one teacher beside programs written by hand"),
    "students": Benchmark("students.measure:measure", "students/results.json", "several students in one go beside one by one"),
    "memory": Benchmark("memory.measure:measure", "memory/results.json", "a step with freed memory kept beside the C library's defaults"),
    "profile": Benchmark("profile.measure:measure", "profile/results.json", "what a step of each kind spends its time on"),
    "growth": Benchmark("growth.measure:measure", "growth/results.json", "time and memory up to a million examples and 32,000 classes"),
    "gpu": Benchmark("gpu.measure:measure", "gpu/results.json", "the objective and a step on a GPU, with Liger beside them"),
    "loop": Benchmark("loop.measure:measure", "loop/results.json", "an epoch of our loop beside a bare PyTorch loop"),
    "startup": Benchmark("startup.measure:measure", "startup/results.json", "how long help and a mistake take, and what a run imports"),
    "transfer-steps": Benchmark("transfer.steps:measure", "transfer/steps.json", "a step with recorded and live teachers; what recording costs"),
    "transfer-reading": Benchmark("transfer.reading:measure", "transfer/reading.json", "random batches of a million recorded rows"),
}
"""Name to what ``python -m benchmarks NAME`` runs."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is no timing of turns: a choice of settings, a proof, a long race of whole programs. It has a ``command`` of its own."""

    command: str
    about: str


ELSEWHERE = {
    "digits": Elsewhere("benchmarks/digits/choose.py", "the settings of dk run, chosen by cross-validation"),
    "mnist": Elsewhere("benchmarks/mnist/choose.py DATA_ROOT", "the settings of experiment=mnist"),
    "faults": Elsewhere("-m benchmarks.faults", "kills, full disks, flipped bits, stops at every step, starts at once; what safety costs"),
    "mutants": Elsewhere("-m benchmarks.mutants", "whether the tests notice mistakes that are put into the code"),
    "hinton2015": Elsewhere("-m benchmarks.hinton2015", "the MNIST experiments of Hinton, Vinyals & Dean (2015)"),
    "transfer-exactness": Elsewhere("benchmarks/transfer/exactness.py TEACHER_RUN DATA_ROOT", "recorded answers beside the live teacher's"),
    "transfer-views": Elsewhere("benchmarks/transfer/views.py TEACHER_RUN DATA_ROOT", "how many views of a picture are enough"),
    "transfer-bytes": Elsewhere(
        "benchmarks/transfer/total_variation.py DATA_ROOT MNIST_RUN CIFAR_ROOT CIFAR_RUN", "soft targets of each codec beside the exact ones"
    ),
    "transfer-replay": Elsewhere("benchmarks/transfer/replay.py DATA_ROOT MNIST_RUN CIFAR_ROOT CIFAR_RUN", "a teacher asked again"),
    "transfer-faults": Elsewhere("benchmarks/transfer/faults.py", "kills, flipped bits, full disks"),
    "transfer-students": Elsewhere("benchmarks/transfer/students.py TEACHER_RUN DATA_ROOT", "five students of one teacher, by dk distill"),
    "export": Elsewhere("benchmarks/export/parity.py RUN…", "exported files beside their networks, and int8"),
    "own_images": Elsewhere("benchmarks/own_images/cut.py data/cifar10-jpeg photos", "README's example on real pictures"),
}
"""Name to what is run by ``uv run python …``."""
