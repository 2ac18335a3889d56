"""What each stage can be told, checked before anything slow is imported: types, ranges, unknown keys with a close match."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, Strict, ValidationError, field_validator, model_validator

from darkknowledge.errors import UsageError, close_match
from darkknowledge.pipeline._explanation import explain
from darkknowledge.pipeline._parts import (
    CodecSettings,
    Data,
    DataSettings,
    Goal,
    LoggingSettings,
    Model,
    ModelSettings,
    ObjectiveSettings,
    RecordedSettings,
    Section,
    Seed,
    TeacherSettings,
    TransferSettings,
    as_list,
    as_section,
)
from darkknowledge.report.figure import CHOICES as FIGURES
from darkknowledge.training.recipe import Positive, Recipe

Resume = Annotated[bool, BeforeValidator(lambda value: True if value == "auto" else value)]
"""``auto`` says the same as true: go on where there is something to go on with, else begin."""


class StageSettings(Section):
    """What every stage that trains has."""

    data: Data = DataSettings()
    training: Recipe = Recipe()
    logging: LoggingSettings = LoggingSettings()
    out: Path | None = None
    resume: Resume = False
    plugins: tuple[str, ...] = ()
    """Modules whose classes may be imported when a run that names one is loaded."""


class ChangeableSettings(StageSettings):
    """What a stage has whose runs may go on with other settings than they were begun with."""

    resume_changes: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    """The names of those settings; see `darkknowledge.pipeline._changes`."""

    @model_validator(mode="after")
    def _changes_of_a_run(self) -> Self:
        if self.resume_changes and not self.resume:
            raise ValueError("resume_changes belongs to resume=true")
        return self


class TrainSettings(ChangeableSettings):
    """``dk train``: a network and labels."""

    model: Model = ModelSettings()
    objective: Goal = ObjectiveSettings(name="hard_label")


VIEWS = 8
"""Augmented views of each picture that a teacher is asked about, unless told otherwise (chosen by ``benchmarks/transfer``)."""


def _with_views(value: Any) -> Any:
    """A student's recipe, whose epochs share `VIEWS` views of each picture, so that the teacher need not be asked anew in each."""
    return {"views": VIEWS} | dict(value) if isinstance(value, Mapping) else value


StudentRecipe = Annotated[Recipe, BeforeValidator(_with_views)]


class StudentSettings(Section):
    """One of several students: what it has in the place of the settings beside it. ``temperature``, ``alpha`` and ``seed`` are short for the keys of
    that name in ``objective`` and ``training``. A ``student`` or an ``objective`` of another name starts from its own defaults.
    """

    name: str | None = None
    """Of its run folder; its number from 0 unless given."""
    student: Annotated[dict[str, Any], BeforeValidator(as_section)] = Field(default_factory=dict)
    objective: Annotated[dict[str, Any], BeforeValidator(as_section)] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    temperature: Positive | None = None
    alpha: Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    seed: Seed | None = None

    @field_validator("name")
    @classmethod
    def _fit_for_a_folder(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"\w[\w.,=+-]*", name):
            raise ValueError("the name of a folder is made of letters, digits and . , = + - _")
        if name is not None and (name.casefold() in TAKEN or len(name) > 200):
            raise ValueError("something else lies beside the runs under this name, or it is too long: choose another")
        return name


TAKEN = ("transfer", "run.json", "config.yaml", "environment.json", "lock")
"""What lies beside the runs of several students."""


class DistillSettings(ChangeableSettings):
    """``dk distill``: a student, a teacher and perhaps labels."""

    student: Model = ModelSettings()
    teacher: TeacherSettings = TeacherSettings()
    transfer: TransferSettings = TransferSettings()
    objective: Goal = ObjectiveSettings()
    training: StudentRecipe = Recipe(views=VIEWS)
    students: tuple[StudentSettings, ...] | None = None
    """Several students in one go, each of them as it would be distilled alone."""

    @model_validator(mode="after")
    def _several_that_make_sense(self) -> Self:
        if self.students is not None:
            if not self.students:
                raise ValueError("students=[] names none: write what each has of its own, such as students=[{temperature: 2}, {temperature: 8}]")
            students_of(self)
        return self


def students_of(settings: DistillSettings) -> dict[str, DistillSettings]:
    """For each of several students its name and the settings that would distill it alone.

    Raises:
        UsageError: two have the same name, or what one has of its own makes no sense.
    """
    found: dict[str, DistillSettings] = {}
    for index, entry in enumerate(settings.students or ()):
        name = entry.name or str(index)
        if name in found:
            raise UsageError(
                f"two students are called {name!r}", why="each has a run folder of its name", fix="give them names of their own: name: …"
            )
        try:
            found[name] = validate(DistillSettings, _alone(settings.model_dump(exclude={"students"}), entry))
        except UsageError as error:
            raise UsageError(f"students.{index}: {error.what}", fix=error.fix) from None
    return found


