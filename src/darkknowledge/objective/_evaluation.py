"""How a closed form is carried out: compiled where the work ahead is worth it, else as it stands, in chunks of rows that fit a processor's cache."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from types import FunctionType
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from darkknowledge.errors import ResourceError, UsageError
from darkknowledge.objective import _checks
from darkknowledge.objective._closed_form import Found, Passed, dense_form, working_dtype
from darkknowledge.objective._processor_form import processor_form

Compile = Literal["auto", "on", "off"]

WORTH = 10**9
"""Logits from which compiling pays, counting every example as `OVERHEAD` more. On one thread of an AMD EPYC (AVX512-BF16) with torch 2.15 a compiled
form saves about 10 ns a logit and 0.1 ms a batch of 256, and compiling takes 5 to 10 s (``benchmarks/objective``)."""

OVERHEAD = 50

CHUNK = {"cpu": 1 << 15}
"""Logits of a chunk of rows; on other devices `LARGE_CHUNK`, which bounds the memory and keeps the device busy."""

LARGE_CHUNK = 1 << 26

Result = TypeVar("Result", Found, Passed)


class Evaluation:
    """Decides once whether to compile, and evaluates closed forms accordingly.

    Nobody need say how much work is ahead: then as much is expected as there has been, and compiling begins after `WORTH` logits.

    Raises:
        ResourceError: compilation is asked for and impossible. With ``auto`` a line says so, and everything is evaluated as it stands.
    """

    def __init__(self, compile: Compile = "auto") -> None:
        if compile not in ("auto", "on", "off"):
            raise UsageError(f"compile={compile!r}", fix="choose auto, on or off")
        self.compile = compile
        self._ahead: int | None = None
        self._seen = 0

    def expect(self, examples: int, compile: Compile) -> None:
        """So many examples will come in all; ``compile`` counts where this was made with ``auto``."""
        self._ahead = examples
        if self.compile == "auto":
            self.compile = compile

    def begin(self, student: Tensor) -> bool:
        """Count the examples of a batch; whether it will be compiled."""
        self._seen += len(student)
        return self._compiles(student)

    def __call__(self, form: Callable[..., Result], student: Tensor, /, *others: Tensor | None, **flags: bool) -> Result:
        """``form`` of the student's logits (B, C) and what goes with them: tensors with a row for each example, or scalars."""
        if self._compiles(student) and len(student) > 1:  # of a single row torch would make code of its own
            try:
                return _compiled(form, student, *others, **flags)
            except torch._dynamo.exc.TorchDynamoException as error:
                self._give_up(error)
        return _in_chunks(form, student, *others, **flags)

    def _compiles(self, student: Tensor) -> bool:
        if self.compile != "auto":
            return self.compile == "on"
        return (self._seen if self._ahead is None else self._ahead) * (student.shape[1] + OVERHEAD) >= WORTH

    def _give_up(self, error: Exception) -> None:
        inner = getattr(error, "inner_exception", error)
        reason = next((line for line in str(inner).splitlines() if line.strip()), type(inner).__name__)
        if self.compile == "on":
            fix = "install a C++ compiler (g++ or clang++; on a GPU Triton too), or choose compile=off"
            raise ResourceError(f"the objective cannot be compiled here: {reason}", fix=fix) from error
        self.compile = "off"
        logging.getLogger(__name__).warning("the objective is not compiled: %s", reason)


def _in_chunks(form: Callable[..., Result], student: Tensor, /, *others: Tensor | None, **flags: bool) -> Result:
    """As it stands. The (B, C) parts of a chunk stay in the cache, so the passes over them cost little."""
    run: Callable[..., Any] = form
    if run is dense_form and _checks.can_look(student) and len(student):
        run = processor_form
    rows = max(1, CHUNK.get(student.device.type, LARGE_CHUNK) // student.shape[1])
    if len(student) <= rows:
        return run(student, *others, **flags)  # type: ignore[no-any-return]
    gradient = torch.empty_like(student, dtype=working_dtype(student.dtype))
    found = []
    for start in range(0, len(student), rows):
        chunk = slice(start, start + rows)
        found.append(run(student[chunk], *(part if part is None or not part.ndim else part[chunk] for part in others), **flags))
        gradient[chunk] = found[-1].gradient
    *columns, _ = zip(*found, strict=True)
    return type(found[0])(*(_together(column) for column in columns), gradient)  # type: ignore[no-any-return]


def _together(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """Sums of chunks as one, columns one after the other."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    return torch.stack(there).sum() if not there[0].ndim else torch.cat(there)


_CODE: dict[Hashable, Callable[..., Any]] = {}


def _compiled(form: Callable[..., Result], student: Tensor, /, *others: Tensor | None, **flags: bool) -> Result:
    """By code compiled for these classes, dtypes and parts, and for any number of examples."""
    parts = (student, *others)
    # All that compiled code depends on, so that torch need not compare it again at every call.
    layout = tuple(None if part is None else (part.dtype, part.stride()) for part in parts)
    key = (form, student.device, student.shape[1], layout, torch.get_num_threads(), *flags.values())
    for part in parts:
        if part is not None and part.ndim == 2:  # at every call: torch forgets its code when it is reset
            torch._dynamo.maybe_mark_dynamic(part, 0)
    if key not in _CODE:
        # A code object of its own, because torch counts compilations by that and gives up after eight.
        assert isinstance(form, FunctionType)
        own = FunctionType(form.__code__.replace(), form.__globals__)
        _CODE[key] = torch.compile(own, options=_options(student.device.type))
    return _CODE[key](*parts, **flags)  # type: ignore[no-any-return]


def _options(device: str) -> dict[str, Any]:
    """A multiplication and an addition may be one instruction: a sixth faster, and the rounding in between is none that the form relies on."""
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    return options | ({"cpp.enable_floating_point_contract_flag": "fast"} if device == "cpu" else {})
