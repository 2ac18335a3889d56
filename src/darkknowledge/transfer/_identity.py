"""What a transfer set belongs to: a teacher, data, views. Another pairing is refused, with the first difference named."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from darkknowledge.contract import PLAIN, Average
from darkknowledge.errors import DarkKnowledgeError, IntegrityError, UsageError
from darkknowledge.transfer import codec as codecs
from darkknowledge.transfer._layout import printable, reason
from darkknowledge.transfer.codec import Codec

USING = ("class_names", "data", "transform", "views", "teacher", "average", "weights")
"""Fields that decide whether the rows are the right ones; how finely and in which batches they were recorded is not among them."""
CONTINUING = (*USING, "codec", "precision", "batch_size")
"""Fields that decide the bytes: a build goes on only where all are the same."""
MOST = 1 << 31
"""The most views of an example, and pictures in a batch."""
SHOWN = 120
"""Characters of a value in a message."""

_WHY = {
    "class_names": "every soft target would speak of the wrong class",
    "data": "the ids would stand for other pictures",
    "transform": "the teacher saw other pictures than the student would",
    "views": "a row's key is id * views + view, so every view would be another one",
    "teacher": "the soft targets are another teacher's",
    "average": "the members' answers would be averaged by another rule",
    "weights": "the members' answers would be averaged with other weights",
    "codec": "the rows would be of another kind",
    "precision": "the rows would differ in their last digits",
    "batch_size": "another batch size changes the last digits, so the files would differ",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that decides what a transfer set's rows are.

    ``teacher`` holds the weight fingerprint of each member, ``weights`` their shares, ``average`` the rule. ``data`` is the fingerprint of the data
    set, ``transform`` what a view shows, ``views`` how many an example has. ``precision`` and ``batch_size`` are those of the teacher's forward
    passes.

    Raises:
        UsageError: no or doubled class names, weights that are not positive, one a member and 1 together, a codec for another number of classes,
            a rule or precision that there is not, or a number below 1 or above 2³¹.
    """

    teacher: tuple[str, ...]
    average: Average
    weights: tuple[float, ...]
    data: str
    class_names: tuple[str, ...]
    transform: str
    views: int
    codec: Codec
    precision: Literal["fp32", "bf16"] = "fp32"
    batch_size: int = 256

    def __post_init__(self) -> None:
        wrong = {
            f"{len(self.weights)} weights for {len(self.teacher)} teachers": not self.teacher or len(self.weights) != len(self.teacher),
            f"weights={self.weights}": not all(map(_is_share, self.weights)) or abs(math.fsum(self.weights) - 1) > 1e-4,
            f"average={self.average!r}": self.average not in ("probability", "logit"),
            f"precision={self.precision!r}": self.precision not in ("fp32", "bf16"),
            "class names that are missing or doubled": not self.class_names or len(set(self.class_names)) < len(self.class_names),
            f"views={self.views}": not 1 <= self.views <= MOST,
            f"batch_size={self.batch_size}": not 1 <= self.batch_size <= MOST,
            f"a codec for {self.codec.classes} of {len(self.class_names)} classes": self.codec.classes != len(self.class_names),
        }
        for what, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(f"an identity of a transfer set with {what}", fix="give each its true value")

    @property
    def members(self) -> int:
        """How many answers a row holds: one a teacher, but only their mean where the logits are averaged, as that mean serves every temperature."""
        return 1 if self.average == "logit" else len(self.teacher)

    @property
    def bytes_per_answer(self) -> int:
        """Bytes of a row's answers."""
        return self.members * self.codec.width

    @property
    def plain(self) -> bool:
        """Whether each example is shown as it is, once."""
        return self.transform == PLAIN and self.views == 1

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {**values, "codec": {"name": self.codec.name, "options": dict(self.codec.options())}}

    @classmethod
    def from_dict(cls, values: Any) -> Identity:
        """The identity that `to_dict` put into a file.

        Raises:
            IntegrityError: a field is missing, unknown, or of another kind.
        """
        try:
            return cls(**_parsed(values))
        except (AttributeError, KeyError, TypeError, ValueError, DarkKnowledgeError) as error:
            raise IntegrityError(
                f"this is no identity of a transfer set: {reason(error)}", fix="use a newer darkknowledge, or record the set anew"
            ) from error


def _parsed(values: Any) -> dict[str, Any]:
    if set(values) != {field.name for field in fields(Identity)}:
        raise ValueError(f"its fields are {sorted(values)}")
    for name, kind in {"average": str, "data": str, "transform": str, "precision": str, "views": int, "batch_size": int}.items():
        if type(values[name]) is not kind:
            raise TypeError(f"{name} is {values[name]!r}")
    class_names = _strings(values["class_names"])
    codec = codecs.build(values["codec"]["name"], len(class_names), **values["codec"]["options"])
    return {**values, "teacher": _strings(values["teacher"]), "weights": tuple(values["weights"]), "class_names": class_names, "codec": codec}


def _is_share(weight: Any) -> bool:
    return type(weight) in (int, float) and 0 < weight <= 1


def _strings(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is no list of texts")
    return tuple(values)


def require_same(found: Identity, wanted: Identity, *, where: str, fix: str, names: tuple[str, ...] = USING) -> None:
    """Refuse an identity that differs from the wanted one in one of the fields ``names``.

    Raises:
        IntegrityError: it does; the message names the first such field and both values.
    """
    for name in names:
        ours, theirs = getattr(wanted, name), getattr(found, name)
        if ours != theirs:
            raise different(name, theirs, ours, where=where, why=_WHY[name], fix=fix)


def require_same_transform(identity: Identity, transform: str, *, where: str) -> None:
    """Refuse pictures that show something else than those that the teacher saw.

    Raises:
        IntegrityError: their transform is another. A set of plain pictures goes with any, as every data set can show its plain pictures.
    """
    if transform != identity.transform and not identity.plain:
        fix = "give the data the transform that the set was recorded with, or record the set anew"
        raise different("transform", identity.transform, transform, where=where, why=_WHY["transform"], fix=fix)


def different(name: str, found: Any, wanted: Any, *, where: str, why: str, fix: str) -> IntegrityError:
    """The message for a set that has one value where another is wanted."""
    if isinstance(found, tuple) and isinstance(wanted, tuple) and len(found) == len(wanted):
        index = next(index for index, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
        name, found, wanted = f"{name}[{index}]", found[index], wanted[index]
    what = f"the transfer set has another {name}: {_shown(found)}, wanted is {_shown(wanted)}"
    return IntegrityError(what, where=where, why=why, fix=fix)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        value = f"{len(value)} ({', '.join(map(str, value))})"
    elif hasattr(value, "options"):
        value = described(value)
    text = printable(str(value))
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 2]} …"


def described(codec: Codec) -> str:
    """A codec and its options in a few words."""
    return ", ".join([codec.name, *(f"{name}={value}" for name, value in codec.options().items())])
