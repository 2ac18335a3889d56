"""How good the paper's two approximations of the gradient are, against the temperature."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from darkknowledge.objective import high_temperature_gradient, soft_target_gradient, zero_mean_gradient

FORM_TEMPERATURES = tuple(float(10 ** (step / 4)) for step in range(17))
"""From 1 to 10,000, four to a factor of ten."""
FITTED_FROM = 1000.0
"""Slopes are fitted at this temperature and above, where the logits are small beside it."""
SHIFT = 10.0
"""What is added to all of the teacher's logits, which no softmax sees, to show what the zero-mean form needs."""

Form = Callable[[Tensor, Tensor, float], Tensor]


def bare(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Equation 4 as it is printed, (z − v) / (N T²), without making sure that the means are 0."""
    return (student - teacher) / (student.shape[1] * temperature**2)


def forms(student: Tensor, teacher: Tensor, *, temperatures: Sequence[float] = FORM_TEMPERATURES) -> dict[str, Any]:
    """Relative error of each approximation at each temperature, ‖approximate − exact‖ / ‖exact‖ over all cases, and the slope that it falls with."""
    z, v = student.double(), teacher.double()
    centred = z - z.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
    variants: Mapping[str, tuple[Form, tuple[Tensor, Tensor]]] = {
        "equation 3, logits as they are": (_third, (z, v)),
        "equation 3, zero-mean logits": (_third, centred),
        "equation 4, zero-mean logits": (lambda a, b, t: zero_mean_gradient(a, b, temperature=t), (z, v)),
        "equation 4, logits as they are": (bare, (z, v)),
        f"equation 4, teacher's logits + {SHIFT:g}": (bare, (z, v + SHIFT)),
    }
    errors = {name: [_error(form, pair, t) for t in temperatures] for name, (form, pair) in variants.items()}
    return {"temperatures": list(temperatures), "errors": errors, "slopes": {name: slope(temperatures, found) for name, found in errors.items()}}


def _third(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return high_temperature_gradient(student, teacher, temperature=temperature)


def _error(form: Form, pair: tuple[Tensor, Tensor], temperature: float) -> float:
    exact = soft_target_gradient(*pair, temperature=temperature)
    return float((form(*pair, temperature) - exact).norm() / exact.norm())


def slope(temperatures: Sequence[float], errors: Sequence[float]) -> float:
    """Of a straight line through the logarithms, by least squares, from `FITTED_FROM` on."""
    points = torch.tensor([(t, error) for t, error in zip(temperatures, errors, strict=True) if t >= FITTED_FROM], dtype=torch.float64).log()
    x, y = (points - points.mean(0)).T
    return float((x * y).sum() / x.square().sum())
