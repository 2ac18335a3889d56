"""What the stages can be told that look at what is there: finished runs, networks, transfer sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Strict, field_validator, model_validator

from darkknowledge.errors import close_match
from darkknowledge.pipeline._parts import LoggingSettings, Section, as_list
from darkknowledge.report.figure import CHOICES as FIGURES
from darkknowledge.training.recipe import Positive


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
