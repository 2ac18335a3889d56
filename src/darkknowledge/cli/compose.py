"""From overrides to plain values, by Hydra: composed once, in this process, with its own folders and logging left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, UnsupportedInterpolationType

from darkknowledge.cli.help import CONF, spelled
from darkknowledge.errors import UsageError, close_match

# What a configuration says is written into the run's folder, where nothing of the environment belongs.
OmegaConf.clear_resolver("oc.env")


def compose(stage: str, overrides: Sequence[str], *, complete: bool = True) -> dict[str, Any]:
    """The configuration of a stage with ``overrides`` in Hydra's words; unless it must be ``complete``, a missing value stays ``???``.

    Raises:
        UsageError: an unknown key or choice (a close match is named), a value that is missing, or an override that cannot be applied.
    """
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            config = hydra_compose(stage, list(overrides))
            values = OmegaConf.to_container(config, resolve=True, throw_on_missing=complete)
        except MissingConfigException as error:
            raise _unknown_choice(error) from None
        except (ConfigCompositionException, HydraException, OmegaConfBaseException) as error:
            raise _explain(stage, error) from None
        except (AssertionError, RecursionError, TypeError, ValueError) as error:
            # What Hydra itself trips over: a number where a file is chosen (data=3), a key in a list (model.hidden.width=3), brackets without end.
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{' '.join(overrides)} cannot be applied: {reason}", fix=_every_key(stage)) from None
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def to_yaml(values: dict[str, Any]) -> str:
    """The configuration as it would stand in a file."""
    return OmegaConf.to_yaml(OmegaConf.create(values))


def _unknown_choice(error: MissingConfigException) -> UsageError:
    group, _, choice = (error.missing_cfg_file or "").partition("/")
    return UsageError(f"there is no {group} {choice!r}", fix=close_match(choice, spelled(error.options or ())))


def _explain(stage: str, error: Exception) -> UsageError:
    cause = error.__cause__ or error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and "is not in struct" in str(cause):
        # Hydra's own settings stand beside ours while it composes.
        siblings = {str(key) for key in cause.parent_node or ()} - {"hydra"}
        return UsageError(f"unknown key {cause.full_key!r}", fix=close_match(str(cause.key), siblings) if siblings else _every_key(stage))
    if isinstance(cause, UnsupportedInterpolationType) and "oc.env" in str(cause):
        why = "a run keeps its configuration, and keys and passwords often lie in the environment"
        return UsageError("a configuration reads nothing from the environment", why=why, fix='let the shell fill it in: out="$HOME/runs/a"')
    if isinstance(cause, MissingMandatoryValue):
        return UsageError(f"{cause.full_key} is missing", fix=f"give {cause.full_key}=…; dk {stage} --help explains")
    return UsageError(str(cause).partition("\n")[0].rstrip("."), fix=_every_key(stage))


def _every_key(stage: str) -> str:
    return f"dk {stage} --cfg job shows every key"
