"""The section on gradients of the page: tables, links to the figures, and what they show, from the record alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.hinton2015.report.notation import table
from darkknowledge.runs.files import read_json

RECORD = "gradients.json"
NEAR = 0.1
"""As near to its limit the norm of the soft term is called constant."""
EDGE = 8.0
"""Where the paper says that it makes no difference any more, for students that are wide enough."""
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
        f"Measured on {record['cases']:,} training pictures with one teacher 784-1200-1200-10 and students 784-800-800-10: {names}. The first epoch "
        f"is on {record['alpha']:g} soft targets at T = {record['temperature']:g} and {1 - record['alpha']:.2g} labels. The root mean square of the "
        f"teacher's logits about their mean is {_digits(record['teacher']['spread'])}. The derivations are in [gradients](gradients.md)."
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
    return table(("student", "norm of the gradient", "labels", "soft targets", *(f"T = {t}" for t in temperatures)), rows)


def _about_norms(moments: Sequence[Mapping[str, Any]]) -> str:
    """What the first figure shows."""
    spans = []
    for moment in moments:
        soft = {float(t): term["norm_at_logits"] for t, term in moment["soft"].items()}
        low, high = _range(soft, from_=0, to=EDGE), _range(soft, from_=EDGE, to=max(soft))
        spans.append(f"{moment['name']}, from T = {constant_from(soft):g} on (factors of {high} above and {low} below T = {EDGE:g})")
    first = moments[0]["soft"]
    fall = first["1"]["norm_at_logits"] / first["1000"]["norm_at_logits"] * 1e6
    ratios = "; ".join(f"{m['name']}, {_digits(m['soft']['20']['norm_at_logits'] / m['hard']['norm_at_logits'])}" for m in moments)
    return (
        f"Without T² the gradient of the soft term falls by a factor of {_digits(fall)} between T = 1 and T = 1000 at the initial weights. With it, "
        f"the norm at the logits is within {100 * NEAR:g} % of its value at T = 1000: {'; '.join(spans)}. So the factor makes the weights of the two "
        "terms hold for all high temperatures, those beside which the logits are small. At low ones the temperature changes both what is learned "
        "and how strongly, with the factor too. Nor does it make the terms equally large: at T = 20 the norm of the soft term at the logits, over "
        f"that of the labels, is: {ratios}."
    )


def _range(norms: Mapping[float, float], *, from_: float, to: float) -> str:
    found = [norm for temperature, norm in norms.items() if from_ <= temperature <= to]
    return _digits(float(f"{max(found) / min(found):.2g}"))


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
    return table(("relative error", *(f"T = {forms['temperatures'][index]:g}" for index in shown), "slope from T = 1000"), rows)


def _about_forms(record: Mapping[str, Any]) -> str:
    """What the second figure shows."""
    slopes, errors = record["forms"]["slopes"], record["forms"]["errors"]
    falling = sorted(
        f"{slopes[name]:.2f}".replace("-", "−") for name in errors if name.startswith("equation 3") or name == "equation 4, zero-mean logits"
    )
    student = next(m for m in record["moments"] if m["name"] == "after one epoch")["logits"]["student"]
    shifted = next(name for name in errors if "+" in name)
    return (
        "The student is that after one epoch. Where the logits have mean 0, or equation 3 keeps their sums, the relative error falls as 1/T (slope "
        f"{' or '.join(dict.fromkeys(falling))}). Equation 4 as it is printed needs means of 0. Here they are small: the gradient of a softmax sums "
        "to 0 over the classes, so that training leaves the sum of the last layer's weights as it was drawn, but for the bound on the teacher's "
        f"weights. Their root mean square is {_digits(record['teacher']['mean'])} for the teacher and {_digits(student['mean'])} for the student. "
        f"Even so its error stays at {_digits(errors['equation 4, logits as they are'][-1])} however high the temperature, and with 10 added to each "
        f"of the teacher's logits, which changes no soft target, at {_digits(errors[shifted][-1])}. `zero_mean_gradient` and `logit_matching` take "
        "the means off themselves."
    )


def _variance(record: Mapping[str, Any]) -> str:
    moments = record["moments"]
    rows = [("labels", *(_interval(moment["hard"]["relative"]) for moment in moments))]
    for t in moments[0]["soft"]:
        rows.append((f"soft targets, T = {t}", *(_interval(moment["soft"][t]["relative"]) for moment in moments)))
    mixture = f"{record['alpha']:g} soft (T = {record['temperature']:g}) + {1 - record['alpha']:.2g} labels"
    rows.append((mixture, *(_interval(moment["mixture"]["relative"]) for moment in moments)))
    rows.append(("T = 20 over labels", *(_interval(moment["soft"]["20"]["relative_to_hard"]) for moment in moments)))
    return table(("relative variance (95 % interval)", *(moment["name"] for moment in moments)), rows)


def _about_variance(record: Mapping[str, Any]) -> str:
    """What the third figure shows, whichever way it goes."""
    moments = record["moments"]
    ratios = {moment["name"]: moment["soft"]["20"]["relative_to_hard"] for moment in moments}
    said = "; ".join(f"{name}, {verdict(found)}: {_interval(found)}" for name, found in ratios.items())
    shares = "; ".join(f"{m['name']}, {_percent(m['hard'])} and {_percent(m['soft']['20'])}" for m in moments)
    return (
        "The relative variance is the trace of the covariance of the per-case gradients, with respect to all weights, over the squared norm of their "
        "mean: the size of a mini-batch whose noise is as long as the gradient itself. It is the same with T² and without. Intervals are bootstrap "
        "intervals over the cases; ∞ (above the top in the figure) stands where the mean gradient cannot be told from 0. The paper says that soft "
        "targets have “much less variance in the gradient between training cases”. At T = 20, as a multiple of that of labels (0 where only that is "
        f"∞): {said}. At T = 1 the soft targets of a confident teacher are nearly labels.\n\n"
        "How many cases take part (the participation ratio of the squared norms, 100 % if all gradients have one length), for labels and for soft "
        f"targets at T = 20: {shares}. The initial weights favour neither term. Where a student has nearly reached the minimum of a term, the mean "
        "gradient of that term vanishes and its relative variance grows without bound, so the columns of trained students say more about what they "
        "were trained on than about which term is the better guide."
    )


def _percent(term: Mapping[str, Any]) -> str:
    return f"{100 * term['share_of_cases']:.2g} %"


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
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{float(text):,.0f}" if 0 < int(exponent) < 7 else f"{mantissa} · 10{raised}"
