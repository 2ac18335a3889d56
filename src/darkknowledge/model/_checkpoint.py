"""Weights from elsewhere: a state dict of another project, read as data alone and fitted to a body by its names and shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from darkknowledge.errors import DataError, IntegrityError
from darkknowledge.runs.files import MANIFEST, verify_manifest
from darkknowledge.runs.torch_file import read_torch_file

WEIGHTS = "model.safetensors"

Head = Literal["keep", "replace"]

_NESTS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
_SHOWN = 6
_DEEPEST = 8
"""Dictionaries in each other that are looked into for weights."""
_LONGEST_NAME = 1000
_LARGEST_HEADER = 1 << 23
"""Bytes of a .safetensors file's header, which names its tensors, beyond which it is taken to be corrupt: 50,000 tensors need fewer."""
_NUMBERS = frozenset(
    (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors by name, found under ``state_dict``, ``model`` and the like if they are nested. Nothing in the file is executed.

    Raises:
        DataError: the file is missing.
        IntegrityError: it is damaged, holds more than tensors and plain values, would fill more memory than it has bytes, or holds no tensors.
    """
    if path.is_dir():
        if (path / MANIFEST).is_file():
            verify_manifest(path)
        path = path / WEIGHTS
    if not path.is_file():
        raise DataError(f"no weights at {path}", fix="check the path: a .safetensors file, a state dict (.pth, .pt, .ckpt, .bin) or a model's folder")
    weights = _read_safetensors(path) if path.suffix == ".safetensors" else _unwrap(read_torch_file(path))
    if not weights:
        raise IntegrityError(f"{path.name} holds no weights by name", where=str(path), fix="save a state dict: torch.save(model.state_dict(), …)")
    if max(map(len, weights)) > _LONGEST_NAME:
        raise IntegrityError(f"{path.name} names a tensor with over {_LONGEST_NAME} characters", where=str(path), fix="do not use this file")
    return weights


def fill(body: nn.Module, weights: Mapping[str, Tensor], *, num_classes: int, head: Head = "keep", where: str) -> list[str]:
    """Copy ``weights`` into ``body``, by name, after a prefix common to the names (``module.``, ``backbone.``, …) is stripped.

    With ``head="replace"`` the body's final layer stays as it is where the weights for it are missing or have another shape; one that fits is copied.
    Returns lines for the user about what was left aside.

    Raises:
        IntegrityError: names, shapes or kinds of number do not fit; the missing, the unexpected and the differing ones are listed. The body is
            unchanged.
    """
    expected = _tensors(body)
    prefix = _prefix(weights, expected, where)
    outside = {name for name in weights if prefix and not name.startswith(prefix) and name not in expected}
    # Names without the prefix first, so that those with it win.
    ordered = sorted(weights, key=lambda name: name.startswith(prefix))
    fitted = {name.removeprefix(prefix): weights[name] for name in ordered if name not in outside}
    notes = [f"{where}: {len(outside)} entries outside {prefix!r} were left aside"] if outside else []
    fresh = _misfit(_final_layer(body, num_classes), expected, fitted) if head == "replace" else []
    if fresh:
        notes.append(f"{where}: the final layer does not fit and starts afresh ({', '.join(fresh)})")
    copy(body, {name: value for name, value in fitted.items() if name not in fresh}, where=where, fresh=fresh)
    return notes


def copy(body: nn.Module, weights: Mapping[str, Tensor], *, where: str, fresh: Iterable[str] = ()) -> None:
    """Copy ``weights`` into ``body``; the names must be the body's, apart from ``fresh``, and the shapes too.

    Raises:
        IntegrityError: they are not; the differences are listed and the body is unchanged.
    """
    expected = _tensors(body)
    # A counter that files from before PyTorch 0.4.1 lack; nothing depends on it with the default momentum.
    missing = [name for name in expected if name not in weights and name not in fresh and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in weights if name not in expected]
    shapes = [
        f"{name} {tuple(value.shape)} instead of {tuple(expected[name].shape)}"
        for name, value in weights.items()
        if name in expected and value.shape != expected[name].shape
    ]
    odd = [name for name, value in weights.items() if name in expected and not _is_plain(value, expected[name])]
    if missing or unexpected or shapes or odd:
        named = {"missing": missing, "unexpected": unexpected, "of another shape": shapes, "no dense real numbers": odd}
        raise IntegrityError(
            f"the weights do not fit the network ({', '.join(f'{len(names)} {kind}' for kind, names in named.items() if names)})",
            where=where,
            why="; ".join(f"{kind}: {_some(names)}" for kind, names in named.items() if names),
            fix="build the network that the weights were saved from; for another number of classes, head=replace starts the final layer afresh",
        )
    body.load_state_dict(dict(weights), strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > _LARGEST_HEADER:
            raise ValueError(f"its header would have {header:,} bytes")
        return load_file(path)
    except Exception as error:  # a damaged header fails in many ways, and each kind of number that torch does not know in another
        raise IntegrityError(f"{path.name} cannot be read: {error}", where=str(path), fix="get the file again") from error


def _unwrap(value: Any) -> dict[str, Tensor]:
    """The innermost dictionary of tensors: under a usual name, else the tensors here, else those of all entries under their names."""
    return _tensors_in(value, depth=_DEEPEST, seen=set())


def _tensors_in(value: Any, *, depth: int, seen: set[int]) -> dict[str, Tensor]:
    # Each dictionary is looked into once: one that holds itself has no end, and a few that hold each other twice spell out billions of names.
    if not isinstance(value, Mapping) or not depth or id(value) in seen:
        return {}
    seen.add(id(value))
    for nest in _NESTS:
        if found := _tensors_in(value.get(nest), depth=depth - 1, seen=seen):
            return found
    tensors = {name: item for name, item in value.items() if isinstance(name, str) and isinstance(item, Tensor)}
    parts = ((part, inner) for part, inner in value.items() if isinstance(part, str))
    return tensors or {f"{part}.{name}": item for part, inner in parts for name, item in _tensors_in(inner, depth=depth - 1, seen=seen).items()}


def _prefix(names: Collection[str], expected: Mapping[str, Tensor], where: str) -> str:
    """The leading part, up to a dot, after whose removal most names are expected ones, and with the fewest names left over."""
    hits = Counter(prefix for name in names for prefix, rest in _cuts(name) if rest in expected)
    if not hits:
        return ""
    under = Counter(prefix for name in names for prefix, _ in _cuts(name) if prefix in hits)
    ranks = {prefix: (count, -under[prefix]) for prefix, count in hits.items()}
    highest = max(ranks.values())
    best = sorted(prefix for prefix, rank in ranks.items() if rank == highest)
    if len(best) > 1:
        raise IntegrityError(
            f"the weights of {len(best)} networks fit equally well: {_some(best)}", where=where, fix="save the state dict of the one that you mean"
        )
    return best[0]


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """The name in two parts: whole, and cut behind each of its dots."""
    yield "", name
    for place, character in enumerate(name, start=1):
        if character == ".":
            yield name[:place], name[place:]


def _final_layer(body: nn.Module, num_classes: int) -> list[str]:
    """The parameter names of the last layer that has one output per class."""
    for name, module in reversed(list(body.named_modules())):
        outputs = getattr(module, "out_features", getattr(module, "out_channels", None))
        if isinstance(module, nn.Linear | nn.Conv2d) and outputs == num_classes:
            return [f"{name}.{parameter}".lstrip(".") for parameter, _ in module.named_parameters()]
    return []


def _misfit(layer: list[str], expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """All names of the layer if one of them is missing or of another shape, else none: half a layer would be worse than a fresh one."""
    fits = all(name in weights and weights[name].shape == expected[name].shape for name in layer)
    return [] if fits else layer


def _tensors(body: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in body.state_dict().items() if isinstance(value, Tensor)}


def _is_plain(value: Tensor, expected: Tensor) -> bool:
    """Whether the values can be copied as they are: dense ones in memory, of a type of numbers that turns into the expected one."""
    return value.layout is torch.strided and value.device.type == "cpu" and (value.dtype in _NUMBERS or value.dtype is expected.dtype)


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
