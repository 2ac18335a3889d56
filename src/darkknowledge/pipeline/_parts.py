"""The parts that the settings of the stages are made of: data, networks, objectives, teachers, transfer sets, logging."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from darkknowledge.training.recipe import Positive

Share = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Strict(), Field(ge=0, lt=2**31)]


def as_section(value: Any) -> Any:
    """``"mnist"`` is short for ``{"name": "mnist"}``."""
    return {"name": value} if isinstance(value, str) else value


def as_list(value: Any) -> Any:
    """One is short for a list of one."""
    return [value] if isinstance(value, str | Path | Mapping) else value


class Section(BaseModel):
    """A part of the configuration: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def options(self, *leave_out: str) -> dict[str, Any]:
        """The values that were given or have a default other than ``None``."""
        return {key: value for key, value in self.model_dump(exclude={"name", *leave_out}).items() if value is not None}


class DataSettings(Section):
    """Which data set, which part of it, and what augmentation; see `darkknowledge.data.load`."""

    name: str = "digits"
    root: Path = Path("data")
    download: bool = False
    validation: Annotated[int, Strict(), Field(ge=0)] | Annotated[float, Strict(), Field(ge=0, lt=1)] | None = None
    """A share of the training set, or a number of cases."""
    split_seed: Seed = 0
    fraction: Share = 1.0
    labelled: Share = 1.0
    classes: tuple[str | int, ...] | None = None
    without: tuple[str | int, ...] | None = None
    hide_labels: bool = False
    augment: str | None = None
    augment_seed: Seed = 0
    mix: Literal["mixup", "cutmix"] | None = None
    mix_alpha: Annotated[float, Strict(), Field(gt=0, le=100, allow_inf_nan=False)] | None = None
    image_size: Annotated[int, Strict(), Field(ge=1)] | None = None
    workers: Annotated[int, Strict(), Field(ge=0)] | None = None
    image_column: str | None = None
    label_column: str | None = None


class PreprocessingSettings(Section):
    """What a foreign checkpoint was trained to see; see `darkknowledge.model.Preprocessing`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None


class ModelSettings(BaseModel):
    """Which network, the foreign checkpoint it starts from, and the family's own options; see `darkknowledge.model.build`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = "hinton_mlp"
    checkpoint: Path | None = None
    head: Literal["keep", "replace"] = "keep"
    """``replace`` lets the last layer of a checkpoint for other classes start afresh."""
    preprocessing: PreprocessingSettings | None = None
    """Mean, standard deviation and size that the checkpoint expects, where they are not those of the data."""

    def options(self) -> dict[str, Any]:
        """The family's own options."""
        return dict(self.__pydantic_extra__ or {})


USUAL: Mapping[str, Mapping[str, float]] = {
    "distillation": {"temperature": 4.0, "alpha": 0.9},
    "hard_label": {"label_smoothing": 0.0},
    "hinton": {"temperature": 4.0},
    "soft_cross_entropy": {"temperature": 4.0},
}
"""What the stages tell an objective that is told nothing, in YAML and in Python, so that it stands in every run's configuration."""


class ObjectiveSettings(Section):
    """What a student is trained for; see `darkknowledge.objective.build`."""

    name: str = "distillation"
    temperature: Positive | None = None
    alpha: Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    """The weight of the soft term; the hard one gets 1 − alpha."""
    hard_weight: Weight | None = None
    soft_weight: Weight | None = None
    label_smoothing: Annotated[float, Strict(), Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    terms: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        free = values.get("hard_weight") is not None or values.get("soft_weight") is not None
        usual = USUAL.get(str(values.get("name", "distillation")), {})
        return {key: value for key, value in usual.items() if not (free and key == "alpha")} | dict(values)


class TeacherSettings(Section):
    """Who teaches: run folders and named models, and how several become one."""

    source: Annotated[tuple[str | ModelSettings, ...], BeforeValidator(as_list)] = ()
    """Run folders, ``timm:…`` and ``torchvision:…`` with their published weights, or a network with its ``checkpoint``."""
    average: Literal["probability", "logit"] = "probability"
    weights: tuple[Positive, ...] | None = None
    check: bool = True
    """Stop when the teacher is no better than chance on the validation split."""


class CodecSettings(Section):
    """How a transfer set keeps a teacher's logits; see `darkknowledge.transfer`."""

    codec: Literal["float16", "float32", "uint8", "topk"] | None = None
    """None chooses by the number of classes."""
    top_k: Annotated[int, Strict(), Field(ge=1)] | None = None
    temperatures: tuple[Positive, ...] | None = None
    """Where ``topk`` keeps the exact mass of the classes that it leaves out."""

    def codec_options(self) -> dict[str, Any]:
        """The options of the codec that were given."""
        given = {"k": self.top_k, "temperatures": self.temperatures}
        return {key: value for key, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _options_of_topk(self) -> Self:
        if self.codec_options() and self.codec not in (None, "topk"):
            raise ValueError(f"top_k and temperatures belong to codec=topk, and codec={self.codec} keeps every class")
        return self


class RecordedSettings(CodecSettings):
    """Where the teacher's answers come from while a student trains."""

    mode: Literal["recorded", "live"] = "recorded"
    """``recorded`` asks the teacher once and keeps the answers for every later student, ``live`` asks it at every step."""
    least_mass: Annotated[float, Strict(), Field(ge=0, le=1)] = 0.9
    """Probability that the kept classes must hold on average, at the temperature of training (``topk`` alone)."""


class TransferSettings(RecordedSettings):
    """The same, or a transfer set that was recorded before; no teacher is needed then."""

    source: Path | None = None

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.source is not None and self.mode == "live":
            raise ValueError("a recorded set is named, and mode=live asks the teacher at every step: leave one of them away")
        if self.source is not None and (self.codec or self.codec_options()):
            raise ValueError("a recorded set is named, and codec, top_k and temperatures are for recording one: leave them away")
        return self


class LoggingSettings(Section):
    """Who hears of a run besides its metric files."""

    progress: bool = True
    wandb: bool = False
    project: str = "darkknowledge"
    tensorboard: bool = False


Data = Annotated[DataSettings, BeforeValidator(as_section)]
Model = Annotated[ModelSettings, BeforeValidator(as_section)]
Goal = Annotated[ObjectiveSettings, BeforeValidator(as_section)]
