"""From run folders to what a page tells of. What cannot be read is left out with a note, and never an error of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from darkknowledge.errors import DarkKnowledgeError, UsageError
from darkknowledge.report.reading import FAULTS, read_answers, read_class_names, read_measures, read_metrics, read_pictures, read_tensors
from darkknowledge.report.story import PICTURES, TEACHER, Answers, Network, Story, setting
from darkknowledge.runs.checked_json import read_checked
from darkknowledge.runs.files import read_json
from darkknowledge.runs.folder import RunFolder, begun, list_runs, open_run


class Gathering:
    """The networks of some run folders, each with the part that it plays, and what could not be read."""

    def __init__(self) -> None:
        self.teacher: Network | None = None
        self.teachers: list[Network] = []
        self.alone: list[Network] = []
        self.distilled: list[Network] = []
        self.pictures: dict[int, Tensor] = {}
        self.notes: list[str] = []
        self.data = ""

    def add(self, path: Path) -> None:
        """Take in a finished run, or every one of a folder of runs.

        Raises:
            UsageError: it is neither.
            IntegrityError: its record or its configuration cannot be read.
        """
        if not (path / "run.json").is_file() and path.is_dir() and list_runs(path):
            self._add_each(path)
            return
        run = open_run(path)
        kind = run.record["kind"]
        if kind == "run":
            self._add_comparison(run)
        elif kind == "students":
            self._add_each(path)
        else:
            self._add_network(run)

    def _add_each(self, path: Path) -> None:
        for run in list_runs(path):
            if run.finished:
                self.add(run.path)
            else:
                self.notes.append(f"{run.path} is not finished (status: {run.status}) and left out")

    def _add_comparison(self, run: RunFolder) -> None:
        """The networks of ``dk run``, and the teacher whose answers lie beside them."""
        summary = run.path / "comparison.json"
        measured = self._read(summary, lambda: read_checked(summary)) or {}
        self.data = self.data or str(measured.get("data", ""))
        # The members of the teacher too, in the order of their seeds.
        for part in list_runs(run.path):
            if part.finished and part.path.name.partition("-")[0] in ("teacher", "alone", "distilled"):
                network = self._network(part)
                {"teacher": self.teachers, "alone": self.alone, "distilled": self.distilled}[part.path.name.partition("-")[0]].append(network)
        self._add_teacher(run.path, summary, measured.get("teacher"))

    def _add_network(self, run: RunFolder) -> None:
        network = self._network(run)
        (self.alone if run.record["kind"] == "train" else self.distilled).append(network)
        vouching = run.path / "evaluation-test.json"
        measured = (self._read(vouching, lambda: read_checked(vouching)) if vouching.is_file() else None) or {}
        self._add_teacher(run.path, vouching, {"cost": measured.get("teacher_cost")})

    def _add_teacher(self, folder: Path, vouching: Path, measured: Any) -> None:
        """A teacher's answers and the pictures that lie in ``folder``."""
        self._add_pictures(folder, vouching)
        if self.teacher is not None or not (folder / TEACHER).is_file():
            return
        answers = self._read(folder / TEACHER, lambda: read_answers(folder, TEACHER, vouching))
        fitted, cost = self._read(vouching, lambda: read_measures(measured)) or (None, None)
        if answers is not None:
            self.teacher = Network("teacher", folder, answers=answers, fitted=fitted, cost=cost)

    def _add_pictures(self, folder: Path, vouching: Path) -> None:
        if (folder / PICTURES).is_file():
            found = self._read(folder / PICTURES, lambda: read_pictures(read_tensors(folder, PICTURES, vouching)))
            self.pictures |= found or {}

    def _network(self, run: RunFolder) -> Network:
        path, vouching = run.path, run.path / "evaluation-test.json"
        answers, fitted, cost, absent = None, None, None, ""
        if vouching.is_file():
            answers = self._read(vouching, lambda: read_answers(path, "answers-test.safetensors", vouching))
            fitted, cost = self._read(vouching, lambda: read_measures(read_checked(vouching))) or (None, None)
            absent = "" if answers else self.notes[-1]
        else:
            absent = f"{path.name} was never measured on the test split: dk evaluate run={path}"
        return Network(
            name=path.name,
            path=path,
            settings=run.config,
            record=run.record,
            environment=self._read(path / "environment.json", lambda: dict(read_json(path / "environment.json"))) or {},
            metrics=self._read(path / "metrics.jsonl", lambda: read_metrics(path / "metrics.jsonl")) or (),
            answers=answers,
            absent=absent,
            fitted=fitted,
            cost=cost,
            class_names=self._read(path / "model", lambda: read_class_names(path / "model" / "config.json")) or (),
        )

    def _read(self, path: Path, read: Any) -> Any:
        """What ``read`` finds; None and a note where it fails."""
        try:
            return read()
        except FAULTS as error:
            what = error.what if isinstance(error, DarkKnowledgeError) else f"{path.name} does not hold what it should ({type(error).__name__})"
            self.notes.append(f"{path}: {what}")
            return None


