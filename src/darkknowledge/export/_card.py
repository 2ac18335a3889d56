"""The model card: what the network is, how it was made, what it scores, how the files were checked, and what it is not good for.

Whatever is quoted in it, such as class names, was written by somebody else, and stays text: in YAML a library writes it, in Markdown it is escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from darkknowledge.export._description import Description
from darkknowledge.export._parity import TOLERANCE

MOST_NAMES = 100
"""Class names that a card lists."""
LONGEST = 200
"""Characters of a quoted text."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a file gives on the test split: ``errors`` of ``examples``, the 95 % interval of its accuracy, and how it compares with the network.

    ``difference`` is the greatest one of a logit, as a share of the largest; ``same_class`` counts the pictures with the network's own class.
    """

    file: str
    bytes: int
    errors: int
    examples: int
    interval: tuple[float, float]
    difference: float
    same_class: int

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return 1 - self.errors / self.examples


@dataclass(frozen=True, slots=True)
class Card:
    """What a card is made of. ``teachers`` are names without paths; the ``results`` begin with the network itself.

    ``versions`` are those of the packages that made and checked the files.
    """

    name: str
    description: Description
    data: str
    teachers: Sequence[str]
    base_model: Sequence[str]
    parameters: int
    results: Sequence[Result]
    versions: Mapping[str, str]

    def text(self) -> str:
        """The file ``README.md`` of a folder in the shape of the Hugging Face Hub."""
        head = yaml.safe_dump(self.metadata(), sort_keys=False, allow_unicode=False, width=120)
        parts = [f"---\n{head}---\n", f"# {escaped(self.name)}\n", self._what(), self._use(), self._making(), self._results(), self._limits()]
        return "\n".join(parts)

    def metadata(self) -> dict[str, Any]:
        """What the Hub reads, among it the results as a model index."""
        first = self.results[0]
        metrics = [{"type": "accuracy", "name": "accuracy", "value": round(first.accuracy, 6)}]
        task = {"type": "image-classification", "name": "image classification"}
        # The Hub's identifiers have no colons and spaces; the name says it as it is.
        kind = re.sub(r"[^\w.-]+", "-", self.data, flags=re.ASCII).strip("-") or "data"
        found: dict[str, Any] = {
            "library_name": "darkknowledge",
            "pipeline_tag": "image-classification",
            "tags": ["image-classification", *(["knowledge-distillation"] if self.teachers else [])],
            "metrics": ["accuracy"],
            "model-index": [
                {"name": self.name, "results": [{"task": task, "dataset": {"type": kind, "name": self.data, "split": "test"}, "metrics": metrics}]}
            ],
        }
        return found | ({"base_model": list(self.base_model)} if self.base_model else {})

    def _what(self) -> str:
        shape = "×".join(map(str, self.description.input_shape))
        made = "A student, distilled from a larger network's soft targets" if self.teachers else "A network, trained on labels"
        names = self.description.class_names
        listed = ", ".join(map(escaped, names[:MOST_NAMES])) + (f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else "")
        return f"{made}: pictures of {shape} into {len(names):,} classes, {self.parameters:,} parameters.\n\nClasses, in order: {listed}\n"

    def _use(self) -> str:
        channels, height, width = self.description.input_shape
        onnx = any(result.file.endswith(".onnx") for result in self.results)
        lines = [
            "## How to use it\n",
            "Python: `network = darkknowledge.load(FOLDER)`; `network(pixels)` gives logits. On the command line: `dk predict model=FOLDER "
            "input=PICTURE`.\n",
        ]
        if onnx:
            lines.append(
                f"ONNX Runtime alone: the input `pixels` is float32 (batch, {channels}, {height}, {width}) in [0, 1], not normalised: the graph does "
                "that; the output `logits` is (batch, classes). The metadata of the file name the classes.\n"
            )
        lines.append("The softmax of the logits is the answer. No temperature divides them, whatever the training used.\n")
        return "\n".join(lines)

    def _making(self) -> str:
        rows = [("data", self.data), ("teacher", ", ".join(self.teachers) or "none"), *self.description.training.items()]
        table = [f"| {escaped(name.replace('_', ' '))} | {escaped(_told(value))} |" for name, value in rows]
        return "\n".join(["## How it was made\n", "| | |", "|---|---|", *table, ""])

    def _results(self) -> str:
        first = self.results[0]
        head = f"On the whole test split, {first.examples:,} pictures; 95 % intervals of the accuracy (Wilson).\n"
        table = ["| file | MB | errors | accuracy | 95 % interval | greatest difference of a logit | same class |", "|---|---|---|---|---|---|---|"]
        for result in self.results:
            low, high = (f"{100 * end:.2f}" for end in result.interval)
            beside = f"{result.difference:.1e} | {result.same_class:,}"
            cells = f"{result.bytes / 1e6:.2f} | {result.errors:,} | {100 * result.accuracy:.2f} % | {low} to {high} % | {beside}"
            table.append(f"| `{result.file}` | {cells} |")
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        said = (
            "Each file was loaded and asked about every test picture. Differences are shares of the network's largest logit; a file of float32 is "
            f"kept only if that share is at most {TOLERANCE:g} and every picture gets the network's class; one of 8 bits, whose ranges are those "
            f"of training pictures, is kept as it is. `verification.json` has the numbers. Made with {versions}.\n"
        )
        return "\n".join(["## Results\n", head, *table, "", said])

    def _limits(self) -> str:
        lines = [
            f"It knows these {len(self.description.class_names):,} classes and gives every picture one of them, also a picture of something else.",
            f"The numbers hold for pictures like those of {escaped(self.data)}; on others nobody has measured it.",
            "Its probabilities were not calibrated after training.",
            *(["What its teacher gets wrong it has probably learned too."] if self.teachers else []),
        ]
        return "\n".join(["## Limits\n", *lines, ""])


MEANS_SOMETHING = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|\.(?<=www\.)|^[-+#=]|^\d+[.)](?=\s|$)")
"""What Markdown would take for more than text."""


def escaped(text: str) -> str:
    """A text that Markdown and HTML show as it is, in one line: no control character, no tag, no link, at most `LONGEST` characters.

    >>> escaped("<b>|[x](y)")
    '&lt;b&gt;&#124;&#91;x&#93;(y)'
    """
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
    return MEANS_SOMETHING.sub(lambda found: "".join(f"&#{ord(each)};" for each in found[0]), html.escape(shown, quote=False))


def _told(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
