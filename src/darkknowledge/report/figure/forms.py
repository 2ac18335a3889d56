"""How good the paper's two approximations of the gradient are, against the temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darkknowledge.objective import high_temperature_gradient, soft_target_gradient, zero_mean_gradient
from darkknowledge.report.figure._style import canvas, styled
from darkknowledge.report.figure.norms import logarithmic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPERATURES = tuple(float(10 ** (step / 4)) for step in range(17))
"""From 1 to 10,000, four to a factor of ten."""
FITTED_FROM = 1000.0
"""Slopes are fitted at this temperature and above, where the logits are small beside it."""
SHIFT = 10.0
"""What is added to all of the teacher's logits, which no softmax sees, to show what the zero-mean form needs."""
STYLES = (("#56b4e9", "-", 7.0), ("#0072b2", "-", 3.5), ("#f0e442", "--", 1.5), ("#d55e00", "-", 1.8), ("#cc79a7", "-", 1.8))
"""Colour, dashes and width: three of the lines lie on each other."""
WORDS = {"#f0e442": "#8a7f00"}
"""Colours that are too pale for words."""

Form = Callable[[Tensor, Tensor, float], Tensor]


@dataclass(frozen=True, slots=True)
class Forms:
    """The relative error of each form at each temperature, and the slope that it falls with on logarithmic axes."""

    temperatures: Sequence[float]
    errors: Mapping[str, Sequence[float]]
    slopes: Mapping[str, float]


def approximations(student: Tensor, teacher: Tensor, *, temperatures: Sequence[float] = TEMPERATURES) -> Forms:
    """‖approximate − exact‖ / ‖exact‖ over all cases, of the logits (N, C) of a student and its teacher.

    Source: Hinton, Vinyals & Dean (2015), equations 3 and 4.
    """
    z, v = student.double(), teacher.double()
    centred = z - z.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
    variants: Mapping[str, tuple[Form, tuple[Tensor, Tensor]]] = {
        "equation 3, logits as they are": (_third, (z, v)),
        "equation 3, zero-mean logits": (_third, centred),
        "equation 4, zero-mean logits": (_fourth, (z, v)),
        "equation 4, logits as they are": (bare, (z, v)),
        f"equation 4, teacher's logits + {SHIFT:g}": (bare, (z, v + SHIFT)),
    }
    errors = {name: [_error(form, pair, t) for t in temperatures] for name, (form, pair) in variants.items()}
    return Forms(list(temperatures), errors, {name: slope(temperatures, found) for name, found in errors.items()})


def bare(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Equation 4 as it is printed, (z − v) / (N T²), without making sure that the means are 0."""
    return (student - teacher) / (student.shape[1] * temperature**2)


def _third(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return high_temperature_gradient(student, teacher, temperature=temperature)


def _fourth(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return zero_mean_gradient(student, teacher, temperature=temperature)


def _error(form: Form, pair: tuple[Tensor, Tensor], temperature: float) -> float:
    exact = soft_target_gradient(*pair, temperature=temperature)
    return float((form(*pair, temperature) - exact).norm() / exact.norm())


def slope(temperatures: Sequence[float], errors: Sequence[float]) -> float:
    """Of a straight line through the logarithms, by least squares, from `FITTED_FROM` on; NaN where there are fewer than two points."""
    points = torch.tensor([(t, error) for t, error in zip(temperatures, errors, strict=True) if t >= FITTED_FROM], dtype=torch.float64).log()
    if len(points) < 2:
        return float("nan")
    x, y = (points - points.mean(0)).T
    return float((x * y).sum() / x.square().sum())


@styled()
def forms(found: Forms) -> Figure:
    """Relative error against the temperature, each line with its name and slope at its end."""
    figure = canvas(9.2, 4.0)
    panel = figure.subplots()
    heights = _apart({name: errors[-1] for name, errors in found.errors.items()}, factor=2.0)
    for (colour, style, width), (name, errors) in zip(STYLES, found.errors.items(), strict=True):
        panel.plot(found.temperatures, errors, color=colour, linestyle=style, linewidth=width)
        at = (found.temperatures[-1] * 1.4, heights[name])
        said = "" if found.slopes[name] != found.slopes[name] else f" (slope {_slope(found.slopes[name])})"
        panel.annotate(f"{name}{said}", at, color=WORDS.get(colour, colour), va="center", fontsize=8.5, annotation_clip=False)
    logarithmic(panel, found.temperatures)
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
