"""How a row of logits becomes bytes, and back. Importing this package imports nothing slow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from darkknowledge.errors import UsageError, close_match

if TYPE_CHECKING:
    from torch import Tensor

    from darkknowledge.contract import Dense

CHOICES = {
    "float16": "darkknowledge.transfer.codec.float16:Float16",
    "float32": "darkknowledge.transfer.codec.float32:Float32",
    "topk": "darkknowledge.transfer.codec.topk:TopK",
    "uint8": "darkknowledge.transfer.codec.uint8:UInt8",
}
"""Name of a codec to ``module:class``."""

DENSE_FLOAT16, DENSE_UINT8 = 256, 4096
"""Up to so many classes a row is dense: 512 bytes of float16, then at most 4,104 bytes of uint8."""


class Codec(Protocol):
    """A frozen, comparable object that packs rows of ``classes`` logits into rows of ``width`` bytes."""

    @property
    def name(self) -> str:
        """Its key in `CHOICES`."""

    @property
    def classes(self) -> int: ...

    @property
    def width(self) -> int:
        """Bytes of a row."""

    @property
    def temperatures(self) -> tuple[float, ...] | None:
        """The only temperatures at which rows can be decoded, or None: at any."""

    def options(self) -> Mapping[str, Any]:
        """What `build` needs besides name and classes, as plain JSON values."""

    def unfit(self, logits: Tensor) -> Tensor:
        """(R,) bool: finite rows with a number too large for this codec."""

    def encode(self, logits: Tensor) -> Tensor:
        """Finite, fitting logits (R, C) float32 as bytes (R, width) uint8."""

    def decode(self, rows: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits (R, C) float32 of the bytes (R, width) uint8, on the same device; their softmax at ``temperature`` is the soft target."""

    def extremes(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and the highest stored logit of each row, (R,) float32 each."""

    def broken(self, rows: Tensor) -> Tensor:
        """(R,) bool: rows that `encode` can't have made."""


class DenseCodec(Codec, Protocol):
    """A codec that keeps a number for every class, and can hand it out as it lies there."""

    def stored(self, rows: Tensor) -> Dense:
        """The numbers in rows (R, width) uint8: views of those bytes where they allow it."""


def build(name: str, classes: int, **options: Any) -> Codec:
    """The codec ``name`` for rows of ``classes`` logits.

    Raises:
        UsageError: no such codec or option, or a value it can't have.

    >>> build("uint8", 1000).width
    1008
    """
    if name not in CHOICES:
        raise UsageError(f"there is no codec {name!r}", where="codec", fix=close_match(name, CHOICES))
    module, _, attribute = CHOICES[name].partition(":")
    made = getattr(import_module(module), attribute)
    known = set(inspect.signature(made).parameters) - {"classes"}
    for option in options:
        if option not in known:
            fix = close_match(option, known) if known else "leave it out"
            raise UsageError(f"the codec {name} has no option {option!r}", where=f"codec={name}", fix=fix)
    codec: Codec = made(classes, **options)
    return codec


def choose(classes: int) -> Codec:
    """The codec that suits ``classes`` classes.

    Dense float16 up to 256 classes (512 bytes a row), dense uint8 up to 4,096, above that the 128 largest logits: 528 bytes a row, about as much as
    the widest dense float16 row. Of a vocabulary's soft target at temperature 1 they hold nearly all, and what is left is kept as one number.

    >>> choose(10).name, choose(1000).name, choose(50_000).name, choose(50_000).width
    ('float16', 'uint8', 'topk', 528)
    """
    if classes <= DENSE_FLOAT16:
        return build("float16", classes)
    return build("uint8", classes) if classes <= DENSE_UINT8 else build("topk", classes)
