"""A network that can be saved: a body, what the body expects to see, and the words it was built from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkknowledge.errors import UsageError

LARGEST = 4096
"""Height and width to which pictures are brought at most."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    r"""What a body expects to see: :math:`(x - \text{mean}) / \text{std}` per channel, at ``size`` (height, width), ``None`` for inputs as they come.

    Grey inputs (one channel) of a body that expects several channels are repeated in each of them.

    Raises:
        UsageError: lengths differ, a standard deviation is not positive, a value is not finite, or a size is not in 1 … 4096.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise UsageError(f"mean has {len(self.mean)} channels and std has {len(self.std)}", fix="give one mean and one std per channel")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise UsageError(f"mean {self.mean} and std {self.std} cannot normalise inputs", fix="give finite numbers, and std above 0")
        if self.size is not None and not 1 <= min(self.size) <= max(self.size) <= LARGEST:
            raise UsageError(f"the size {self.size} is no (height, width)", fix=f"give two integers from 1 to {LARGEST}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The record that `to_dict` wrote."""
        size = values["size"]
        return cls(tuple(map(float, values["mean"])), tuple(map(float, values["std"])), None if size is None else (int(size[0]), int(size[1])))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """From what a network was built: enough to build an equal one, apart from its weights.

    ``input_shape`` is (C, H, W) of the data it was built for, ``class_names`` the meaning of its outputs, in order.

    Raises:
        UsageError: a count or a shape is impossible, class names do not fit, or an option is no plain value.
    """

    name: str
    num_classes: int
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.num_classes, *self.input_shape) < 1:
            raise UsageError(
                f"{self.name} cannot be built for {self.num_classes} classes and inputs of shape {self.input_shape}",
                fix="give at least one class and a shape (channels, height, width) of positive integers",
            )
        if len(self.class_names) != self.num_classes:
            raise UsageError(f"{len(self.class_names)} class names for {self.num_classes} classes", where=self.name, fix="name every class once")
        object.__setattr__(self, "options", {key: _plain(value, f"{self.name}: option {key!r}") for key, value in self.options.items()})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The record that `to_dict` wrote."""
        channels, height, width = map(int, values["input_shape"])
        names = tuple(map(str, values["class_names"]))
        return cls(str(values["name"]), int(values["num_classes"]), (channels, height, width), names, dict(values["options"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Request:
    """What a builder is asked for: a body for these inputs and classes; ``mean`` and ``std`` are those of the data.

    ``fetch`` is false where the weights come from elsewhere (a file), so that nothing is downloaded.
    """

    num_classes: int
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fetch: bool = True

    def preprocessing(self, *, channels: int | None = None, size: tuple[int, int] | None = None) -> Preprocessing:
        """The data's own mean and standard deviation, repeated for a body of ``channels`` channels that sees grey pictures."""
        repeats = channels if channels and len(self.mean) == 1 else 1
        return Preprocessing(self.mean * repeats, self.std * repeats, size)


class Network(nn.Module):
    """A body that sees inputs in [0, 1] its own way.

    Whatever the data's channels and size, the body gets them resized (bilinear with antialiasing, only when sizes differ) and normalised by
    ``preprocessing``. The body alone holds what is learned: ``network.body.state_dict()`` is what a file keeps.

    Example:
        >>> spec = NetworkSpec("example", num_classes=4, input_shape=(1, 2, 2), class_names=("a", "b", "c", "d"))
        >>> network = Network(nn.Flatten(), Preprocessing((0.5,), (0.25,)), spec)
        >>> network(torch.tensor([[[[0.0, 0.5], [0.75, 1.0]]]]))
        tensor([[-2.,  0.,  1.,  2.]])
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, body: nn.Module, preprocessing: Preprocessing, spec: NetworkSpec) -> None:
        super().__init__()
        self.body, self.preprocessing, self.spec = body, preprocessing, spec
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
        # x·scale + shift is one kernel, and grey inputs are broadcast by it at no cost. Not persistent: the record holds the values.
        self.register_buffer("scale", (1 / std).float(), persistent=False)
        self.register_buffer("shift", (-mean / std).float(), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, num_classes) of inputs (B, C, H, W) in [0, 1]."""
        return self.body(self.view(inputs))  # type: ignore[no-any-return]

    def view(self, inputs: Tensor) -> Tensor:
        """What the body sees of inputs (B, C, H, W) in [0, 1].

        Raises:
            UsageError: inputs of another rank, or of a channel count that is neither the body's nor 1.
        """
        channels, size = len(self.scale), self.preprocessing.size
        if inputs.ndim != 4 or inputs.shape[1] not in (1, channels):
            raise UsageError(
                f"{self.spec.name} expects inputs of shape (batch, {channels}, height, width), got {tuple(inputs.shape)}",
                fix="give pictures with that many channels, or grey ones with one",
            )
        if size is not None and tuple(inputs.shape[2:]) != size:
            # In 16 bits, as bf16 training shows its pictures, processors cannot do it.
            inputs = F.interpolate(inputs.float() if inputs.itemsize == 2 else inputs, size=size, mode="bilinear", antialias=True)
        return torch.addcmul(self.shift, inputs, self.scale)

    def project_(self) -> None:
        """Bring the weights back to where the body wants them (`HintonMLP` bounds their norms); a body without ``project_`` is left alone.

        Meant to be called after each optimiser step.
        """
        project = getattr(self.body, "project_", None)
        if project is not None:
            project()


def _plain(value: Any, where: str) -> Any:
    """The value as a run can record it: lists become tuples, so that a record read back from JSON equals the one written."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return tuple(_plain(item, where) for item in value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, where) for key, item in value.items()}
    raise UsageError(
        f"{where} is a {type(value).__name__}",
        why="a run records its options as plain text to build the network again",
        fix="give numbers, text, true, false, null, or lists and mappings of them",
    )
