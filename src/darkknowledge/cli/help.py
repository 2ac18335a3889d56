"""What ``--help`` says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from darkknowledge.report.figure import CHOICES

CONF = Path(__file__).parents[1] / "conf"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage's one-line summary, its usual call, and the parts of its configuration that are chosen by name."""

    name: str
    summary: str
    example: str
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Keys whose values may be given without their names, in this order."""
    listed: tuple[str, ...] = ()
    """Lines on what the first of them may be."""

    def help(self) -> str:
        """The page for ``dk STAGE --help``: the keys come from the YAML itself."""
        lines = [f"dk {self.name}: {self.summary}", "", f"  dk {self.example}", ""]
        if self.choices:
            lines += ["Choices (key=NAME):", *(f"  {key:<14} {', '.join(_names(key))}" for key in self.choices), ""]
        if self.listed:
            lines += [f"{self.words[0].upper()} is one of:", *(f"  {line}" for line in self.listed), ""]
        keys = (CONF / f"{self.name}.yaml").read_text(encoding="utf-8").splitlines()
        start = next((number for number, line in enumerate(keys) if line and not line.startswith(("#", "defaults", " "))), 0)
        return "\n".join([*lines, "Keys and defaults:", *(f"  {line}" for line in keys[start:]), "", _MORE])


def _names(key: str) -> list[str]:
    group = "model" if key in ("student", "teacher.model") else key
    return spelled(path.stem for path in (CONF / group).glob("*.yaml"))


def spelled(files: Iterable[str]) -> list[str]:
    """The files of a group as a user spells the choices that they stand for."""
    words = {"timm": "timm:NAME", "torchvision": "torchvision:NAME", "plugin": "package.module:NAME"}
    return [words.get(name, name) for name in sorted(files) if not name.startswith("_")]


_MORE = """Every key of every part: dk STAGE --cfg job. Values follow Hydra's grammar: out='my runs/a', student.hidden=[64,64].
Flags: --cfg job (print the configuration), --dry-run (check it, print the plan), -m (a grid: key=1,2,3), --debug (tracebacks)."""

_TRAIN = "train model=hinton_mlp data=mnist training.epochs=20 out=runs/teacher"
_DISTILL = "distill teacher=runs/teacher student=hinton_mlp data=mnist objective.temperature=8"
_RUN_CHOICES = ("experiment", "data", "student", "teacher.model", "objective")

FIGURES = tuple(f"{name:<15} {choice.summary} ({choice.runs})" for name, choice in CHOICES.items())

STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "run", "a teacher, and the same student alone and distilled, compared over seeds.", "run experiment=mnist data.root=data", _RUN_CHOICES
        ),
        Stage("train", "a network and labels.", _TRAIN, ("data", "model", "objective")),
        Stage("distill", "a student learns from a teacher's soft targets.", _DISTILL, ("data", "student", "objective")),
        Stage("record", "a teacher's answers to a data set, as a transfer set.", "record teacher=runs/teacher data=mnist out=sets/mnist", ("data",)),
        Stage("transfer", "look at a transfer set, or export it.", "transfer show sets/mnist", words=("action", "path", "out")),
        Stage("verify", "every byte of a transfer set, or of a run's networks.", "verify sets/mnist", words=("path",)),
        Stage("evaluate", "finished runs on the test split.", "evaluate run=runs/student"),
        Stage("export", "a finished run's network as files that others load, each checked.", "export run=runs/student format=onnx"),
        Stage("predict", "what a saved network says to pictures.", "predict model=runs/student/export input=seven.png"),
        Stage("report", "the page of finished runs: what came out, and what was learned.", "report runs=runs/a"),
        Stage("list", "the runs under a folder.", "list root=runs"),
        Stage("figure", "a picture of the theory, or of what runs have learned.", "figure softmax out=softmax.svg", words=("name",), listed=FIGURES),
    )
}

HELP = "\n".join(
    [
        "dk: knowledge distillation for PyTorch",
        "",
        "  dk STAGE key=value …",
        "",
        "Stages:",
        *(f"  {stage.name:<10} {stage.summary}" for stage in STAGES.values()),
        "",
        "dk STAGE --help shows a stage's keys; dk run alone trains, distills and compares on data that needs no download.",
        "",
        "Exit codes: 0 ok, 2 usage, 3 data, 4 integrity, 5 disk, permission or a missing package, 6 diverged, 7 busy, 130 and 143 signals.",
        "Flags: --help, --version, --cfg job, --dry-run, -m, --debug.",
    ]
)
