"""``package.module:Class``: a network of the user's own."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from torch import nn

from darkknowledge.errors import UsageError
from darkknowledge.model._network import Preprocessing, Request


def build(request: Request, spelling: str, **options: Any) -> tuple[nn.Module, Preprocessing]:
    """An instance of the class, made as ``Class(num_classes=…, input_shape=…, **options)``, which sees the data as it comes, normalised.

    Importing the module runs its code, so ``spelling`` must come from the user, never from a file.

    Raises:
        UsageError: no such module or class, options that the class does not take, or a result that is no ``torch.nn.Module``.
    """
    factory = _find(spelling)
    arguments = {"num_classes": request.num_classes, "input_shape": request.input_shape, **options}
    _check(factory, arguments, spelling)
    body = factory(**arguments)
    if not isinstance(body, nn.Module):
        raise UsageError(f"{spelling} made a {type(body).__name__}, not a torch.nn.Module", fix="name a class of networks")
    return body, request.preprocessing()


def _find(spelling: str) -> Any:
    module, _, attribute = spelling.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise UsageError(
            f"{module} cannot be imported: {error}",
            where=spelling,
            fix="check its spelling and the Python path; a library's network is spelled timm:NAME or torchvision:NAME",
        ) from error
    except AttributeError as error:
        raise UsageError(f"{module} has no {attribute!r}", where=spelling, fix="check the class's spelling") from error


def _check(factory: Any, arguments: dict[str, Any], spelling: str) -> None:
    signature = inspect.signature(factory)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        names = set(signature.parameters) - {"num_classes", "input_shape"}
        raise UsageError(
            f"{spelling} cannot be called with {', '.join(arguments)}: {error}",
            why="it is built as Class(num_classes=…, input_shape=…, **options)",
            fix=f"Options it takes: {', '.join(sorted(names)) or 'none'}.",
        ) from error
