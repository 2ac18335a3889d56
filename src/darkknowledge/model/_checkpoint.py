"""Weights from elsewhere: a state dict of another project, read as data alone and fitted to a body by its names and shapes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from darkknowledge.errors import DataError, IntegrityError
from darkknowledge.runs.files import MANIFEST, verify_manifest

WEIGHTS = "model.safetensors"

Head = Literal["keep", "replace"]

_NESTS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
_SHOWN = 6


def load_checkpoint(body: nn.Module, path: Path, *, num_classes: int, head: Head = "keep") -> list[str]:
    """Fill ``body`` with the weights in ``path``: a ``.safetensors`` file, a state dict of PyTorch, or a folder with ``model.safetensors``.

    Returns lines for the user about what was left aside. Errors as `read_weights` and `fill`.
    """
    return fill(body, read_weights(path), num_classes=num_classes, head=head, where=str(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors by name, found under ``state_dict``, ``model`` and the like if they are nested. Nothing in the file is executed.

    Raises:
        DataError: the file is missing.
        IntegrityError: it is damaged, holds more than tensors and plain values, or holds no tensors.
    """
    if path.is_dir():
        if (path / MANIFEST).is_file():
            verify_manifest(path)
        path = path / WEIGHTS
    if not path.is_file():
        raise DataError(f"no weights at {path}", fix="check the path: a .safetensors file, a state dict (.pth, .pt, .ckpt, .bin) or a model's folder")
    weights = _read_safetensors(path) if path.suffix == ".safetensors" else _unwrap(_read_pickle(path))
    if not weights:
        raise IntegrityError(f"{path.name} holds no weights by name", where=str(path), fix="save a state dict: torch.save(model.state_dict(), …)")
    return weights


def fill(body: nn.Module, weights: Mapping[str, Tensor], *, num_classes: int, head: Head = "keep", where: str) -> list[str]:
    """Copy ``weights`` into ``body``, by name, after a prefix common to the names (``module.``, ``backbone.``, …) is stripped.

    With ``head="replace"`` the body's final layer stays as it is where the weights for it are missing or have another shape; one that fits is copied.
    Returns lines for the user about what was left aside.

    Raises:
        IntegrityError: names or shapes do not fit; the missing, the unexpected and the differing ones are listed. The body is unchanged.
    """
    expected = _tensors(body)
    prefix = _prefix(weights, expected, where)
    outside = [name for name in weights if prefix and not name.startswith(prefix) and name not in expected]
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
    if missing or unexpected or shapes:
        named = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        raise IntegrityError(
            f"the weights do not fit the network ({', '.join(f'{len(names)} {kind}' for kind, names in named.items() if names)})",
            where=where,
            why="; ".join(f"{kind}: {_some(names)}" for kind, names in named.items() if names),
            fix="build the network that the weights were saved from; for another number of classes, head=replace starts the final layer afresh",
        )
    body.load_state_dict(dict(weights), strict=False)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"{path.name} cannot be read: {error}", where=str(path), fix="get the file again") from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # about pickle's protocol, of no use to whoever wants the weights
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in as many ways as there are bytes
        if "global" in str(error).lower():
            raise IntegrityError(
                f"{path.name} holds Python objects and not only weights: it was not opened",
                where=str(path),
                why="reading such objects can run any code that the file's author put there",
                fix="where you trust the file, save its weights alone with torch.save(model.state_dict(), …) or as .safetensors",
            ) from error
        # PyTorch's own message is not repeated: it advises to open the file without protection.
        raise IntegrityError(f"{path.name} is damaged, or no file of PyTorch's", where=str(path), fix="get the file again") from error


def _unwrap(value: Any) -> dict[str, Tensor]:
    """The innermost dictionary of tensors: under a usual name, else the tensors here, else those of all entries under their names."""
    if not isinstance(value, Mapping):
        return {}
    for nest in _NESTS:
        if isinstance(value.get(nest), Mapping) and (found := _unwrap(value[nest])):
            return found
    tensors = {name: item for name, item in value.items() if isinstance(name, str) and isinstance(item, Tensor)}
    return tensors or {f"{part}.{name}": item for part, inner in value.items() if isinstance(part, str) for name, item in _unwrap(inner).items()}


def _prefix(names: Iterable[str], expected: Mapping[str, Tensor], where: str) -> str:
    """The leading part, up to a dot, after whose removal most names are expected ones, and with the fewest names left over."""
    names = list(names)
    hits = Counter(name[: len(name) - len(rest)] for name in names for rest in _endings(name) if rest in expected)
    if not hits:
        return ""
    ranks = {prefix: (count, -sum(name.startswith(prefix) for name in names)) for prefix, count in hits.items()}
    best = sorted(prefix for prefix, rank in ranks.items() if rank == max(ranks.values()))
    if len(best) > 1:
        raise IntegrityError(
            f"the weights of {len(best)} networks fit equally well: {_some(best)}", where=where, fix="save the state dict of the one that you mean"
        )
    return best[0]


def _endings(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(len(parts))]


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


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
