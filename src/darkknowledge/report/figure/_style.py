"""How every figure looks, and how it becomes a file. The only place that knows whether matplotlib is installed."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkknowledge.errors import ResourceError
from darkknowledge.runs.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Okabe & Ito's palette, which colour-blind people can tell apart; markers and dashes differ too."""
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, GREY, PALE = "#222222", "#666666", "#e5e5e5"
"""For what is said, for what is beside it, and for grids."""
SETTINGS: Any = {
    "svg.hashsalt": "darkknowledge",
    "text.parse_math": False,  # a class may be called $
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
DOTS = 200
"""Pixels of an inch in a PNG."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw, or save, in this style; also ``@styled()`` over a function that draws.

    Raises:
        ResourceError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ResourceError("matplotlib, which draws the figures, is not installed", fix='pip install "darkknowledge[figures]"') from error
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        # A name in a script that the font has not gets boxes, which are seen.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure, in inches."""
    from matplotlib.figure import Figure as Figure

    return Figure(figsize=(width, height))


@styled()
def save(figure: Figure, path: Path) -> None:
    """Write a figure as its suffix says (.svg, .pdf, .png); equal figures give equal bytes.

    Raises:
        ResourceError: it cannot be written.
    """
    file, kind = io.BytesIO(), path.suffix[1:].lower()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    figure.savefig(file, format=kind, metadata=undated, dpi=DOTS)
    write_bytes(path, file.getvalue())


def ticks(axis: Axis, places: Any, names: Any = None) -> None:
    """These places and no others, in plain numbers."""
    from matplotlib.ticker import NullLocator

    axis.set_ticks(list(places), labels=[f"{place:,g}" for place in places] if names is None else list(names))
    axis.set_minor_locator(NullLocator())


def plain_numbers(axis: Axis) -> None:
    """Whole numbers at 1, 2 and 5 of each power of ten, on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def powers(axis: Axis) -> None:
    """Powers of ten alone, on a logarithmic axis: plain ones near 1, others as 10ⁿ."""
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axis.set_major_formatter(FuncFormatter(lambda value, _: as_power(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def as_power(value: float) -> str:
    """A power of ten as a label.

    >>> as_power(100.0), as_power(1e-5)
    ('100', '10⁻⁵')
    """
    if 0.01 <= value < 1e5:
        return f"{value:,g}"
    return "10" + str(round(math.log10(value))).translate(SUPERSCRIPTS)


def word(panel: Axes, at: tuple[float, float], text: str, colour: str, *, above: bool, align: str) -> None:
    """A word beside a line."""
    vertical = "bottom" if above else "top"
    panel.annotate(text, at, xytext=(0, 5 if above else -5), textcoords="offset points", color=colour, ha=align, va=vertical, fontsize=8.5)
