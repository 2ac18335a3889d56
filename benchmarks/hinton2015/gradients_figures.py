"""The figures of the gradients: their norms, the approximations, and the variance between cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SOFT, PLAIN, HARD, MIXTURE = "#0072b2", "#d55e00", "#444444", "#009e73"
"""Of Okabe and Ito's palette, which colour-blind people tell apart."""
FORM_STYLES = (("#56b4e9", "-", 7.0), ("#0072b2", "-", 3.5), ("#f0e442", "--", 1.5), ("#d55e00", "-", 1.8), ("#cc79a7", "-", 1.8))
"""Colour, dashes and width: three of the lines lie on each other."""
FORM_WORDS = {"#f0e442": "#8a7f00"}
"""Colours that are too pale for words."""
BEYOND = 1e15
"""Drawn for infinity, above every axis."""
NORMS = {"norm_at_logits": "norm at the logits,\nmean over cases", "norm_of_mean": "norm of the mean gradient\nof all weights"}
SETTINGS = {
    "svg.hashsalt": "hinton2015-gradients",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
}


def draw(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """``hinton2015-gradients-norms.svg``, ``-forms.svg`` and ``-variance.svg`` in ``folder``; the same record gives the same bytes."""
    import matplotlib

    matplotlib.use("svg")
    with matplotlib.rc_context(SETTINGS):
        shown = {"norms": norms(record), "forms": approximations(record["forms"]), "variance": variance(record)}
        return [_save(figure, folder / f"hinton2015-gradients-{name}.svg") for name, figure in shown.items()]


def _save(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)
    return path


def norms(record: Mapping[str, Any]) -> Any:
    """A column for each moment, a row for each norm: the soft term with T² and without, and the labels."""
    from matplotlib import pyplot

    moments = record["moments"]
    figure, rows = pyplot.subplots(2, len(moments), figsize=(3.2 * len(moments), 5.2), sharex=True, sharey="row", squeeze=False)
    for (key, name), panels in zip(NORMS.items(), rows, strict=True):
        for moment, panel in zip(moments, panels, strict=True):
            temperatures = [float(t) for t in moment["soft"]]
            with_factor = [term[key] for term in moment["soft"].values()]
            without = [value / t**2 for value, t in zip(with_factor, temperatures, strict=True)]
            panel.plot(temperatures, with_factor, color=SOFT, marker="o", markersize=3.5)
            panel.plot(temperatures, without, color=PLAIN, marker="s", markersize=3.5, linestyle="--")
            panel.axhline(moment["hard"][key], color=HARD, linestyle=":")
            _logarithmic(panel, temperatures)
            panel.margins(y=0.12)
        panels[0].set_ylabel(name)
    for moment, panel in zip(moments, rows[0], strict=True):
        panel.set_title(moment["name"])
    for panel in rows[1]:
        panel.set_xlabel("temperature")
    _label_norms(rows[0][0], moments[0])
    figure.tight_layout()
    return figure


def _label_norms(panel: Any, moment: Mapping[str, Any]) -> None:
    """Words beside the lines of one panel."""
    soft, hard = moment["soft"], moment["hard"]["norm_at_logits"]
    last = soft["1000"]["norm_at_logits"]
    higher = last > hard
    _word(panel, (1000, last), "soft targets × T²", SOFT, above=higher, align="right")
    _word(panel, (1000, hard), "labels", HARD, above=not higher, align="right")
    _word(panel, (40, soft["40"]["norm_at_logits"] / 1600), "soft targets,\nwithout T²", PLAIN, above=False, align="right")


def _word(panel: Any, at: tuple[float, float], text: str, colour: str, *, above: bool, align: str) -> None:
    panel.annotate(
        text, at, xytext=(0, 5 if above else -5), textcoords="offset points", color=colour, ha=align, va="bottom" if above else "top", fontsize=8
    )


def _logarithmic(panel: Any, temperatures: Sequence[float]) -> None:
    """Both axes, the temperature in plain numbers."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    panel.set(xscale="log", yscale="log", xlim=(min(temperatures) / 1.3, max(temperatures) * 1.3))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_minor_locator(NullLocator())


def approximations(found: Mapping[str, Any]) -> Any:
    """Relative error against the temperature, each line with its name and slope at its end."""
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(7.5, 4.2))
    ends = {name: errors[-1] for name, errors in found["errors"].items()}
    heights = _apart(ends, factor=2.0)
    for (colour, style, width), (name, errors) in zip(FORM_STYLES, found["errors"].items(), strict=True):
        panel.plot(found["temperatures"], errors, color=colour, linestyle=style, linewidth=width)
        text = f"{name} (slope {_slope(found['slopes'][name])})"
        at = (found["temperatures"][-1] * 1.4, heights[name])
        panel.annotate(text, at, color=FORM_WORDS.get(colour, colour), va="center", fontsize=8.5, annotation_clip=False)
    _logarithmic(panel, found["temperatures"])
    panel.set(xlabel="temperature", ylabel="relative error of the gradient at the logits")
    return figure


def _slope(value: float) -> str:
    return f"{value + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _apart(heights: Mapping[str, float], *, factor: float) -> dict[str, float]:
    """Heights on a logarithmic axis, moved up where they would be nearer to each other than ``factor``."""
    placed: dict[str, float] = {}
    floor = 0.0
    for name, height in sorted(heights.items(), key=lambda item: float(f"{item[1]:.1g}")):
        placed[name] = floor = max(height, floor * factor)
    return placed


def variance(record: Mapping[str, Any]) -> Any:
    """A panel for each moment: relative variance against the temperature, and of the labels and the mixture."""
    from matplotlib import pyplot

    moments = record["moments"]
    figure, (panels,) = pyplot.subplots(1, len(moments), figsize=(3.2 * len(moments), 3.4), sharey=True, squeeze=False)
    for moment, panel in zip(moments, panels, strict=True):
        temperatures = [float(t) for t in moment["soft"]]
        _band(panel, temperatures, [term["relative"] for term in moment["soft"].values()], SOFT, "-")
        _band(panel, (temperatures[0], temperatures[-1]), [moment["hard"]["relative"]] * 2, HARD, ":")
        panel.plot([record["temperature"]], [_number(moment["mixture"]["relative"]["value"])], color=MIXTURE, marker="D", markersize=5)
        _logarithmic(panel, temperatures)
        panel.set(xlabel="temperature", title=moment["name"])
    panels[0].set_ylabel("variance of the gradient between cases\nover the square of its mean")
    panels[0].set_ylim(*_limits(moments))
    _label_variance(panels[0], moments[0], record)
    figure.tight_layout()
    return figure


def _limits(moments: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Of an axis with all that is finite, and room for words."""
    found = [term["relative"] for moment in moments for term in (moment["hard"], moment["mixture"], *moment["soft"].values())]
    values = [value for each in found for value in each.values() if value is not None and value > 0]
    return min(values) / 2, max(values) * 1.5


def _band(panel: Any, temperatures: Sequence[float], found: Sequence[Mapping[str, float | None]], colour: str, style: str) -> None:
    """A line and its interval."""
    low, value, high = ([_number(each[key]) for each in found] for key in ("low", "value", "high"))
    panel.fill_between(temperatures, low, high, color=colour, alpha=0.18, linewidth=0)
    panel.plot(temperatures, value, color=colour, linestyle=style, marker="o" if style == "-" else "", markersize=3.5)


def _number(value: float | None) -> float:
    return BEYOND if value is None else value


def _label_variance(panel: Any, moment: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Words beside the lines of one panel, outside the bands."""
    soft, hard = next(reversed(moment["soft"].values()))["relative"], moment["hard"]["relative"]
    higher = _number(hard["value"]) > _number(soft["value"])
    _word(panel, (1000, _number(hard["high" if higher else "low"])), "labels", HARD, above=higher, align="right")
    _word(panel, (1000, _number(soft["low" if higher else "high"])), "soft targets", SOFT, above=not higher, align="right")
    text = f"{record['alpha']:g} soft targets \n+ {1 - record['alpha']:.2g} labels  "
    _word(panel, (record["temperature"], _number(moment["mixture"]["relative"]["value"])), text, MIXTURE, above=False, align="right")
