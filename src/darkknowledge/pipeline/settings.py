"""What each stage can be told, checked before anything slow is imported: types, ranges, unknown keys with a close match."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, Strict, ValidationError, field_validator, model_validator

from darkknowledge.errors import UsageError
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
    TeacherSettings,
    TransferSettings,
    as_list,
)
from darkknowledge.training.recipe import Recipe


class StageSettings(Section):
    """What every stage that trains has."""

    data: Data = DataSettings()
    training: Recipe = Recipe()
    logging: LoggingSettings = LoggingSettings()
    out: Path | None = None
    resume: bool = False
    plugins: tuple[str, ...] = ()
    """Modules whose classes may be imported when a run that names one is loaded."""


class TrainSettings(StageSettings):
    """``dk train``: a network and labels."""

    model: Model = ModelSettings()
    objective: Goal = ObjectiveSettings(name="hard_label")


VIEWS = 8
"""Augmented views of each picture that a teacher is asked about, unless told otherwise (chosen by ``benchmarks/transfer``)."""


def _with_views(value: Any) -> Any:
    """A student's recipe, whose epochs share `VIEWS` views of each picture, so that the teacher need not be asked anew in each."""
    return {"views": VIEWS} | dict(value) if isinstance(value, Mapping) else value


StudentRecipe = Annotated[Recipe, BeforeValidator(_with_views)]


class DistillSettings(StageSettings):
    """``dk distill``: a student, a teacher and perhaps labels."""

    student: Model = ModelSettings()
    teacher: TeacherSettings = TeacherSettings()
    transfer: TransferSettings = TransferSettings()
    objective: Goal = ObjectiveSettings()
    training: StudentRecipe = Recipe(views=VIEWS)


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
    cost: bool = True
    threads: Annotated[int, Strict(), Field(ge=1)] | None = None
    plugins: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _some_run(self) -> EvaluateSettings:
        if not self.run:
            raise ValueError("name at least one run folder: run=runs/…")
        return self


class ListSettings(Section):
    """``dk list``: the runs under a folder."""

    root: Path = Path("runs")


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
