"""The figures of the gradients: their norms, the approximations, and the variance between cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkknowledge.report.figure._style import COLOURS, GREY, canvas, save, styled, word
from darkknowledge.report.figure.forms import Forms, forms
from darkknowledge.report.figure.norms import AT_LOGITS, Norms, logarithmic, norms

MIXTURE = COLOURS[2]
BEYOND = 1e15
"""Drawn for infinity, above every axis."""
NORMS = {"norm_at_logits": AT_LOGITS, "norm_of_mean": "norm of the mean gradient\nof all weights"}


def draw(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """``hinton2015-gradients-norms.svg``, ``-forms.svg`` and ``-variance.svg`` in ``folder``; the same record gives the same bytes."""
    figures = {"norms": norms(_norms(record["moments"])), "forms": forms(Forms(**record["forms"])), "variance": variance(record)}
    paths = {name: folder / f"hinton2015-gradients-{name}.svg" for name in figures}
    for name, figure in figures.items():
        save(figure, paths[name])
    return list(paths.values())


def _norms(moments: Sequence[Mapping[str, Any]]) -> dict[str, list[Norms]]:
    """A row for each norm, in it each moment."""

    def one(moment: Mapping[str, Any], key: str) -> Norms:
        return Norms(moment["name"], {float(t): term[key] for t, term in moment["soft"].items()}, moment["hard"][key])

    return {name: [one(moment, key) for moment in moments] for key, name in NORMS.items()}


@styled()
def variance(record: Mapping[str, Any]) -> Any:
    """A panel for each moment: relative variance against the temperature, and of the labels and the mixture."""
    moments = record["moments"]
    figure = canvas(3.2 * len(moments), 3.4)
    (panels,) = figure.subplots(1, len(moments), sharey=True, squeeze=False)
    for moment, panel in zip(moments, panels, strict=True):
        temperatures = [float(t) for t in moment["soft"]]
        _band(panel, temperatures, [term["relative"] for term in moment["soft"].values()], COLOURS[0], "-")
        _band(panel, (temperatures[0], temperatures[-1]), [moment["hard"]["relative"]] * 2, GREY, ":")
        panel.plot([record["temperature"]], [_number(moment["mixture"]["relative"]["value"])], color=MIXTURE, marker="D", markersize=5)
        logarithmic(panel, temperatures)
        panel.set(xlabel="temperature", title=moment["name"])
    panels[0].set_ylabel("variance of the gradient between cases\nover the square of its mean")
    panels[0].set_ylim(*_limits(moments))
    _label_variance(panels[0], moments[0], record)
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
    word(panel, (1000, _number(hard["high" if higher else "low"])), "labels", GREY, above=higher, align="right")
    word(panel, (1000, _number(soft["low" if higher else "high"])), "soft targets", COLOURS[0], above=not higher, align="right")
    text = f"{record['alpha']:g} soft targets \n+ {1 - record['alpha']:.2g} labels  "
    word(panel, (record["temperature"], _number(moment["mixture"]["relative"]["value"])), text, MIXTURE, above=False, align="right")
