"""The figures of growth: double logarithmic, with a line of slope 1 through each curve's last point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = {"s": "seconds of processor time", "bytes": "bytes of private memory"}


def draw(parts: Mapping[str, Any], folder: Path) -> list[Path]:
    """``growth-examples.svg`` and ``growth-classes.svg`` in ``folder``, of those parts that were measured."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    return [figure(parts[part], part, folder / f"growth-{part}.svg") for part in ("examples", "classes") if part in parts]


def figure(found: Mapping[str, Mapping[str, Any]], part: str, path: Path) -> Path:
    """One panel for each unit."""
    from matplotlib import pyplot

    units = sorted({values["unit"] for values in found.values()}, reverse=True)
    shown, panels = pyplot.subplots(1, len(units), figsize=(5.5 * len(units), 4), squeeze=False)
    for unit, panel in zip(units, panels[0], strict=True):
        for name, values in found.items():
            if values["unit"] == unit:
                curve(panel, name.partition(", time")[0].partition(", private")[0], values)
        panel.set(xscale="log", yscale="log", xlabel=part, ylabel=COLUMNS[unit])
        panel.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    shown.tight_layout()
    shown.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(shown)
    return path


def curve(panel: Any, name: str, values: Mapping[str, Any]) -> None:
    """The medians, and what they would be if they were proportional to the size."""
    sizes, medians = np.array(values["sizes"], dtype=float), np.array(values["medians"], dtype=float)
    (line,) = panel.plot(sizes, np.where(medians > 0, medians, np.nan), marker="o", label=name)
    if medians[-1] > 0:
        panel.plot(sizes, medians[-1] * sizes / sizes[-1], linestyle=":", linewidth=1, color=line.get_color())
