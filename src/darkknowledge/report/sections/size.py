"""What the accuracy costs: error against the number of parameters, the work and the time of a picture."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from darkknowledge.analysis import Cost
from darkknowledge.report.content import Figures, Section, missing
from darkknowledge.report.plot import Plot, linear, logarithmic, short
from darkknowledge.report.sections._networks import Arm, cost_of, error_rates
from darkknowledge.report.story import Story

TITLE = "Accuracy against size and time"


def size(story: Story) -> Section:
    """The section: small multiples of the same errors."""
    costly = [(arm, cost) for arm in story.arms if (cost := cost_of(arm)) is not None]
    if len(costly) < 2:
        return missing("size", TITLE, "the costs of fewer than two networks are known; dk evaluate and dk run measure them")
    drawings = [
        _drawn("parameters", costly, lambda cost: float(cost.parameters)),
        *(_drawn(f"milliseconds for a batch of {batch}", costly, _milliseconds(batch)) for batch in _batches(costly)),
    ]
    legend = [(arm[0], arm[1]) for arm, _ in costly]
    where = next((f"{one.threads} thread{'s'[: one.threads != 1]} on {one.device}" for _, cost in costly for one in cost.latency), "")
    caption = f"Left and low is better; cost is drawn logarithmically. Times are medians of PyTorch{f', {where}' if where else ''}."
    lead = "An ensemble costs what its networks cost together."
    return Section("size", TITLE, lead, [Figures([one for one in drawings if one is not None], caption, legend)])


def _batches(costly: list[tuple[Arm, Cost]]) -> list[int]:
    return sorted(set.intersection(*({one.batch_size for one in cost.latency if one.runtime == "pytorch"} for _, cost in costly)))


def _milliseconds(batch: int) -> Callable[[Cost], float]:
    return lambda cost: next(1e3 * one.median for one in cost.latency if (one.batch_size, one.runtime) == (batch, "pytorch"))


def _drawn(label: str, costly: list[tuple[Arm, Cost]], measure: Callable[[Cost], float]) -> Markup | None:
    points = [(arm, measure(cost), error_rates(arm[2])) for arm, cost in costly]
    if any(found <= 0 for _, found, _ in points):
        return None
    down = linear("error on test, %", [rate for _, _, rates in points for rate in rates], zero=True)
    words = "; ".join(f"{arm[1]}: {short(found)}, {sum(rates) / len(rates):.2f} %" for arm, found, rates in points)
    plot = Plot("", f"Error against {label}. {words}", logarithmic(label, [found for _, found, _ in points]), down, 320, 230)
    for arm, found, rates in points:
        for rate in rates if len(rates) > 1 else ():
            plot.point(found, rate, f"{arm[0]} seed", size=2.5)
        plot.point(found, sum(rates) / len(rates), arm[0], size=5.5)
    return plot.svg()
