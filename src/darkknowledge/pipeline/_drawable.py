"""What figures are drawn from: answers that runs have kept, or those of two small networks on the digits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkknowledge.contract import Examples, Report
from darkknowledge.errors import DarkKnowledgeError, IntegrityError, UsageError
from darkknowledge.pipeline._materials import load_data, require_one_network
from darkknowledge.pipeline._measuring import answer
from darkknowledge.pipeline._parts import DataSettings, LoggingSettings, ModelSettings
from darkknowledge.pipeline._reopening import require_same_data, settings_of_data
from darkknowledge.pipeline.settings import FigureSettings, TrainSettings
from darkknowledge.pipeline.train import train_from
from darkknowledge.report.answers import KeptAnswers, kept_answers
from darkknowledge.report.figure import CHOICES as FIGURES
from darkknowledge.report.figure._sample import Sample
from darkknowledge.runs.folder import RunFolder, list_runs, open_run
from darkknowledge.teacher import Frozen
from darkknowledge.training.metric_files import read_records
from darkknowledge.training.recipe import Recipe

TEACHER_STEPS, STUDENT_STEPS = 200, 20
"""Of the two networks on the digits: one that has learned them, and one that has begun to."""

RECIPE = Recipe(epochs=20, batch_size=128, learning_rate=0.05, threads=1, compile="off", precision="fp32")


@dataclass(frozen=True, slots=True)
class Answered:
    """What networks answered, by name, to the same examples, and what these look like where that is known."""

    answers: Mapping[str, KeptAnswers]
    examples: Examples | None

    def sample(self, position: int | None, *, by: int = 0) -> Sample:
        """One example: the one at a position, or the most ambiguous of those that the network at place ``by`` answers rightly.

        Raises:
            UsageError: there is none at this position.
        """
        kept = list(self.answers.values())[by]
        if position is None:
            position = most_ambiguous(kept.logits, kept.labels)
        elif position >= len(kept.ids):
            raise UsageError(f"there is no example {position}", fix=f"the split has {len(kept.ids):,}, numbered from 0")
        label = int(kept.labels[position])
        logits = {name: own.logits[position] for name, own in self.answers.items()}
        return Sample(kept.class_names, logits, None if label < 0 else label, self._picture(position))

    def _picture(self, position: int) -> Tensor | None:
        if self.examples is None:
            return None
        (batch,) = self.examples.batches(torch.tensor([position]), batch_size=1, views=None)
        picture: Tensor = batch.inputs[0]
        return picture


def most_ambiguous(logits: Tensor, labels: Tensor) -> int:
    """The example with the highest entropy at temperature 1 among those answered rightly, or among all if none is."""
    log_p = logits.double().log_softmax(-1)
    entropy = -(log_p.exp() * log_p).sum(-1)
    right = logits.argmax(-1) == labels
    return int(torch.where(right, entropy + entropy.max(), entropy).argmax())


def answered(settings: FigureSettings, *, pictures: bool = False, report: Report) -> Answered:
    """What the runs of the settings answered; with ``pictures`` the data is looked for too, and told of if it is no longer there.

    Raises:
        UsageError: a run was never measured on the split.
        IntegrityError: the runs did not answer the same examples.
    """
    runs = runs_of(settings)
    found = {name: kept_answers(run.path, split=settings.split) for name, run in zip(short_names(runs), runs, strict=True)}
    first = next(iter(found.values()))
    for run, own in zip(runs, found.values(), strict=True):
        if own.class_names != first.class_names or not own.ids.equal(first.ids):
            what = f"{run.path} and {runs[0].path} did not answer the same examples"
            raise IntegrityError(what, where=str(run.path), fix="name runs on the same data, divided in the same way")
    return Answered(found, _examples(runs[0], settings, report) if pictures else None)


def _examples(run: RunFolder, settings: FigureSettings, report: Report) -> Examples | None:
    try:
        data = load_data(settings_of_data(run, settings))
        require_same_data(run, data)
        return data.open_test() if settings.split == "test" else data.validation
    except DarkKnowledgeError as error:
        report(f"no picture: {error.what}")
        return None


def runs_of(settings: FigureSettings, *, finished: bool = True) -> list[RunFolder]:
    """The runs that the settings name; where any number may be, a folder of runs, such as that of a grid or of ``dk run``, stands for all of them.

    Raises:
        UsageError: one is no run folder, or holds several networks where one is asked for.
    """
    if FIGURES[settings.name].most is None:
        found = [open_run(each, finished=finished) for path in settings.run for each in _all_in(path)]
    else:
        found = [open_run(path, finished=finished) for path in settings.run]
    for run in found:
        require_one_network(run)
    return found


def _all_in(path: Path) -> list[Path]:
    """The runs in a folder of runs; a run of one network stands for itself."""
    several = not (path / "run.json").is_file() or open_run(path, finished=False).several
    return ([run.path for run in list_runs(path)] if several else []) or [path]


def short_names(runs: Sequence[RunFolder]) -> list[str]:
    """The last part of each path, or as much more as it takes to tell them apart."""
    parts = [run.path.resolve().parts for run in runs]
    if len(set(parts)) < len(parts):
        raise UsageError("a run is named twice", fix="name each run once")
    length = next(length for length in range(1, max(map(len, parts)) + 1) if len({own[-length:] for own in parts}) == len(parts))
    return ["/".join(own[-length:]) for own in parts]


def on_digits(*, student: bool) -> Answered:
    """What a small teacher answers to the test digits, and with ``student`` first what another network answers that has begun to learn them."""
    data = load_data(DataSettings(name="digits"))
    examples = data.open_test()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, steps in (("student", STUDENT_STEPS), ("teacher", TEACHER_STEPS)):
            if name == "teacher" or student:
                recipe = RECIPE.model_copy(update={"steps": steps, "seed": len(name)})
                model = ModelSettings(name="hinton_mlp", hidden=[64])
                settings = TrainSettings(model=model, training=recipe, logging=LoggingSettings(progress=False), out=Path(folder) / name)
                network = train_from(settings, data=data, report=lambda line: None).network
                kept = answer(Frozen(network, data.class_names), examples)
                found[name] = KeptAnswers(data.class_names, kept.ids, kept.labels, kept.logits)
    return Answered(found, examples)


def records(settings: FigureSettings) -> dict[str, list[dict[str, Any]]]:
    """The metrics of each run by name.

    Raises:
        UsageError: a run has none.
    """
    runs = runs_of(settings, finished=False)
    found = {name: read_records(run.path / "metrics.jsonl") for name, run in zip(short_names(runs), runs, strict=True)}
    for run, lines in zip(runs, found.values(), strict=True):
        if not any(line.get("kind") == "epoch" for line in lines):
            raise UsageError(f"{run.path} has no metrics of a whole epoch", fix="name runs of one network each; dk list shows them")
    return found


def by_temperature(settings: FigureSettings) -> dict[str, dict[float, list[float]]]:
    """Error rates in percent of the seeds of each kind of student at each temperature.

    Raises:
        UsageError: a run has no temperature, or was never measured on the split.
    """
    found: dict[str, dict[float, list[float]]] = {}
    runs = runs_of(settings)
    kinds = [_kind(run) for run in runs]
    differing = {key for key in set().union(*(kind for kind, _ in kinds)) if len({str(kind.get(key)) for kind, _ in kinds}) > 1}
    for run, (kind, temperature) in zip(runs, kinds, strict=True):
        kept = kept_answers(run.path, split=settings.split)
        known = kept.labels >= 0
        errors = 100 * float((kept.logits.argmax(-1) != kept.labels)[known].double().mean())
        name = ", ".join(f"{key} = {kind.get(key)}" for key in sorted(differing)) or "students"
        found.setdefault(name, {}).setdefault(temperature, []).append(errors)
    return found


def _kind(run: RunFolder) -> tuple[dict[str, Any], float]:
    """What tells a student from others of a grid, and its temperature."""
    config = run.config
    objective, student = config.get("objective"), config.get("student")
    temperature = objective.get("temperature") if isinstance(objective, Mapping) else None
    if not isinstance(temperature, float | int) or not isinstance(student, Mapping):
        raise UsageError(f"{run.path} has no temperature of its own", fix="name runs of dk distill")
    assert isinstance(objective, Mapping)
    kind = {**student, **{key: objective.get(key) for key in ("name", "alpha", "hard_weight", "soft_weight")}}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in kind.items()}, float(temperature)
