"""Weights & Biases, the only file that knows it."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from darkknowledge.contract import Report
from darkknowledge.training.watching import Plan, Record


class WandbLogger:
    """Sends the records to a W&B run; without a key the run is kept in its folder, and the line that uploads it later is printed."""

    def __init__(self, folder: Path, *, project: str, config: dict[str, Any], report: Report) -> None:
        self._folder, self._project, self._config, self._report = folder, project, config, report

    def begin(self, plan: Plan) -> None:
        """Open the run, or open it again after a resume."""
        import wandb

        self._offline = os.environ.get("WANDB_MODE") == "offline" or not _has_key()
        identifier = self._folder.resolve().name
        self._run = wandb.init(
            project=self._project,
            name=identifier,
            id=identifier,
            resume="allow" if plan.done else None,
            dir=self._folder,
            config=self._config,
            mode="offline" if self._offline else None,
            settings=wandb.Settings(silent=True, console="off"),
        )

    def step(self, done: int) -> None:
        """Nothing: only records are sent."""

    def record(self, record: Record) -> None:
        """Send one record, epochs and steps under separate names."""
        self._run.log({f"{record.kind}/{name}": value for name, value in record.values.items()} | {"epoch": record.epoch}, step=record.step)

    def end(self) -> None:
        """Close the run."""
        directory = Path(self._run.dir).parent
        self._run.finish()
        if self._offline:
            self._report(f"Weights & Biases: logged offline; upload with: wandb sync {directory}")


def _has_key() -> bool:
    """Whether this user has logged in: ``WANDB_API_KEY``, or the entry that ``wandb login`` leaves in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False
