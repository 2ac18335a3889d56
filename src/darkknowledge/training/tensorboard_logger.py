"""TensorBoard event files, the only file that knows it (the extra ``tensorboard``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from darkknowledge.errors import ResourceError
from darkknowledge.training.watching import Plan, Record


class TensorboardLogger:
    """Writes the records as scalars into ``folder/tensorboard``."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ResourceError("TensorBoard is not installed", fix="pip install 'darkknowledge[tensorboard]'") from error
        self._folder, self._open = folder / "tensorboard", SummaryWriter

    def begin(self, plan: Plan) -> None:
        """Open a file; after a resume it takes back what was recorded past the state that training went back to."""
        self._writer = self._open(self._folder, purge_step=plan.done + 1 if plan.done else None)

    def open(self) -> None:
        """Open a file for what is not training."""
        self._writer = self._open(self._folder)

    def step(self, done: int) -> None:
        """Nothing: only records are written."""

    def record(self, record: Record) -> None:
        """Write one record, epochs and steps under separate names."""
        for name, value in record.values.items():
            self._writer.add_scalar(f"{record.kind}/{name}", value, record.step)

    def share(self, page: Path, figures: Mapping[str, Path]) -> None:
        """Write figures (PNG files) by name, and where the page lies, which TensorBoard cannot show."""
        import numpy as np
        from PIL import Image

        for name, path in figures.items():
            with Image.open(path) as picture:
                self._writer.add_image(f"figures/{name}", np.asarray(picture.convert("RGB")), dataformats="HWC")
        self._writer.add_text("report", str(page))

    def end(self) -> None:
        """Close the file."""
        self._writer.close()
