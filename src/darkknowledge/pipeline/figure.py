"""``figure``: a picture of the theory, or of what runs have learned, as a file for a paper or a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkknowledge.contract import Report
from darkknowledge.errors import DataError
from darkknowledge.pipeline._drawable import Answered, answered, by_temperature, on_digits, records
from darkknowledge.pipeline.settings import FigureSettings, validate
from darkknowledge.report.figure import _moving, curves, dark_knowledge, forms, gradient, norms, reliability, sample, softmax, temperature
from darkknowledge.report.figure._sample import Sample
from darkknowledge.report.figure._style import save
from darkknowledge.runs.files import make_place, write_bytes, write_text
from darkknowledge.training.signals import stoppable

if TYPE_CHECKING:
    from darkknowledge.report.figure._style import Figure


def figure(
    name: str,
    run: str | Path | Sequence[str | Path] = (),
    *,
    out: str | Path | None = None,
    split: str = "test",
    sample: int | None = None,
    temperature: float | Sequence[float] | None = None,
    root: str | Path | None = None,
    plugins: tuple[str, ...] = (),
) -> Path:
    """Draw a figure; where it lies.

    Args:
        name: of `darkknowledge.report.figure.CHOICES`.
        run: finished runs, or a folder of them, measured by ``evaluate`` where the figure shows answers. Without any, the theory is drawn of two
            small networks that are trained on the digits in a moment.
        out: the file, whose suffix is its format (.svg, .pdf, .png, and .gif for ``softmax``); by default the name with .svg.
        split: whose answers are drawn, ``test`` or ``validation``.
        sample: the example that is shown, by its number in the split from 0; by default the most ambiguous of those that are answered rightly.
        temperature: one or several, in the place of the figure's own; of ``softmax`` the lowest and the highest.
        root: where the data lies now, when it is not where the run found it.
        plugins: modules that may be imported when a run's data set names one.

    Raises:
        DarkKnowledgeError: what the class says.

    Example::

        darkknowledge.figure("sample", "runs/teacher", out="seven.pdf")
    """
    runs = [run] if isinstance(run, str | Path) else list(run)
    values: dict[str, Any] = {"name": name, "run": runs, "out": out, "split": split, "sample": sample, "temperature": temperature}
    return figure_from(validate(FigureSettings, values | {"root": root, "plugins": plugins}), report=lambda line: None)


@stoppable()
def figure_from(settings: FigureSettings, *, report: Report) -> Path:
    """`figure` with checked settings."""
    path = settings.path
    content = _DRAWN[settings.name](settings, report)
    make_place(path)
    if isinstance(content, str):
        write_text(path, content)
    elif isinstance(content, bytes):
        write_bytes(path, content)
    else:
        save(content, path)
    return path


def _told(settings: FigureSettings) -> dict[str, Any]:
    """The temperatures, where the figure is told any."""
    return {} if settings.temperature is None else {"temperatures": settings.temperature}


def _one(settings: FigureSettings, report: Report) -> Sample:
    """One example, and what each of the runs answered, or the teacher on digits."""
    found = answered(settings, pictures=True, report=report) if settings.run else on_digits(student=False)
    return found.sample(settings.sample)


def _pair(settings: FigureSettings, report: Report, *, pictures: bool = False) -> Answered:
    """The answers of a student, and of its teacher."""
    return answered(settings, pictures=pictures, report=report) if settings.run else on_digits(student=True)


def _softmax(settings: FigureSettings, report: Report) -> Figure | str | bytes:
    draw: Mapping[str, Callable[..., Figure | str | bytes]] = {".svg": _moving.softmax_svg, ".gif": softmax.softmax_gif}
    return draw.get(settings.path.suffix, softmax.softmax)(_one(settings, report), **_told(settings))


def _sample(settings: FigureSettings, report: Report) -> Figure:
    return sample.sample(_one(settings, report), **_told(settings))


def _gradient(settings: FigureSettings, report: Report) -> Figure:
    found = _pair(settings, report, pictures=True).sample(settings.sample, by=1)
    if found.label is None:
        raise DataError("the example has no label", why="the gradient of its label is drawn", fix="choose another: sample=…")
    return gradient.gradient(found, **_told(settings))


def _norms(settings: FigureSettings, report: Report) -> Figure:
    (name, student), (_, teacher) = _pair(settings, report).answers.items()
    known = student.labels >= 0
    found = norms.norms_at_logits(name, student.logits[known], teacher.logits[known], student.labels[known], **_told(settings))
    return norms.norms({norms.AT_LOGITS: [found]})


def _forms(settings: FigureSettings, report: Report) -> Figure:
    student, teacher = _pair(settings, report).answers.values()
    return forms.forms(forms.approximations(student.logits, teacher.logits, **_told(settings)))


def _dark_knowledge(settings: FigureSettings, report: Report) -> Figure:
    found = answered(settings, report=report).answers
    names = next(iter(found.values())).class_names
    return dark_knowledge.dark_knowledge({name: (kept.logits, kept.labels) for name, kept in found.items()}, names, **_told(settings))


def _reliability(settings: FigureSettings, report: Report) -> Figure:
    found = answered(settings, report=report).answers
    return reliability.reliability({name: (kept.logits, kept.labels) for name, kept in found.items()})


def _curves(settings: FigureSettings, report: Report) -> Figure:
    return curves.curves(records(settings))


def _temperature(settings: FigureSettings, report: Report) -> Figure:
    return temperature.temperature(by_temperature(settings))


_DRAWN: Mapping[str, Callable[[FigureSettings, Report], Figure | str | bytes]] = {
    "softmax": _softmax,
    "sample": _sample,
    "gradient": _gradient,
    "norms": _norms,
    "forms": _forms,
    "dark_knowledge": _dark_knowledge,
    "reliability": _reliability,
    "curves": _curves,
    "temperature": _temperature,
}
