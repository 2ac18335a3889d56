"""What a file that left the house says of itself, in the words in which it can be read without this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from darkknowledge.contract import PLAIN
from darkknowledge.errors import IntegrityError, UsageError

LARGEST = 4096
"""Height, width and channels of a picture at most."""


@dataclass(frozen=True, slots=True)
class Description:
    """The meaning of inputs and outputs.

    ``input_shape`` (C, H, W) is that of a picture, with values in [0, 1]. ``mean``, ``std`` and ``size`` (height, width; None for as it comes) are
    what the network itself does to it: whoever uses a file leaves that to the file. ``pictures`` is the name of how an encoded picture becomes such
    pixels. ``training`` says how the network was made; its temperature is for the record, and nothing divides by it.

    Raises:
        UsageError: there are no classes, or the shape is impossible.
    """

    class_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None
    pictures: str = PLAIN
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.class_names or not 1 <= min(self.input_shape) <= max(self.input_shape) <= LARGEST:
            raise UsageError(
                f"{len(self.class_names)} classes of pictures of shape {self.input_shape}", fix="name the classes, and a shape (C, H, W)"
            )

    def to_metadata(self) -> dict[str, str]:
        """Every field by name as JSON: what the metadata of an ONNX file hold."""
        return {name: json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], *, where: str) -> Self:
        """What `to_metadata` wrote.

        Raises:
            IntegrityError: a field is missing, or makes no sense.
        """
        try:
            found = {name: json.loads(metadata[name]) for name in cls.__dataclass_fields__}
            channels, height, width = map(int, found["input_shape"])
            size = found["size"]
            return cls(
                class_names=tuple(map(str, found["class_names"])),
                input_shape=(channels, height, width),
                mean=tuple(map(float, found["mean"])),
                std=tuple(map(float, found["std"])),
                size=None if size is None else (int(size[0]), int(size[1])),
                pictures=str(found["pictures"]),
                training=dict(found["training"]),
            )
        except (ArithmeticError, LookupError, RecursionError, TypeError, UsageError, ValueError) as error:
            why = error.what if isinstance(error, UsageError) else repr(error)
            raise IntegrityError("the file does not say what it is for", where=where, why=why, fix="use one that dk export made") from error
