"""The section on gradients of the page: tables, links to the figures, and what they show, from the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from darkknowledge.runs.files import read_json

RECORD = "gradients.json"
NEAR = 0.1
"""As near to its limit the norm of the soft term is called constant."""
SHOWN_ERRORS = (1.0, 10.0, 100.0, 1000.0)


def section(results: Path) -> str:
    """The Markdown of P11, or nothing where it has not been measured."""
    if not (results / RECORD).exists():
        return ""
    record = read_json(results / RECORD)
    parts = [
        "## Gradients",
        _how(record),
        "![Norm of the gradient against the temperature, with the factor T² and without](hinton2015-gradients-norms.svg)",
        _norms(record),
        _about_norms(record["moments"]),
        "![Relative error of the approximations against the temperature](hinton2015-gradients-forms.svg)",
        _forms(record["forms"]),
        _about_forms(record),
        "![Variance of the gradient between cases against the temperature](hinton2015-gradients-variance.svg)",
        _variance(record),
        _about_variance(record),
    ]
    return "\n\n".join(parts) + "\n"


def _how(record: Mapping[str, Any]) -> str:
    names = ", ".join(moment["name"] for moment in record["moments"])
    return (
        f"Measured on {record['cases']:,} training pictures, with the teacher 784-1200-1200-10 and a student 784-800-800-10 ({names}; the first "
        "epoch is on the mixture "
        f"of {record['alpha']:g} soft targets at T = {record['temperature']:g} and {1 - record['alpha']:.2g} labels). The root mean square of the "
        "teacher's logits about "
        f"their mean is {_digits(record['teacher']['spread'])}. What the terms mean is derived in [gradients](gradients.md)."
    )


def _norms(record: Mapping[str, Any]) -> str:
    temperatures = list(record["moments"][0]["soft"])
    rows = []
    for moment in record["moments"]:
        for key, name in (("norm_at_logits", "at the logits"), ("norm_of_mean", "of the mean, all weights")):
            soft = [moment["soft"][t][key] for t in temperatures]
            without = [value / float(t) ** 2 for value, t in zip(soft, temperatures, strict=True)]
            rows.append((moment["name"], name, _digits(moment["hard"][key]), "with T²", *map(_digits, soft)))
            rows.append(("", "", "", "without", *map(_digits, without)))
    return _table(("student", "norm of the gradient", "labels", "soft targets", *(f"T = {t}" for t in temperatures)), rows)


def _about_norms(moments: Sequence[Mapping[str, Any]]) -> str:
    """What the first figure shows."""
    spans = []
    for moment in moments:
        soft = {float(t): term["norm_at_logits"] for t, term in moment["soft"].items()}
        change = max(soft.values()) / min(soft.values())
        spans.append(f"{moment['name']}, from T = {constant_from(soft):g} on (a factor of {_digits(change)} over all)")
    first = moments[0]["soft"]
    fall = first["1"]["norm_at_logits"] / first["1000"]["norm_at_logits"] * 1e6
    ratios = "; ".join(f"{m['name']}, {_digits(m['soft']['20']['norm_at_logits'] / m['hard']['norm_at_logits'])}" for m in moments)
    return (
        f"Without T² the gradient of the soft term falls by a factor of {_digits(fall)} between T = 1 and T = 1000 at the initial weights. With "
        "it, the norm at the logits is "
        f"within {NEAR:.0%} of its value at T = 1000: {'; '.join(spans)}. Below that the temperature changes what is learned and how strongly. So "
        "the factor makes the weights "
        "of the two terms hold for every high temperature, and nearly so for low ones. It does not make the terms equally large: at T = 20 the "
        "soft term's norm at the "
        f"logits, over that of the labels, is: {ratios}."
    )


def constant_from(norms: Mapping[float, float]) -> float:
    """The lowest temperature from which on every norm is within `NEAR` of that at the highest."""
    limit = norms[max(norms)]
    found = max(norms)
    for temperature in sorted(norms, reverse=True):
        if abs(norms[temperature] / limit - 1) > NEAR:
            break
        found = temperature
    return found


def _forms(forms: Mapping[str, Any]) -> str:
    shown = [index for index, t in enumerate(forms["temperatures"]) if any(abs(t / wanted - 1) < 1e-6 for wanted in SHOWN_ERRORS)]
    rows = [
        (name, *(_digits(errors[index]) for index in shown), f"{forms['slopes'][name]:.3f}".replace("-", "−"))
        for name, errors in forms["errors"].items()
    ]
    return _table(("relative error", *(f"T = {forms['temperatures'][index]:g}" for index in shown), "slope from T = 100"), rows)


def _about_forms(record: Mapping[str, Any]) -> str:
    """What the second figure shows."""
    slopes, errors = record["forms"]["slopes"], record["forms"]["errors"]
    falling = [slopes[name] for name in errors if name.startswith("equation 3") or name == "equation 4, zero-mean logits"]
    student = next(m for m in record["moments"] if m["name"] == "after one epoch")["logits"]["student"]
    return (
        "The student is that after one epoch. Where the logits have mean 0, or equation 3 keeps their sums, the relative error falls as 1/T "
        "(fitted slopes "
        f"{_signed(min(falling))} to {_signed(max(falling))}). Equation 4 as it is printed needs means of 0, and networks do not have them: the "
        "root mean square of the means is "
        f"{_digits(record['teacher']['mean'])} for this teacher and {_digits(student['mean'])} for the student, and the error stays at "
        f"{_digits(errors['equation 4, logits as they are'][-1])} however high the temperature. With 10 added to each of the teacher's logits, "
        "which changes no soft target, it is "
        f"{_digits(errors[next(name for name in errors if '+' in name)][-1])}. `zero_mean_gradient` and `logit_matching` take the means off "
        "themselves."
    )


def _variance(record: Mapping[str, Any]) -> str:
    moments = record["moments"]
    names = [("labels", lambda m: m["hard"]), *((f"soft targets, T = {t}", lambda m, t=t: m["soft"][t]) for t in moments[0]["soft"])]
    names.append((f"{record['alpha']:g} soft (T = {record['temperature']:g}) + {1 - record['alpha']:.2g} labels", lambda m: m["mixture"]))
    rows = [(name, *(_interval(of(moment)["relative"]) for moment in moments)) for name, of in names]
    rows.append(("T = 20 over labels", *(_interval(moment["soft"]["20"]["relative_to_hard"]) for moment in moments)))
    return _table(("relative variance (95 % interval)", *(moment["name"] for moment in moments)), rows)


def _about_variance(record: Mapping[str, Any]) -> str:
    """What the third figure shows, whichever way it goes."""
    said = []
    for moment in record["moments"]:
        found = moment["soft"]["20"]["relative_to_hard"]
        said.append(f"{moment['name']}, {verdict(found)} ({_interval(found)} times)")
    return (
        "The relative variance is the trace of the covariance of the per-case gradients over the squared norm of their mean: the size of a "
        "mini-batch whose noise is as long as "
        "the gradient itself. It is the same with T² and without. Intervals are bootstrap intervals over the cases; ∞ stands where the mean "
        "gradient cannot be told from 0. "
        'The paper says that soft targets have "much less variance in the gradient between training cases". At T = 20, beside labels: '
        f"{'; '.join(said)}. "
        "Where a student has nearly reached the minimum of a term, the mean gradient of that term vanishes and its relative variance grows without "
        "bound, so the columns of "
        "trained students also say which term they were trained on."
    )


def verdict(ratio: Mapping[str, float | None]) -> str:
    """Whether soft targets have less relative variance than labels: only if the whole interval says so."""
    low, high = ratio["low"], ratio["high"]
    if high is not None and high < 1:
        return "less"
    return "more" if low is None or low > 1 else "no difference that can be told"


def _interval(found: Mapping[str, float | None]) -> str:
    value, low, high = (_digits(found[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _digits(value: float | None) -> str:
    """Three digits, a power of ten where it is needed."""
    if value is None:
        return "∞"
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{float(value):,.0f}" if 0 < int(exponent) < 7 else f"{mantissa}·10^{int(exponent)}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
