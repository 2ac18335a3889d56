"""``torchvision:NAME``: the classifiers of torchvision, with random or pretrained weights, for the data's classes."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from darkknowledge.errors import ResourceError, UsageError, close_match
from darkknowledge.model._checkpoint import fill
from darkknowledge.model._network import Preprocessing, Request


def build(request: Request, architecture: str, *, pretrained: bool = False, size: int | None = None) -> tuple[nn.Module, Preprocessing]:
    """A classifier of torchvision with one output per class of the data.

    With ``pretrained`` it starts from the library's best published weights and sees what those were trained on (their mean, standard deviation and
    crop size, to which the whole picture is resized); the final layer is fresh unless the class counts agree. Without, it sees the data as it comes.
    A ``size`` chosen here goes before both. Grey pictures are repeated in the three channels.

    Raises:
        UsageError: an unknown architecture, a channel count other than 1 and 3, or a size that the architecture cannot take.
        ResourceError: the pretrained weights cannot be fetched.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if architecture not in known:
        raise UsageError(f"torchvision has no classifier {architecture!r}", where=f"torchvision:{architecture}", fix=close_match(architecture, known))
    if request.input_shape[0] not in (1, 3):
        raise UsageError(f"torchvision:{architecture} takes pictures of 3 channels, or grey ones, not of {request.input_shape[0]}")
    weights = models.get_model_weights(architecture).DEFAULT if pretrained else None
    native = _native_size(architecture, weights)
    if size is not None and weights and native and size != native:
        raise UsageError(f"the pretrained {architecture} sees pictures of {native}×{native} only", where=f"size={size}", fix="leave size out")
    size = native if size is None else size
    try:
        body = models.get_model(architecture, weights=None, num_classes=request.num_classes, **_arguments(architecture, pretrained, size))
    except (AssertionError, ArithmeticError, RuntimeError, ValueError) as error:
        raise UsageError(f"torchvision:{architecture} cannot be built for size {size}: {error}", fix="choose another size") from error
    if weights is not None and request.fetch:
        fill(body, _fetch(architecture, weights), num_classes=request.num_classes, head="replace", where=weights.url)
    return body, _preprocessing(request, weights, size)


def _preprocessing(request: Request, weights: Any, size: int | None) -> Preprocessing:
    if weights is None:
        return request.preprocessing(channels=3, size=None if size is None else (size, size))
    expected = weights.transforms()
    size = expected.crop_size[0] if size is None else size
    return Preprocessing(tuple(expected.mean), tuple(expected.std), (size, size))


def _native_size(architecture: str, weights: Any) -> int | None:
    """The one size that an architecture with position embeddings or windows is made for; ``None`` where any size will do."""
    if architecture.startswith("vit_"):
        return int(weights.meta["min_size"][0]) if weights else 224
    return 224 if architecture.startswith("maxvit") else None


def _arguments(architecture: str, pretrained: bool, size: int | None) -> dict[str, Any]:
    if architecture.startswith("vit_"):
        return {"image_size": size}
    if architecture.startswith("maxvit"):
        return {"input_size": (size, size)}
    if architecture in ("googlenet", "inception_v3"):
        # Auxiliary heads would make the output a tuple; the published weights normalise their inputs once more.
        return {"aux_logits": False, "transform_input": pretrained, "init_weights": not pretrained}
    return {}


def _fetch(architecture: str, weights: Any) -> dict[str, Tensor]:
    try:
        state = weights.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # no network, a wrong hash, a damaged file in the cache: each with its own class
        name = weights.url.rpartition("/")[2]
        raise ResourceError(
            f"the pretrained weights of torchvision:{architecture} cannot be fetched: {error}",
            where=weights.url,
            fix=f"run once with a network, or copy {name} here and keep pretrained=true with checkpoint={name} (and head=replace for other classes)",
        ) from error
    # Old DenseNet files write norm.1 for norm1; auxiliary heads are not built.
    pattern = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
    return {pattern.sub(r"\1\2", name): value for name, value in state.items() if not re.match(r"AuxLogits\.|aux[12]\.", name)}
