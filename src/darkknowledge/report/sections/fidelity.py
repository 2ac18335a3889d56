"""How closely the students follow their teacher: agreement, divergence, and who is right where."""

from __future__ import annotations

from collections.abc import Sequence

from darkknowledge.analysis import Agreement, Fidelity, mcnemar, measure_fidelity, summarise
from darkknowledge.report.content import Section, Table, missing
from darkknowledge.report.story import Answers, Network, Story
from darkknowledge.report.text import NOTHING, spread

TITLE = "How closely the student follows"
LEAD = (
    "Agreement is the share of test pictures to which student and teacher give the same most probable class; the divergence is "
    "KL(teacher ‖ student) at temperature 1, and 0 means that the soft targets were copied."
)


def fidelity(story: Story) -> Section:
    """The section."""
    teacher = story.answers("teacher")
    students = [(name, networks) for kind, name, networks in story.arms if kind != "teacher"]
    if teacher is None or not students:
        return missing("fidelity", TITLE, story.absent("teacher") if teacher is None else "no student was measured")
    return Section("fidelity", TITLE, LEAD, [_agreements(teacher, students), _outcomes(teacher, students)])


def _agreements(teacher: Answers, students: Sequence[tuple[str, tuple[Network, ...]]]) -> Table:
    found = {name: [_measured(teacher, network) for network in networks] for name, networks in students}
    rows = []
    for label, part in (("on all pictures", "overall"), ("where the teacher is right", "teacher_right"), ("where it is wrong", "teacher_wrong")):
        parts = {name: [getattr(one, part) for one in measured] for name, measured in found.items()}
        rows.append([f"agrees {label}", *(_spread([one.at_1 for one in known(ones)], 100, " %") for ones in parts.values())])
        rows.append([f"divergence {label}", *(_spread([one.kl for one in known(ones)], 1, " nats", 4) for ones in parts.values())])
    fives = [[one.overall.at_5 for one in measured if one.overall.at_5 is not None] for measured in found.values()]
    rows.insert(1, ["teacher’s class is among its five", *(_spread(ones, 100, " %") for ones in fives)])
    return Table("Agreement with the teacher, mean ± standard deviation over seeds", ["", *found], rows)


def known(parts: Sequence[Agreement | None]) -> list[Agreement]:
    """Those that could be measured."""
    return [part for part in parts if part is not None]


def _measured(teacher: Answers, network: Network) -> Fidelity:
    assert network.answers is not None
    return measure_fidelity(student=network.answers.logits, teacher=teacher.logits, labels=network.answers.labels)


def _spread(values: Sequence[float], factor: float, unit: str, digits: int = 2) -> str:
    if not values:
        return NOTHING
    found = summarise([factor * value for value in values])
    return spread(found.mean, found.sd, digits, unit)


def _outcomes(teacher: Answers, students: Sequence[tuple[str, tuple[Network, ...]]]) -> Table:
    """Who is right where: the first network of each kind."""
    firsts = [(name, networks[0].answers.right) for name, networks in students if networks[0].answers]
    tests = [f"p = {mcnemar(right, teacher.right).p_value:.2g} for the {name}" for name, right in firsts]
    rows = [
        [label, *(f"{int((chosen & side).sum()):,}" for _, right in firsts for side in (right, ~right))]
        for label, chosen in (("teacher right", teacher.right), ("teacher wrong", ~teacher.right))
    ]
    head = ["", *(f"{name} {verdict}" for name, _ in firsts for verdict in ("right", "wrong"))]
    return Table(f"Test pictures by who is right, first seeds (McNemar’s exact test against the teacher: {'; '.join(tests)})", head, rows)
