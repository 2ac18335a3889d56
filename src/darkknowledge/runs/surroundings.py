"""What of the surroundings is refused before anything begins. Importing this file imports nothing slow."""

from __future__ import annotations

import os

from darkknowledge.errors import UsageError

UNRESTRICTED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def refuse_unrestricted_loading() -> None:
    """Refuse an environment that tells PyTorch to run whatever code a file of weights holds, wherever a library does not forbid it explicitly.

    Raises:
        UsageError: it does, with one of the words that ``torch.load`` takes for a yes.
    """
    if os.environ.get(UNRESTRICTED, "").lower() in ("1", "y", "yes", "true"):
        raise UsageError(
            f"{UNRESTRICTED} is set",
            why="with it PyTorch runs any code that the author of a file of weights put there",
            fix=f"unset {UNRESTRICTED}: nothing here needs it",
        )
