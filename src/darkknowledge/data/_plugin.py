"""Code of the user's own, named in words: ``package.module:name``."""

from __future__ import annotations

import importlib
from typing import Any

from darkknowledge.errors import UsageError


def imported(spelling: str, *, what: str, where: str) -> Any:
    """The attribute that ``spelling`` names; the module is found where Python finds modules.

    Raises:
        UsageError: there is none; the message calls it ``what``, and the option ``where``.
    """
    module, _, attribute = spelling.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        fix = "write package.module:name, and see that the package can be imported from here"
        raise UsageError(f"the {what} {spelling!r} cannot be found: {error}", where=where, fix=fix) from error
