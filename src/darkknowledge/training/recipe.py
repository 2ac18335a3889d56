"""How a network is trained: every number of the loop, checked before torch is imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

Positive = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(ge=0, lt=1, allow_inf_nan=False)]


class Recipe(BaseModel):
    """The training recipe. Times are in epochs, possibly fractional; ``steps`` caps the optimizer steps and shortens the schedule with them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[int, Strict(), Field(ge=1)] = 30
    steps: Annotated[int, Strict(), Field(ge=1)] | None = None
    batch_size: Annotated[int, Strict(), Field(ge=1)] = 256
    accumulate: Annotated[int, Strict(), Field(ge=1)] = 1
    """Pieces in which a batch is computed to save memory; the step is that of the whole batch (batch normalisation sees the pieces)."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Fraction = 0.9
    """Nesterov momentum of sgd; the first beta of adamw."""
    weight_decay: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] = 0.0
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup: Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)] = 1.0
    milestones: tuple[Positive, ...] = ()
    """Epochs at which the step schedule multiplies the learning rate by ``decay``."""
    decay: Annotated[float, Strict(), Field(gt=0, le=1)] = 0.1
    clip_norm: Positive | None = None
    ema: Annotated[float, Strict(), Field(gt=0, lt=1)] | None = None
    """Decay per step of an exponential moving average of the weights, which is then validated and kept."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto`` is bf16 where the hardware has it and the network is large enough for it to pay (`darkknowledge.training.precision`)."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether torch compiles the network and the objective; ``auto`` does where it pays in this run (docs/speed.md)."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Strict(), Field(ge=1)] | None = None
    """Of torch; None is as many as there are cores that the process may keep busy (`darkknowledge.training.threads`)."""
    views: Annotated[int, Strict(), Field(ge=1)] | None = None
    """Different augmented views of each picture, which the epochs share (`darkknowledge.randomness.view_of`); None is a new one in every epoch."""
    shuffle_block: Annotated[int, Strict(), Field(ge=1)] | None = None
    """Shuffle blocks of so many consecutive examples, for a transfer set larger than memory; None shuffles them all."""
    validate_every: Annotated[int, Strict(), Field(ge=1)] = 1
    """Epochs between two looks at the validation split, for a training set that is small beside it; the last epoch is always looked at."""
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**31)] = 0
    log_every: Annotated[int, Strict(), Field(ge=1)] = 50
    """Steps between two records of the terms, each a mean over those steps."""
    checkpoint_every: Annotated[float, Strict(), Field(ge=0)] = 60.0
    """Seconds between two saved training states."""

    @model_validator(mode="after")
    def _steps_somewhere(self) -> Recipe:
        if self.schedule == "step" and not self.milestones:
            raise ValueError("the step schedule needs milestones, for example milestones=[15,25]")
        return self


SHARED = ("epochs", "steps", "batch_size", "accumulate", "views", "shuffle_block", "validate_every", "seed", "device", "threads")
"""What the recipes of runs must agree on to see the same batches at the same time: order and view, size, place."""


def same_batches(one: Recipe, other: Recipe) -> bool:
    """Whether two runs on the same examples see the same batches, so that they can be trained together."""
    return all(getattr(one, key) == getattr(other, key) for key in SHARED)