def gather(paths: Sequence[Path]) -> Gathering:
    """The networks of these run folders.

    Raises:
        UsageError: one is no finished run and no folder of runs, or nothing is finished.
        IntegrityError: a record or a configuration cannot be read.
    """
    found = Gathering()
    for path in dict.fromkeys(path.resolve() for path in paths):
        if not begun(path):
            raise UsageError(f"{path} is no run folder", fix="name finished runs: runs=[runs/a,runs/b]; dk list shows them")
        found.add(path)
    if not (found.alone or found.distilled):
        raise UsageError("no finished run is among these folders", where=", ".join(map(str, paths)), fix="dk list shows the runs and their status")
    return found


def one_story(found: Gathering, *, title: str) -> Story:
    """The gathered networks as one teacher, one student alone and one student distilled."""
    teacher, alone, teachers = found.teacher, found.alone, found.teachers
    taught_by = {digest for network in found.distilled for digest in network.taught_by}
    own = [network for network in alone if network.fingerprint in taught_by]
    alone = [network for network in alone if network not in own]
    if len(own) == len(taught_by) == 1 and own[0].answers is not None:
        teacher = own[0]
    networks = [*found.distilled, *alone, *own]
    reference = next((network.answers for network in networks if network.answers), None)
    alone, distilled = (_on_the_same(arm, reference) for arm in (alone, found.distilled))
    if teacher is not None and teacher.answers is not None and not _same(teacher.answers, reference):
        teacher = Network("teacher", teacher.path, absent="the teacher answered other examples than the student")
    names = next((network.class_names for network in networks if network.class_names), ())
    classes = reference.logits.shape[1] if reference else len(names)
    return Story(
        title=title,
        data=found.data or _data(networks[0]),
        class_names=names if len(names) == classes else tuple(map(str, range(classes))),
        teacher=teacher,
        teachers=(*teachers, *own),
        alone=tuple(sorted(alone, key=_by_seed)),
        distilled=tuple(sorted(distilled, key=_by_seed)),
        average="logit" if any(setting(network.settings, "teacher.average") == "logit" for network in distilled) else "probability",
        pictures=found.pictures,
        notes=tuple(dict.fromkeys(found.notes)),
    )


def _on_the_same(networks: Sequence[Network], reference: Answers | None) -> list[Network]:
    """The networks that answered the same examples; of others no answers are told."""
    return [network if fits(network, reference) else replace(network, answers=None, absent=on_other_examples(network)) for network in networks]


def fits(network: Network, reference: Answers | None) -> bool:
    """Whether a network may be told of beside these answers: it answered the same examples, or none yet."""
    return network.answers is None or _same(network.answers, reference)


def on_other_examples(network: Network) -> str:
    """What is said of one that may not."""
    return f"{network.path} answered other examples than the first network of this page"


def _same(answers: Answers, reference: Answers | None) -> bool:
    return reference is None or (
        answers.logits.shape == reference.logits.shape and answers.ids.equal(reference.ids) and answers.labels.equal(reference.labels)
    )


def _by_seed(network: Network) -> int:
    return -1 if network.seed is None else network.seed


def _data(network: Network) -> str:
    return str(setting(network.settings, "data.name") or "")