def _alone(base: Mapping[str, Any], entry: StudentSettings) -> dict[str, Any]:
    """The settings with what this student has of its own."""
    goal = entry.objective | {key: value for key, value in (("temperature", entry.temperature), ("alpha", entry.alpha)) if value is not None}
    seed = {} if entry.seed is None else {"seed": entry.seed}
    # Alpha and the two weights are two ways to say the same.
    other = ("alpha",) if {"hard_weight", "soft_weight"} & goal.keys() else ("hard_weight", "soft_weight") if "alpha" in goal else ()
    goal = dict.fromkeys(other) | goal if _same_choice(base["objective"], goal) else goal
    return {
        **base,
        "student": _changed(base["student"], entry.student),
        "objective": _changed(base["objective"], goal),
        "training": base["training"] | entry.training | seed,
    }


def _changed(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``own`` in the place of those of ``base``; those of another choice are its own alone."""
    return {**base, **own} if _same_choice(base, own) else dict(own)


def _same_choice(base: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    return bool(own.get("name", base["name"]) == base["name"])


class NewTeacher(TeacherSettings):
    """The teacher of ``dk run``: taken from ``source``, or trained when that is empty."""

    model: Model = ModelSettings()
    members: Annotated[int, Strict(), Field(ge=1)] = 1
    training: Recipe = Recipe()
    augment: str | None = None

    def plain(self) -> TeacherSettings:
        """How the members become one teacher."""
        return TeacherSettings(**self.model_dump(include=set(TeacherSettings.model_fields)))


class RunSettings(StageSettings):
    """``dk run``: a teacher, and for each seed the same student alone and distilled."""

    student: Model = ModelSettings()
    teacher: NewTeacher = NewTeacher()
    transfer: RecordedSettings = RecordedSettings()
    objective: Goal = ObjectiveSettings()
    training: StudentRecipe = Recipe(views=VIEWS)
    seeds: Annotated[int, Strict(), Field(ge=1)] = 5


class RecordSettings(CodecSettings):
    """``dk record``: a teacher's answers to a data set, as a transfer set."""

    teacher: TeacherSettings = TeacherSettings()
    data: Data = DataSettings()
    out: Path
    views: Annotated[int, Strict(), Field(ge=1)] = VIEWS
    """Of each picture; one where the pictures are not augmented."""
    shard: str | None = None
    """``2/4`` records the second of four parts; whoever finishes last finishes the set."""
    batch_size: Annotated[int, Strict(), Field(ge=1)] = 256
    shard_rows: Annotated[int, Strict(), Field(ge=1)] | None = None
    """None cuts the set into at most 16 files, of 8,192 rows or more."""
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Strict(), Field(ge=1)] | None = None
    progress: bool = True
    plugins: tuple[str, ...] = ()

    @property
    def part(self) -> tuple[int, int] | None:
        """Number (from 0) and count of the parts that ``shard`` names."""
        if self.shard is None:
            return None
        number, count = map(int, self.shard.split("/"))
        return number - 1, count

    @field_validator("shard", mode="before")
    @classmethod
    def _readable(cls, shard: object) -> object:
        if shard is not None:
            number, slash, count = str(shard).partition("/")
            if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
                raise ValueError("a part is written i/n with i from 1 to n, such as 2/4")
        return shard


class VerifySettings(Section):
    """``dk verify``: every byte of a transfer set, or of a run's networks."""

    path: Path


class TransferSetSettings(Section):
    """``dk transfer``: look at a transfer set, or write it as parquet."""

    action: Literal["show", "export"]
    path: Path
    out: Path | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if (self.out is None) == (self.action == "export"):
            raise ValueError("export is followed by the set and the file to write, show by the set alone")
        return self


class EvaluateSettings(Section):
    """``dk evaluate``: finished runs on a split of their data."""

    run: Annotated[tuple[Path, ...], BeforeValidator(as_list)]
    split: Literal["test", "validation"] = "test"
    weights: Literal["last", "best"] = "last"
    root: Path | None = None
    """Where the data lies now, when it is not where the run found it."""
    ensemble: Literal["probability", "logit"] | None = None
    """Also measure the runs as one ensemble, whose answer is the mean of theirs."""
    cost: bool = True
    batch_size: Annotated[int, Strict(), Field(ge=1)] = 1024
    threads: Annotated[int, Strict(), Field(ge=1)] | None = None
    plugins: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _some_run(self) -> EvaluateSettings:
        if not self.run:
            raise ValueError("name at least one run folder: run=runs/…")
        if self.ensemble is not None and len(self.run) == 1:
            raise ValueError("an ensemble has two members or more: run=[runs/a,runs/b]")
        return self


Format = Literal["safetensors", "onnx", "torch_export", "int8"]


