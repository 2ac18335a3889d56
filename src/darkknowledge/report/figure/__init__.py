"""Pictures of the theory and of runs: each a function from data to a matplotlib figure, in a file of its name.

What they are drawn from is looked up by `darkknowledge.pipeline.figure`, or comes from anybody's own program.
"""

from __future__ import annotations

from dataclasses import dataclass

FORMATS = (".svg", ".pdf", ".png")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a figure shows, in a line; how many runs it is drawn of; what else it can be told, of {"temperature", "sample", "split"}."""

    summary: str
    uses: frozenset[str]
    least: int = 1
    most: int | None = None
    formats: tuple[str, ...] = FORMATS

    @property
    def runs(self) -> str:
        """The number of runs in words."""
        if self.most is None:
            return "any number of runs" if self.least else "any number of runs, or none"
        return {1: "one run, or none", 2: "a student and its teacher, or none"}[self.most]


_ANSWERS, _EXAMPLE = frozenset({"temperature", "split"}), frozenset({"temperature", "split", "sample"})
CHOICES = {
    "softmax": Choice("one answer as the temperature rises; moves as .svg and .gif", _EXAMPLE, 0, 1, (*FORMATS, ".gif")),
    "sample": Choice("one picture, and its soft targets at several temperatures", _EXAMPLE, 0),
    "gradient": Choice("the gradient at each output, for a label and for soft targets", _EXAMPLE, 0, 2),
    "norms": Choice("norms of the gradient against temperature, with the factor T² and without", _ANSWERS, 0, 2),
    "forms": Choice("how good the approximations of the gradient are, against temperature", _ANSWERS, 0, 2),
    "dark_knowledge": Choice("the mean soft target of each class, without its diagonal", _ANSWERS),
    "reliability": Choice("accuracy against confidence", frozenset({"split"})),
    "curves": Choice("terms of the loss, and validation, by epoch", frozenset()),
    "temperature": Choice("errors against the temperature of training, over seeds", frozenset({"split"})),
}
"""What ``dk figure NAME`` may be."""
