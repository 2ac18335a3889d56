"""What each stage can be told, checked before anything slow is imported: types, ranges, unknown keys with a close match."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, Strict, ValidationError, field_validator, model_validator

from darkknowledge.errors import UsageError
from darkknowledge.pipeline._explanation import explain
from darkknowledge.pipeline._finished import (
    EvaluateSettings as EvaluateSettings,
    ExportSettings as ExportSettings,
    FigureSettings as FigureSettings,
    ListSettings as ListSettings,
    PredictSettings as PredictSettings,
    ReportSettings as ReportSettings,
    TransferSetSettings as TransferSetSettings,
    VerifySettings as VerifySettings,
)
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
