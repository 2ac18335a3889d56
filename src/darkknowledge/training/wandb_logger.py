"""Weights & Biases, the only file that knows it."""

from __future__ import annotations

import netrc
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from darkknowledge.contract import Report
from darkknowledge.errors import ResourceError
from darkknowledge.training.watching import Plan, Record

PATIENCE = 30
"""Seconds in which the service must answer."""


class WandbLogger:
    """Sends the records to a W&B run; without a key the run is kept in its folder, and the line that uploads it later is printed."""

    def __init__(self, folder: Path, *, project: str, config: dict[str, Any], report: Report) -> None:
        self._folder, self._project, self._config, self._report = folder, project, config, report

    def begin(self, plan: Plan) -> None:
        """Open the run."""
        self.open()

    def open(self) -> None:
        """Open the run, or open it again after a resume; a service that cannot be reached makes it one that is uploaded later.

        Raises:
            ResourceError: the service refuses, as it does a wrong key.
        """
        import wandb

        try:
            self._run = self._opened(None if "WANDB_MODE" in os.environ or _has_key() else "offline")
        except wandb.Error as error:
            if not isinstance(error, wandb.errors.CommError) or isinstance(error, wandb.errors.AuthenticationError):
                raise ResourceError(
                    f"Weights & Biases does not start: {error}", fix="wandb login, WANDB_MODE=offline, or logging.wandb=false"
                ) from error
            self._report(f"warning: Weights & Biases cannot be reached, and the run is kept in its folder: {str(error).splitlines()[0]}")
            self._run = self._opened("offline")

    def _opened(self, mode: Literal["offline"] | None) -> Any:
        import wandb

        earlier = sorted((self._folder / "wandb").glob("*run-*-*"))
        return wandb.init(
            project=self._project,
            name=self._folder.resolve().name,
            id=earlier[-1].name.rpartition("-")[2] if earlier else secrets.token_hex(8),
            resume="allow" if earlier else None,
            reinit="create_new",  # students that are trained together have a run each
            dir=self._folder,
            config=self._config,
            mode=mode,
            settings=wandb.Settings(silent=True, console="off", init_timeout=PATIENCE),
        )

    def step(self, done: int) -> None:
        """Nothing: only records are sent."""

    def record(self, record: Record) -> None:
        """Send one record, epochs and steps under separate names."""
        self._run.log({f"{record.kind}/{name}": value for name, value in record.values.items()} | {"epoch": record.epoch}, step=record.step)

    def share(self, page: Path, figures: Mapping[str, Path]) -> None:
        """Send figures (PNG files) by name, and a page as an artefact."""
        import wandb

        self._run.log({f"figures/{name}": wandb.Image(str(path)) for name, path in figures.items()})
        artefact = wandb.Artifact(f"report-{self._run.id}", type="report")
        artefact.add_file(str(page))
        self._run.log_artifact(artefact)

    def end(self) -> None:
        """Close the run."""
        self._run.finish()
        if self._run.offline:
            parts = sorted((self._folder / "wandb").glob("offline-run-*"))
            self._report(f"Weights & Biases: logged offline; upload with: wandb sync {' '.join(map(str, parts))}")


def _has_key() -> bool:
    """Whether this user has logged in: ``WANDB_API_KEY``, or the entry that ``wandb login`` leaves in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb

    host = urlsplit(os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False