class ExportSettings(Section):
    """``dk export``: a finished run's network as files that others load."""

    run: Path
    format: Annotated[tuple[Format, ...], BeforeValidator(as_list), Field(min_length=1)] = ("onnx",)
    """The network as safetensors is always there."""
    out: Path | None = None
    """The folder to make; None is ``export`` in the run."""
    weights: Literal["last", "best"] = "last"
    root: Path | None = None
    """Where the data lies now, when it is not where the run found it."""
    calibration: Annotated[int, Strict(), Field(ge=1)] = 512
    """Training pictures from which int8 takes the ranges of its activations."""
    base_model: str | None = None
    """The teacher's name on the Hub, for the model card."""
    push_to: str | None = None
    """``user/name`` on the Hugging Face Hub; None sends nothing."""
    batch_size: Annotated[int, Strict(), Field(ge=1)] = 256
    threads: Annotated[int, Strict(), Field(ge=1)] | None = None
    plugins: tuple[str, ...] = ()

    @field_validator("push_to", "base_model")
    @classmethod
    def _a_repository(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", name, flags=re.ASCII):
            raise ValueError("a repository of the Hugging Face Hub is written user/name")
        return name


def _path_of(value: Any) -> Any:
    """On the command line ``model=PATH`` is short for ``model.path=PATH``, as a bare ``model`` chooses a network by name."""
    return value["path"] if isinstance(value, Mapping) and set(value) == {"path"} else value


class PredictSettings(Section):
    """``dk predict``: a saved network, or an ONNX file, and what it says to pictures."""

    model: Annotated[Path, BeforeValidator(_path_of)]
    input: Path
    out: Path | None = None
    """A CSV file with every class's probability."""
    top: Annotated[int, Strict(), Field(ge=1)] = 3
    batch_size: Annotated[int, Strict(), Field(ge=1)] = 256
    threads: Annotated[int, Strict(), Field(ge=1)] | None = None
    plugins: tuple[str, ...] = ()


class ListSettings(Section):
    """``dk list``: the runs under a folder."""

    root: Path = Path("runs")


class ReportSettings(Section):
    """``dk report``: the page of finished runs."""

    runs: Annotated[tuple[Path, ...], BeforeValidator(as_list)]
    out: Path | None = None
    """The HTML file; None is ``report.html`` beside the runs."""
    gallery: Annotated[int, Strict(), Field(ge=0, le=48)] = 24
    """Pictures on which teacher and student disagree; 0 leaves them out."""
    logging: LoggingSettings = LoggingSettings()
    """Who gets the page and the main figures too."""

    @model_validator(mode="after")
    def _some_run(self) -> Self:
        if not self.runs:
            raise ValueError("name at least one run folder: runs=[runs/…]")
        return self


def _one_is_a_list(value: Any) -> Any:
    """A number is short for a list of one."""
    return [value] if isinstance(value, int | float) else value


class FigureSettings(Section):
    """``dk figure``: a picture of the theory, or of what runs have learned."""

    name: str
    run: Annotated[tuple[Path, ...], BeforeValidator(as_list)] = ()
    out: Path | None = None
    """The file, whose suffix is its format; None is the name with .svg."""
    split: Literal["test", "validation"] = "test"
    sample: Annotated[int, Strict(), Field(ge=0)] | None = None
    """The number of an example in the split; None chooses the most ambiguous one that is answered rightly."""
    temperature: Annotated[tuple[Positive, ...], Field(min_length=1), BeforeValidator(_one_is_a_list)] | None = None
    root: Path | None = None
    plugins: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Where the figure goes."""
        return self.out or Path(f"{self.name}.svg")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FIGURES:
            raise ValueError(f"there is no figure {name!r}. {close_match(name, FIGURES)}")
        return name

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        choice = FIGURES[self.name]
        if len(self.run) < choice.least or (choice.most is not None and len(self.run) not in (0, choice.most)):
            raise ValueError(f"{self.name} is drawn of {choice.runs}; run names {len(self.run)}")
        for key in sorted({"temperature", "sample", "split"} - choice.uses):
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{self.name} has no use for {key}")
        if self.name in ("softmax", "forms") and self.temperature is not None and len(set(self.temperature)) < 2:
            raise ValueError(f"{self.name} goes from one temperature to another: temperature=[0.5,50]")
        if self.path.suffix not in choice.formats:
            raise ValueError(f"out={str(self.out)!r} has none of the suffixes of {self.name}: {', '.join(choice.formats)}")
        return self


S = TypeVar("S", bound=BaseModel)


def validate(schema: type[S], values: Mapping[str, Any]) -> S:
    """The checked settings.

    Raises:
        UsageError: one line for each value that is wrong, with a close match for an unknown key.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UsageError("\n".join(explain(schema, problem) for problem in error.errors()), fix="--help shows the keys and their defaults") from None
