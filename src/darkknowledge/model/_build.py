"""From a name to a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import torch
from torch import nn

from darkknowledge.contract import Report
from darkknowledge.errors import UsageError, close_match
from darkknowledge.model import CHOICES, LIBRARIES, _plugin as plugin
from darkknowledge.model._allowance import Allowance
from darkknowledge.model._checkpoint import Head, fill, read_weights
from darkknowledge.model._network import Network, NetworkSpec, Preprocessing, Request
from darkknowledge.model._options import check
from darkknowledge.runs.surroundings import refuse_unrestricted_loading


def build(
    name: str,
    *,
    num_classes: int,
    input_shape: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    checkpoint: str | Path | None = None,
    head: Head = "keep",
    report: Report = print,
    **options: Any,
) -> Network:
    """A network for the data, by name. Its weights come from torch's global random state, unless they are pretrained or from a file.

    Args:
        name: a key of ``CHOICES``, ``torchvision:NAME``, ``timm:NAME``, or ``package.module:Class`` (imported, so it must be the user's own word).
        num_classes: outputs of the network.
        input_shape: (C, H, W) of the data's inputs, floats in [0, 1].
        mean, std: of the data, one per channel; pretrained weights bring their own.
        class_names: what the outputs mean, in order; their numbers by default.
        preprocessing: what the network expects to see, where it is not what the builder would choose: for the weights of a ``checkpoint``.
        checkpoint: weights to start from; nothing is downloaded then, also with ``pretrained=True``, which still decides the preprocessing.
        head: ``"replace"`` lets the final layer of a ``checkpoint`` for other classes start afresh.
        report: where lines about weights left aside go.
        options: those of the builder, such as ``hidden`` or ``depth``.

    Raises:
        UsageError: an unknown name or option, an option of another type, a network that cannot take such inputs, or an environment that tells PyTorch
            to run what files of weights hold.
        DataError, IntegrityError: the checkpoint is missing, unreadable or does not fit.
        ResourceError: pretrained weights cannot be fetched.

    Example:
        >>> network = build("hinton_mlp", num_classes=10, input_shape=(1, 8, 8), mean=[0.3], std=[0.4], hidden=[16])
        >>> network(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    refuse_unrestricted_loading()
    if len(input_shape) != 3 or len(mean) != input_shape[0]:
        raise UsageError(
            f"{len(mean)} channel means for inputs of shape {tuple(input_shape)}", fix="give (channels, height, width) and as many means"
        )
    if head not in get_args(Head):
        raise UsageError(f"head={head!r} is no way to treat the final layer", fix=close_match(head, get_args(Head)))
    channels, height, width = input_shape
    names = tuple(map(str, range(num_classes))) if class_names is None else tuple(class_names)
    spec = NetworkSpec(name, num_classes, (channels, height, width), names, options)
    weights = None if checkpoint is None else read_weights(Path(checkpoint))
    # What fits its weights is not larger than they are; a fresh final layer may be.
    bounded = weights is not None and head == "keep" and not is_plugin(name)
    with Allowance(weights or {}, where=str(checkpoint)) if bounded else nullcontext():
        body, expected = assemble(spec, Preprocessing(tuple(mean), tuple(std)), fetch=checkpoint is None)
    network = Network(body, preprocessing or expected, spec)
    _try(network)
    if weights is not None:
        for line in fill(body, weights, num_classes=num_classes, head=head, where=str(checkpoint)):
            report(line)
    return network


def assemble(spec: NetworkSpec, data: Preprocessing, *, fetch: bool) -> tuple[nn.Module, Preprocessing]:
    """The body that ``spec`` describes, with fresh (or, with ``fetch``, pretrained) weights, and what it expects to see; errors as `build`."""
    builder = _builder(spec.name)
    check(builder, spec.options, name=spec.name)
    request = Request(spec.num_classes, spec.input_shape, data.mean, data.std, fetch)
    body, expected = builder(request, **spec.options)
    return body, expected


def is_plugin(name: str) -> bool:
    """Whether a name is spelled ``package.module:Class``, so that building it imports the user's code."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and module not in LIBRARIES and all(part.isidentifier() for part in (*module.split("."), attribute))


def _builder(name: str) -> Callable[..., tuple[nn.Module, Preprocessing]]:
    library, _, rest = name.partition(":")
    if name in CHOICES:
        return _look_up(CHOICES[name])
    if library in LIBRARIES and rest:
        return partial(_look_up(LIBRARIES[library]), architecture=rest)
    if is_plugin(name):
        return partial(plugin.build, spelling=name)
    choices = [*CHOICES, *(f"{library}:NAME" for library in LIBRARIES), "package.module:Class"]
    raise UsageError(f"no network {name!r}", fix=close_match(name, choices))


def _look_up(place: str) -> Callable[..., tuple[nn.Module, Preprocessing]]:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)  # type: ignore[no-any-return]


@torch.no_grad()
def _try(network: Network) -> None:
    """One example through the network, in evaluation mode: a network that cannot take the data is refused here, not in the first step."""
    spec, training = network.spec, network.training
    try:
        logits = network.eval()(torch.zeros(1, *spec.input_shape))
        # Once in some thousand networks of two classes the first logits look so by chance.
        sure = _are_probabilities(logits) and _are_probabilities(network(torch.ones(1, *spec.input_shape)))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise UsageError(
            f"{spec.name} cannot take inputs of shape {spec.input_shape}: {type(error).__name__}: {error}",
            fix="choose another network or a larger size=…",
        ) from error
    finally:
        network.train(training)
    shape = tuple(getattr(logits, "shape", ()))
    if shape != (1, spec.num_classes):
        raise UsageError(
            f"{spec.name} answers one example with {f'shape {shape}' if shape else type(logits).__name__}, not with shape {(1, spec.num_classes)}",
            fix="a network returns one tensor of logits (batch, classes)",
        )
    if spec.num_classes > 1 and sure:
        raise UsageError(
            f"{spec.name} answers with probabilities: they are not negative and sum to 1",
            why="an objective takes a softmax of its own, and a second one hides nearly all of what it learns",
            fix="take its last softmax away: a network returns logits",
        )


def _are_probabilities(logits: object) -> bool:
    return isinstance(logits, torch.Tensor) and bool((logits >= 0).all()) and abs(logits.sum().item() - 1) < 1e-3
