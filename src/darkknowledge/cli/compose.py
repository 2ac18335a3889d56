"""From overrides to plain values, by Hydra: composed once, in this process, with its own folders and logging left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from darkknowledge.cli.help import CONF
from darkknowledge.errors import UsageError, close_match


def compose(stage: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration of a stage with ``overrides`` in Hydra's words.

    Raises:
        UsageError: an unknown key or choice (a close match is named), a value that is missing, or an override that cannot be applied.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            config = hydra_compose(stage, list(overrides))
            values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        except MissingConfigException as error:
            raise _unknown_choice(error) from None
        except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
            raise _explain(stage, error) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def to_yaml(values: dict[str, Any]) -> str:
    """The configuration as it would stand in a file."""
    return OmegaConf.to_yaml(OmegaConf.create(values))


def _unknown_choice(error: MissingConfigException) -> UsageError:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    options = [option for option in error.options or () if not option.startswith("_")]
    return UsageError(f"there is no {group} {choice!r}", fix=close_match(choice, options))


def _explain(stage: str, error: Exception) -> UsageError:
    text = "\n".join(str(part) for part in (error, error.__cause__) if part)
    unknown = re.search(r"Key '([^']+)' is not in struct\s+full_key: (\S+)", text)
    if unknown:
        key = unknown[2]
        return UsageError(f"unknown key {key!r}", fix=close_match(unknown[1], _siblings(stage, key.split(".")[:-1])))
    missing = re.search(r"Missing mandatory value: (\S+)|full_key: (\S+)", text)
    if "Missing mandatory value" in text and missing:
        key = missing[1] or missing[2]
        return UsageError(f"{key} is missing", fix=f"give {key}=…; dk {stage} --help explains")
    return UsageError(text.splitlines()[0].rstrip("."), fix=f"dk {stage} --cfg job shows every key")


def _siblings(stage: str, path: Sequence[str]) -> list[str]:
    """The keys beside an unknown one."""
    node: Any = hydra_compose(stage)
    for part in path:
        node = node.get(part) or {}
    return [str(key) for key in node]
