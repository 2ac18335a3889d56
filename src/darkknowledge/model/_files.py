"""A network on disk: ``model.safetensors`` and ``config.json``, as on the Hugging Face Hub, with a manifest over both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import nn

from darkknowledge import __version__
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.model._allowance import Allowance
from darkknowledge.model._build import assemble, is_plugin
from darkknowledge.model._checkpoint import WEIGHTS, copy, read_weights
from darkknowledge.model._network import Network, NetworkSpec, Preprocessing
from darkknowledge.runs.files import Written, read_json, storage_error, verify_manifest, write_bytes, write_json, write_manifest
from darkknowledge.runs.surroundings import refuse_unrestricted_loading

CONFIG = "config.json"


def save(network: Network, folder: str | Path, *, pictures: str | None = None) -> None:
    """Write a network to ``folder``, made if need be; weights of a network that was there before are replaced.

    ``pictures`` is the name of how an encoded picture becomes what the network is shown (`darkknowledge.contract.Examples.transform`).

    Raises:
        ResourceError: the folder cannot be written.
    """
    write_manifest(Path(folder), write(network, Path(folder), notes={} if pictures is None else {"pictures": pictures}))


def write(network: Network, folder: Path, *, notes: Mapping[str, Any]) -> dict[str, Written]:
    """The files of `save` without the manifest, for a folder that holds more; ``notes`` stand in the configuration beside what it says anyway."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder) from error
    # Cloned, because safetensors refuses tensors that share memory, as tied weights do.
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in network.body.state_dict().items()}
    config = {
        "schema": 1,
        "library_name": "darkknowledge",
        "library_version": __version__,
        "network": network.spec.to_dict(),
        "preprocessing": network.preprocessing.to_dict(),
        "parameters": sum(parameter.numel() for parameter in network.body.parameters()),
        **notes,
    }
    return {
        WEIGHTS: write_bytes(folder / WEIGHTS, serialise(weights, metadata={"format": "pt"})),
        CONFIG: write_json(folder / CONFIG, config),
    }


def load(folder: str | Path, *, plugins: Collection[str] = ()) -> Network:
    """The network that `save` wrote, on the CPU and in evaluation mode. Leaves torch's global random state as it was; downloads nothing.

    ``plugins`` names the modules that may be imported to build a ``package.module:Class``.

    Raises:
        IntegrityError: a file is missing or altered, or the configuration and the weights do not belong together.
        UsageError: the network is a class of a module that ``plugins`` does not name, or the environment tells PyTorch to run what files of weights
            hold.
    """
    refuse_unrestricted_loading()
    folder = Path(folder)
    verify_manifest(folder, required=(WEIGHTS, CONFIG))
    spec, preprocessing = _read_config(folder / CONFIG)
    if is_plugin(spec.name) and (module := spec.name.partition(":")[0]) not in plugins:
        raise UsageError(
            f"the network is {spec.name}, which is not imported on the word of a file",
            where=str(folder / CONFIG),
            why="importing a module runs its code",
            fix=f"if it is yours, allow it with plugins=[{module}]",
        )
    weights = read_weights(folder / WEIGHTS)
    # A class of the user's own may need more memory than its weights; nobody else's configuration may ask for it.
    allowance = nullcontext() if is_plugin(spec.name) else Allowance(weights, where=str(folder / CONFIG))
    with torch.random.fork_rng(devices=[]), allowance:
        body = _assembled(spec, preprocessing, folder / CONFIG)
    copy(body, weights, where=str(folder / WEIGHTS))
    return Network(body, preprocessing, spec).eval()


def fingerprint(network: nn.Module) -> str:
    """SHA-256 (hexadecimal) of all that decides what a network answers and means: its weights, specification and preprocessing.

    Of a module that is no `Network` its layers, as ``print`` shows them, stand for the latter two.
    """
    if isinstance(network, Network):
        description: dict[str, Any] = {"network": network.spec.to_dict(), "preprocessing": network.preprocessing.to_dict()}
    else:
        description = {"module": repr(network)}
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name, value in sorted((network.body if isinstance(network, Network) else network).state_dict().items()):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read_config(path: Path) -> tuple[NetworkSpec, Preprocessing]:
    config = read_json(path)
    try:
        return NetworkSpec.from_dict(config["network"]), Preprocessing.from_dict(config["preprocessing"])
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _no_network(path, error) from error


def _assembled(spec: NetworkSpec, preprocessing: Preprocessing, path: Path) -> nn.Module:
    try:
        return assemble(spec, preprocessing, fetch=False)[0]
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:  # what torch says of impossible sizes
        raise _no_network(path, error) from error


def _no_network(path: Path, error: Exception) -> IntegrityError:
    return IntegrityError(f"{path.name} does not describe a network: {error!r}", where=str(path), fix="restore the file or save anew")
