"""From a name and plain options to an objective."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

from darkknowledge.contract import Objective, check_nothing_to_train
from darkknowledge.errors import UsageError, close_match
from darkknowledge.objective import CHOICES
from darkknowledge.objective._schedule import Weight
from darkknowledge.objective._term import Term
from darkknowledge.objective.mixture import Mixture


def build(name: str, /, **options: Any) -> Objective:
    """The objective of that name, as the command line chooses it.

    A single term becomes a `Mixture` of one, called "soft" if it needs a teacher and "hard" if not.

    Args:
        name: a key of `CHOICES`, or ``package.module:Class`` for a class of your own: a `Term` or a `darkknowledge.contract.Objective`.
        options: what that class or function takes.

    Raises:
        UsageError: an unknown name or option, a value out of its range, a spelling that cannot be imported, or parameters to train (nothing would
            train them).

    >>> build("hinton", temperature=4).formula()
    '1 × 4² KL(softmax(v/4) ‖ softmax(z/4))'
    """
    made = _make(name, options)
    return Mixture({"soft" if "teacher" in made.needs else "hard": (made, 1.0)}) if isinstance(made, Term) else made


def build_term(label: str, entry: Any) -> tuple[Term, Weight]:
    """A term of a mixture and its weight, from ``{"name": …, "weight": …, **options}``; ``label`` is what the mixture calls it.

    Raises:
        UsageError: as `build`; also no name, or an objective that is no single term.
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise UsageError(f"the mixture's term {label!r} has no name of an objective", fix=close_match("", CHOICES))
    options = {key: value for key, value in entry.items() if key not in ("name", "weight")}
    made = _make(entry["name"], options)
    if not isinstance(made, Term):
        raise UsageError(f"the mixture's term {label!r} is {entry['name']}, which is no single term", fix="list its terms one by one")
    return made, entry.get("weight", 1.0)


def _make(name: str, options: Mapping[str, Any]) -> Term | Objective:
    factory = _find(name)
    _check_options(name, factory, options)
    made = factory(**options)
    if not isinstance(made, Term) and not all(hasattr(made, part) for part in ("needs", "counts", "loss", "formula")):
        raise UsageError(
            f"{name} makes a {type(made).__name__}, which is neither a Term nor an Objective",
            fix="derive it from darkknowledge.objective.Term, or give it what darkknowledge.contract.Objective lists",
        )
    check_nothing_to_train(name, made)
    checked: Term | Objective = made
    return checked


def _find(name: str) -> Any:
    spelling = CHOICES.get(name, name)
    module, _, attribute = spelling.partition(":")
    if not attribute:
        raise UsageError(f"there is no objective {name!r}", fix=f"{close_match(name, CHOICES)} Your own is spelled package.module:Class.")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the objective {name} cannot be imported: {error}", fix="check the spelling package.module:Class and that Python finds the package"
        ) from error


def _check_options(name: str, factory: Any, options: Mapping[str, Any]) -> None:
    try:
        wanted = signature(factory)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is no class or function that makes an objective: {error}") from error
    parameters = wanted.parameters
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        for option in options:
            if option not in parameters:
                choices = close_match(option, parameters) if parameters else "It takes no options."
                raise UsageError(f"the objective {name} has no option {option!r}", fix=choices)
    try:
        wanted.bind(**options)
    except TypeError as error:
        raise UsageError(f"the objective {name}: {error}") from error
