"""Where teacher and student disagree, picture by picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from darkknowledge.contract import IGNORED
from darkknowledge.report.choosing import disagreements as choose
from darkknowledge.report.content import Note, Section, Special, missing
from darkknowledge.report.picture import data_uri
from darkknowledge.report.sections.explorer import opinions_of, with_picture
from darkknowledge.report.story import Story
from darkknowledge.report.text import number, visible

TITLE = "Where teacher and student disagree"


@dataclass(frozen=True, slots=True)
class Guess:
    """A class and its probability at temperature 1."""

    name: str
    probability: float
    true: bool


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A picture, what it shows, the three classes each gives the most probability, and the divergence in nats."""

    picture: str | None
    name: str
    verdict: str
    teacher: tuple[Guess, ...]
    student: tuple[Guess, ...]
    divergence: str


def disagreements(story: Story, *, most: int) -> Section:
    """The section."""
    opinions = opinions_of(story)
    student = None if opinions is None else opinions.distilled if opinions.distilled is not None else opinions.alone
    if opinions is None or opinions.teacher is None or student is None:
        return missing("disagreements", TITLE, story.absent("teacher") if opinions is None or opinions.teacher is None else "no student was measured")
    differ = int((opinions.teacher.argmax(-1) != student.argmax(-1)).sum())
    answers = story.answers("teacher")
    assert answers is not None
    assert opinions.divergence is not None
    positions = choose(opinions, most=most, allowed=with_picture(story, answers)) if most else []
    shown = [_shown(story, position, opinions.teacher, student, float(opinions.divergence[position])) for position in positions]
    lead = f"On {differ:,} of {len(answers.labels):,} test pictures the most probable class is another one."
    if not differ:
        return Section("disagreements", TITLE, "Teacher and student give the same most probable class to every test picture.")
    if not shown:
        return Section("disagreements", TITLE, lead, [Note("The gallery was left out." if not most else "n/a: no pictures were kept.")])
    who = "distilled" if opinions.distilled is not None else "alone"
    lead += f" Here are {len(shown)}, the largest divergence first; the student is the one {who}. ✓ marks the true class."
    return Section("disagreements", TITLE, lead, [Special("gallery", shown)])


def _shown(story: Story, position: int, teacher: Tensor, student: Tensor, divergence: float) -> Disagreement:
    answers = story.answers("teacher")
    assert answers is not None
    label, id_ = int(answers.labels[position]), int(answers.ids[position])
    picture = story.pictures.get(id_)
    guesses = [_guesses(story, logits[position], label) for logits in (teacher, student)]
    return Disagreement(
        picture=None if picture is None else data_uri(picture),
        name=visible(story.class_names[label], 40) if label != IGNORED else "unknown",
        verdict="teacher right" if guesses[0][0].true else "student right" if guesses[1][0].true else "both wrong",
        teacher=guesses[0],
        student=guesses[1],
        divergence=number(divergence, 2),
    )


def _guesses(story: Story, logits: Tensor, label: int) -> tuple[Guess, ...]:
    found = logits.double().softmax(-1)
    best = found.argsort(descending=True, stable=True)[:3]
    return tuple(Guess(visible(story.class_names[int(one)], 24), float(found[one]), int(one) == label) for one in best)
