"""Networks: a few families of our own, those of torchvision and timm, and the user's; each sees inputs in [0, 1] in its own way."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkknowledge.model._build import build as build
    from darkknowledge.model._files import fingerprint as fingerprint, load as load, save as save, write as write
    from darkknowledge.model._network import Network as Network, NetworkSpec as NetworkSpec, Preprocessing as Preprocessing

CHOICES = {
    "cifar_resnet": "darkknowledge.model.cifar_resnet:build",
    "hinton_mlp": "darkknowledge.model.hinton_mlp:build",
}
"""Network names and what builds them."""

LIBRARIES = {
    "timm": "darkknowledge.model.timm:build",
    "torchvision": "darkknowledge.model.torchvision:build",
}
"""Words before a colon, as in ``timm:resnet18``, and what builds the network after it."""

_HOME = {
    "Network": "_network",
    "NetworkSpec": "_network",
    "Preprocessing": "_network",
    "build": "_build",
    "fingerprint": "_files",
    "load": "_files",
    "save": "_files",
    "write": "_files",
}

__all__ = ["CHOICES", "LIBRARIES", "Network", "NetworkSpec", "Preprocessing", "build", "fingerprint", "load", "save", "write"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
