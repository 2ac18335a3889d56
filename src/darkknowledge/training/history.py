"""The plain values of a training state, as a stranger may have written them: each is of its kind, or the state is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from darkknowledge.training.validation import Score
from darkknowledge.training.watching import Record

Count = Annotated[int, Field(ge=0)]


class History(BaseModel):
    """What a run has done so far, and what came of it."""

    model_config = ConfigDict(allow_inf_nan=False)

    step: Count
    epochs_done: Count
    seconds: Annotated[float, Field(ge=0)]
    records: list[Record]
    last: Score | None
    best: Score | None
    best_epoch: Count | None

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """What a training state tells.

        Raises:
            ValueError: something in it is of another kind; the first is named.
        """
        try:
            return cls.model_validate(state)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
