"""How far the probabilities can be believed, before and after dividing the logits by one temperature that was fitted on the validation split."""

from __future__ import annotations

from markupsafe import Markup

from darkknowledge.analysis import Calibration, measure_calibration
from darkknowledge.analysis.temperature import COLDEST, HOTTEST
from darkknowledge.report.content import Block, Figures, Note, Section, Table, missing
from darkknowledge.report.plot import Axis, Plot
from darkknowledge.report.story import Answers, Story
from darkknowledge.report.text import number, share

TITLE = "Calibration"
LEAD = (
    "A network is calibrated when it is right as often as it says it is: then the bars reach the diagonal. "
    "Dividing the logits by a scalar temperature, fitted on the validation split, changes no answer and usually repairs most of what is amiss. "
    "It is a repair of the finished network and has nothing to do with the temperature of distillation."
)
FEW = 10
"""Pictures in a bin below which its bar says little, and is drawn pale."""
PER_CENT = [(mark / 100, f"{mark}") for mark in (0, 25, 50, 75, 100)]


def calibration(story: Story) -> Section:
    """The section: the first network of each kind."""
    if not story.arms:
        return missing("calibration", TITLE, "no network was measured on the test split")
    drawings, rows = [], []
    unfitted = []
    for kind, name, networks in story.arms:
        network = networks[0]
        fitted = network.fitted if network.fitted is not None and COLDEST * 1.01 < network.fitted < HOTTEST * 0.99 else None
        assert network.answers is not None
        before, after = network.answers.calibration, None if fitted is None else _scaled(network.answers, fitted)
        drawings.append(_diagram(kind, name, before, after))
        measured = (before, after)
        scores = [number(one.nll if one else None) for one in measured] + [share(one.ece if one else None) for one in measured]
        rows.append([name, number(fitted, 3), *scores])
        if fitted is None:
            unfitted.append(name)
    head = ["", "fitted temperature", "NLL before, nats", "NLL after", "ECE before", "ECE after"]
    blocks: list[Block] = [
        Figures(drawings, f"Reliability on the test split, the first seed of each. Pale bars hold fewer than {FEW} pictures.", _legend()),
        Table("Calibration on the test split, before and after temperature scaling", head, rows),
    ]
    if unfitted:
        why = "a temperature needs labelled validation pictures, and among them some that the network gets wrong"
        blocks.append(Note(f"After scaling: n/a for the {', the '.join(unfitted)}; {why}."))
    return Section("calibration", TITLE, LEAD, blocks)


def _scaled(answers: Answers, temperature: float) -> Calibration:
    return measure_calibration(answers.logits.double() / temperature, answers.labels)


def _legend() -> list[tuple[str, str]]:
    return [("bars", "as it came"), ("after", "after temperature scaling")]


def _diagram(kind: str, name: str, before: Calibration, after: Calibration | None) -> Markup:
    words = ", ".join(f"{one.confidence:.0%} confident {one.accuracy:.0%} right" for one in before.reliability)
    across, up = Axis("confidence, %", 0, 1, PER_CENT), Axis("accuracy, %", 0, 1, PER_CENT)
    plot = Plot(name, f"Reliability diagram. {words}", across, up, 300, 260)
    for one in before.reliability:
        plot.bar((one.low, 0), (one.high, one.accuracy), f"{kind} soft" if one.count >= FEW else f"{kind} few")
    plot.rule((0, 0), (1, 1), "diagonal")
    for one in after.reliability if after else ():
        plot.point(one.confidence, one.accuracy, "after", size=3)
    return plot.svg()
