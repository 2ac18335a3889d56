"""``timm:NAME``: the networks of timm, with random or pretrained weights, for the data's classes."""

from __future__ import annotations

import difflib
from typing import Any

from torch import nn

from darkknowledge.errors import IntegrityError, ResourceError, UsageError, close_match
from darkknowledge.model._network import Preprocessing, Request


def build(request: Request, architecture: str, *, pretrained: bool = False, size: int | None = None) -> tuple[nn.Module, Preprocessing]:
    """A network of timm (``resnet18`` or with the tag of its weights, ``resnet18.a1_in1k``) with one output per class of the data.

    With ``pretrained`` it starts from published weights and sees what those were trained on: their mean, standard deviation and size, grey pictures
    repeated in three channels; the final layer is fresh unless the class counts agree. Without, it sees the data's own channels, mean and standard
    deviation, at the size as it comes. A network made for one size only (a vision transformer) sees that size. ``size`` chosen here goes before all.

    Raises:
        UsageError: an unknown architecture or tag, weights that do not exist, or a size that the architecture cannot take.
        ResourceError: the pretrained weights cannot be fetched.
    """
    import timm

    config = _config(architecture)
    if pretrained and not config.has_weights:
        raise UsageError(f"timm has no pretrained weights for {architecture}", where=f"timm:{architecture}", fix="set pretrained=false")
    channels = request.input_shape[0]
    if pretrained and channels == 1:
        channels = 3
    arguments: dict[str, Any] = {"img_size": size} if size is not None and config.fixed_input_size else {}
    fetch = pretrained and request.fetch
    try:
        body: nn.Module = timm.create_model(architecture, pretrained=fetch, num_classes=request.num_classes, in_chans=channels, **arguments)
    except IntegrityError:
        raise
    except Exception as error:  # the hub's client and the architectures raise whatever they like
        raise (_unfetched(architecture, config, error) if fetch else _unbuilt(architecture, size, error)) from error
    return body, _preprocessing(request, config, pretrained and channels == 3, channels, size)


def _config(architecture: str) -> Any:
    import timm

    # A name with a scheme (hf-hub:…) would be looked up on the network; only names that the library knows pass.
    if not timm.is_model(architecture):
        raise UsageError(f"timm has no network {architecture!r}", where=f"timm:{architecture}", fix=_near(architecture, timm.list_models()))
    try:
        return timm.get_pretrained_cfg(architecture)
    except RuntimeError as error:
        tagged = timm.list_pretrained(f"{architecture.partition('.')[0]}.*")
        raise UsageError(f"timm has no weights {architecture!r}", where=f"timm:{architecture}", fix=close_match(architecture, tagged)) from error


def _preprocessing(request: Request, config: Any, as_trained: bool, channels: int, size: int | None) -> Preprocessing:
    if size is None and (as_trained or config.fixed_input_size):
        height, width = config.input_size[1:]
        view: tuple[int, int] | None = (height, width)
    else:
        view = None if size is None else (size, size)
    return Preprocessing(tuple(config.mean), tuple(config.std), view) if as_trained else request.preprocessing(channels=channels, size=view)


def _near(architecture: str, known: list[str]) -> str:
    """The library has over a thousand names, too many to list."""
    near = difflib.get_close_matches(architecture, known)
    return f"Near names: {', '.join(near)}." if near else "timm.list_models() gives the names"


def _unfetched(architecture: str, config: Any, error: Exception) -> ResourceError:
    reason = str(error).partition("\n")[0]
    return ResourceError(
        f"the pretrained weights of timm:{architecture} cannot be fetched: {reason}",
        where=config.hf_hub_id or config.url,
        fix="run once with a network, or copy their file here and keep pretrained=true with checkpoint=FILE (and head=replace for other classes)",
    )


def _unbuilt(architecture: str, size: int | None, error: Exception) -> UsageError:
    return UsageError(f"timm:{architecture} cannot be built with size={size}: {error}", fix="choose another size or leave it out")
