"""What a teacher is worth, looked at before the first step: does it know these classes, and do its soft targets say more than its labels?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from darkknowledge.contract import IGNORED, Examples, Output, Teacher
from darkknowledge.errors import DataError, IntegrityError

TELLING = 1.5
"""Effective classes of a soft target that is worth learning from: a second class gets about 12 % of it."""

ALMOST_HARD = 1.05
"""Effective classes below which a soft target is a label: the top class has more than 99 %."""

FLAT, NARROW = 1.0, 0.2
"""Below both, the classes other than the top one look alike, as label smoothing makes them: the spread of their log-probabilities in nats, and the
same as a share of the top class's lead. On digits and small MLPs and convolutional networks the two were 0.5 to 0.8 and 0.11 to 0.18 after training
with smoothing 0.1 or 0.2, and 2.4 to 5.8 and 0.25 to 0.37 without."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the answers to ``examples`` examples show; ``accuracy`` over the ``labelled`` ones among them, None if there are none;
    ``chance`` is that of a uniform guess.

    ``effective_classes`` exp(H) are at ``temperature``, from 1 (a label) to the number of classes (a uniform guess). The confidence, the largest
    probability, is at temperature 1. ``others_spread`` is the median standard deviation of the log-probabilities of all classes but the top one
    (nats), ``others_spread_to_lead`` the median of the same divided by the top class's lead over their mean; both None for two classes.
    ``telling_temperature`` is where the median effective classes reach 1.5, never below ``temperature``. ``probabilities`` says that a member's
    logits are none: not negative, and with a sum of 1 for every example.
    """

    examples: int
    labelled: int
    accuracy: float | None
    classes: int
    chance: float
    temperature: float
    effective_classes_median: float
    effective_classes_mean: float
    telling_temperature: float
    probabilities: bool
    confidence_mean: float
    confident_share: float
    others_spread: float | None
    others_spread_to_lead: float | None


def examine(
    teacher: Teacher, examples: Examples, *, temperature: float, batch_size: int = 256, limit: int = 2048, device: torch.device | str = "cpu"
) -> Examination:
    """Ask ``teacher``, which lives on ``device``, about at most ``limit`` plain pictures, spread evenly over the labelled ones if there are any.

    Raises:
        DataError: there are no examples, or the teacher's logits are not finite.
    """
    positions = _positions(examples, limit=limit)
    answers, labels = _ask(teacher, examples, positions, batch_size=batch_size, device=device)
    logits = answers.logits(1.0)
    if not logits.isfinite().all():
        raise DataError(
            "the teacher's logits are not finite", why="no soft target can be made of them", fix="check its weights and its normalisation"
        )
    known = labels != IGNORED
    effective = _effective_classes(answers, temperature=temperature)
    confidence = logits.softmax(-1).amax(-1)
    spread, relative = _others(logits)
    return Examination(
        examples=len(labels),
        labelled=int(known.sum()),
        accuracy=(logits.argmax(-1) == labels)[known].double().mean().item() if known.any() else None,
        classes=logits.shape[1],
        chance=1 / logits.shape[1],
        temperature=temperature,
        effective_classes_median=effective.median().item(),
        effective_classes_mean=effective.mean().item(),
        telling_temperature=_telling_temperature(answers, start=temperature),
        probabilities=_are_probabilities(answers.members),
        confidence_mean=confidence.mean().item(),
        confident_share=(confidence > 0.999).double().mean().item(),
        others_spread=spread,
        others_spread_to_lead=relative,
    )


def verdict(examination: Examination, *, allow_near_chance: bool = False) -> tuple[str, ...]:
    """Advice in lines of text, none for a teacher without fault.

    Raises:
        IntegrityError: the teacher answers probabilities; or the labelled examples don't show that its accuracy is above twice chance (above
            chance + 0.1 where that is less), and ``allow_near_chance`` is off.
    """
    _refuse_probabilities(examination)
    lines = (_near_chance(examination, allow=allow_near_chance), _over_confident(examination), _label_smoothed(examination))
    return tuple(line for line in lines if line)


def _refuse_probabilities(seen: Examination) -> None:
    if seen.probabilities:
        raise IntegrityError(
            f"the teacher answers probabilities: for each of {seen.examples} examples they are not negative and sum to 1",
            why="a second softmax would make nearly uniform soft targets of them, whatever the teacher knows",
            fix="take its last softmax away, or let a logarithm follow it: logarithms of probabilities are logits",
        )


def _near_chance(seen: Examination, *, allow: bool) -> str:
    bar = min(2 * seen.chance, seen.chance + 0.1)
    if seen.accuracy is None or _at_least(seen.labelled, seen.labelled, p=bar) > 0.05:
        return f"{seen.labelled} labelled examples are too few to check that the teacher knows these classes."
    if _at_least(round(seen.accuracy * seen.labelled), seen.labelled, p=bar) <= 0.05:
        return ""
    what = (
        f"the teacher's accuracy is {seen.accuracy:.1%} on {seen.labelled} labelled examples; guessing {seen.classes} classes gives {seen.chance:.1%}"
    )
    if allow:
        return f"{what[0].upper()}{what[1:]}."
    raise IntegrityError(
        what,
        why="its soft targets would teach nothing, or the wrong classes",
        fix="check that the class order is the one it was trained on, that mean, standard deviation and size of its inputs are right, "
        "and that this is the checkpoint of a trained network",
    )


def _over_confident(seen: Examination) -> str:
    if seen.effective_classes_median >= ALMOST_HARD:
        return ""
    return (
        f"The teacher is so sure that at temperature {seen.temperature:g} half of its soft targets hold at most "
        f"{seen.effective_classes_median:.3f} effective classes, hardly more than a label: try temperature={seen.telling_temperature:.2g}, "
        f"where they hold {TELLING}."
    )


def _label_smoothed(seen: Examination) -> str:
    if seen.others_spread is None or seen.others_spread_to_lead is None:
        return ""
    if seen.others_spread >= FLAT or seen.others_spread_to_lead >= NARROW or seen.temperature <= 2:
        return ""
    return (
        "The teacher gives all classes but its first nearly the same probability, as after training with label smoothing or mixup: "
        f"temperature {seen.temperature:g} would wash out what they still say. Use temperature=2 or less, or a teacher trained without smoothing."
    )


def _positions(examples: Examples, *, limit: int) -> Tensor:
    known = (examples.labels != IGNORED).nonzero()[:, 0]
    positions = known if len(known) else torch.arange(len(examples))
    if not len(positions):
        raise DataError("there are no examples to ask the teacher about")
    # Evenly spaced, because a split may be sorted by class.
    return positions[torch.linspace(0, len(positions) - 1, min(limit, len(positions))).round().long()]


def _ask(teacher: Teacher, examples: Examples, positions: Tensor, *, batch_size: int, device: torch.device | str) -> tuple[Output, Tensor]:
    outputs, labels = [], []
    for batch in examples.batches(positions, batch_size=batch_size, views=None):
        outputs.append(Output.of(teacher(batch.to(device))))
        labels.append(batch.labels.cpu())
    members = torch.cat([output.members.float().cpu() for output in outputs], dim=1)
    return Output(members, outputs[0].weights.cpu(), outputs[0].average), torch.cat(labels)


def _effective_classes(answers: Output, *, temperature: float) -> Tensor:
    log_p = (answers.logits(temperature) / temperature).log_softmax(-1)
    return (-(log_p.exp() * log_p).sum(-1)).exp()


def _telling_temperature(answers: Output, *, start: float) -> float:
    """By bisection in log T, since entropy grows with T. Where T is the largest difference of logits, no class has less than 1/e of another."""
    ranges = answers.members.amax(-1) - answers.members.amin(-1)
    low, high = start, max(start, ranges.max().item())
    if _effective_classes(answers, temperature=low).median() >= TELLING:
        return low
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _effective_classes(answers, temperature=middle).median() >= TELLING else (middle, high)
    return high


def _are_probabilities(members: Tensor) -> bool:
    """Whether one of the members (M, N, C) gives nothing but distributions."""
    totals = members.sum(-1, dtype=torch.float64)
    return bool(((members >= 0).all(-1) & ((totals - 1).abs() < 1e-3)).all(-1).any())


def _others(logits: Tensor) -> tuple[float | None, float | None]:
    if logits.shape[1] < 3:
        return None, None
    ordered = logits.sort(-1, descending=True).values
    lead = ordered[:, 0] - ordered[:, 1:].mean(-1)
    spread = ordered[:, 1:].std(-1)
    return spread.median().item(), (spread / lead.clamp_min(1e-12)).median().item()


def _at_least(successes: int, trials: int, *, p: float) -> float:
    """Probability of ``successes`` or more in ``trials`` draws that succeed with probability ``p``."""
    log_p, log_q = math.log(p), math.log1p(-p)
    choose = (math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(successes, trials + 1))
    return math.fsum(math.exp(ways + k * log_p + (trials - k) * log_q) for k, ways in enumerate(choose, start=successes))
