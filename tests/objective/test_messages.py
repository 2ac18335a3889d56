"""Whole messages, word by word: what happened, why it matters and what to do is all that a user sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from darkknowledge.contract import Sparse
from darkknowledge.errors import UsageError
from darkknowledge.objective import DistillationLoss, HardLabel, Hinton, Mixture, build
from darkknowledge.objective._gradients import gradient_variance
from darkknowledge.objective._schedule import schedule
from darkknowledge.objective.gaussian_kl import gaussian_kl
from darkknowledge.objective.hard_label import hard_label
from darkknowledge.objective.hinton import hinton, hinton_from_log_probabilities, hinton_from_probabilities
from darkknowledge.objective.mixture import mixture

Z, Y = torch.zeros(2, 3), torch.tensor([0, 1])
FLAT, ONE, WHOLE, WIDE = torch.zeros(6), torch.zeros(2, 1), torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 4)


class Summed(HardLabel):
    def per_example(self, *given: Any) -> torch.Tensor:
        return super().per_example(*given).sum()


class Needy(HardLabel):
    needs = frozenset({"labels", "ids"})


class Few:
    """A teacher of whom one class is known."""

    def __init__(self, rows: int, rest: float) -> None:
        self.answer = Sparse(torch.zeros(rows, 1, dtype=torch.int64), torch.full((rows, 1), 0.5).log(), torch.full((rows, 1), rest).log())

    def compact(self, temperature: float) -> Sparse:
        return self.answer


NOTHING_BROADCAST = "each example needs the same classes, in the same order, from both; nothing is broadcast"
SAME_CLASSES = "give the student the teacher's number of classes, and both the same batch"
ONE_ROW_EACH = "move the classes to the last dimension and flatten the others, one row for each example"
OWN_FUNCTION = "logits, log-probabilities and probabilities have a function each; pass them to their own"
NO_DISTRIBUTION = "probabilities are expected, and a row is no distribution: it does not sum to 1 or is negative somewhere"
NO_SECOND_GUESS = "the free form has two weights and guesses none"


def of(objective: Any, teacher: Any = None) -> Any:
    return objective.loss(Z, teacher, Y, epoch=0.0)


WITH_ADVICE = [
    (
        lambda: Hinton(0),
        "temperature=0 is no finite number above 0",
        "logits are divided by it",
        "choose one between 1 and 20, or objective logit_matching for the limit of a high temperature",
    ),
    (
        lambda: DistillationLoss(alpha=0.5, hard_weight=1),
        "alpha is given together with soft_weight or hard_weight",
        "",
        "give alpha, or alpha=null and both weights",
    ),
    (lambda: DistillationLoss(soft_weight=1), "hard_weight is missing", NO_SECOND_GUESS, "give hard_weight too, or alpha alone"),
    (lambda: DistillationLoss(hard_weight=1), "soft_weight is missing", NO_SECOND_GUESS, "give soft_weight too, or alpha alone"),
    (lambda: DistillationLoss(compile="yes"), "compile='yes'", "", "choose auto, on or off"),
    (
        lambda: hinton(FLAT, FLAT, temperature=1),
        "student logits have shape (6,) and dtype torch.float32; floating-point (B, C) is expected",
        "",
        ONE_ROW_EACH,
    ),
    (
        lambda: hinton(Z, WHOLE, temperature=1),
        "teacher logits have shape (2, 3) and dtype torch.int64; floating-point (B, C) is expected",
        "",
        ONE_ROW_EACH,
    ),
    (
        lambda: hinton(ONE, ONE, temperature=1),
        "student logits have shape (2, 1): one class",
        "the softmax over a single class is always 1, so nothing could be learned",
        "give the network one logit for each class",
    ),
    (lambda: hinton(Z, WIDE, temperature=1), "student logits have shape (2, 3) and teacher logits (2, 4)", NOTHING_BROADCAST, SAME_CLASSES),
    (lambda: DistillationLoss()(Z, WIDE), "student logits have shape (2, 3) and teacher logits (2, 4)", NOTHING_BROADCAST, SAME_CLASSES),
    (
        lambda: hinton_from_log_probabilities(Z, WIDE, temperature=1),
        "student logits have shape (2, 3) and teacher log-probabilities (2, 4)",
        NOTHING_BROADCAST,
        SAME_CLASSES,
    ),
    (
        lambda: hinton_from_probabilities(Z, WIDE, temperature=1),
        "student logits have shape (2, 3) and teacher probabilities (2, 4)",
        NOTHING_BROADCAST,
        SAME_CLASSES,
    ),
    (
        lambda: DistillationLoss()(Z, WHOLE),
        "teacher logits have shape (2, 3) and dtype torch.int64; floating-point (B, C) is expected",
        "",
        ONE_ROW_EACH,
    ),
    (
        lambda: hinton_from_log_probabilities(Z, Z, temperature=1),
        "log-probabilities are expected, and a row is no distribution: it does not sum to 1 or is negative somewhere",
        "",
        OWN_FUNCTION,
    ),
    (lambda: hinton_from_probabilities(Z, Z, temperature=1), NO_DISTRIBUTION, "", OWN_FUNCTION),
    (
        lambda: of(build("hinton"), Few(2, 0.5)),
        "over the student's 3 classes the teacher's soft targets do not sum to 1",
        "it has another number of classes, so that its tail would be spread over the wrong ones",
        "give the student the teacher's number of classes",
    ),
    (lambda: of(build("hinton"), Few(3, 0.25)), "student logits are 2 rows and the teacher's answers 3", "", "give both the same batch"),
    (
        lambda: hard_label(Z, torch.zeros(3, dtype=torch.int64)),
        "labels have shape (3,) and dtype torch.int64 beside logits of shape (2, 3); integer class indices of shape (2,) are expected",
        "",
        "for mixed pictures give shares of shape (2, 3); for other probabilities use hard_label_from_probabilities",
    ),
    (
        lambda: hard_label(Z, torch.tensor([0, 3])),
        "label 3 is no class: the logits have 3 classes, 0 to 2",
        "",
        "number the classes from 0, and mark examples without a label with -100",
    ),
    (
        lambda: hard_label(Z, torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.0, 0.25]])),
        "row 1 of the labels holds no shares of 3 classes: its sum is 0.75 and its least value 0",
        "",
        "let each row sum to 1 with nothing below 0, or be all 0 where the example has no label",
    ),
    (
        lambda: gaussian_kl(Z, Z, Z, WIDE),
        "student mean, student log-variance, teacher mean and teacher log-variance have shapes (2, 3), (2, 3), (2, "
        "3), (2, 4) and dtypes torch.float32, torch.float32, torch.float32, torch.float32",
        "each component needs all four; nothing is broadcast",
        "give four floating-point tensors of one shape (B, …)",
    ),
    (
        lambda: gradient_variance(Z[:1]),
        "gradients have shape (1, 3) and dtype torch.float32; floating-point (B, …) with B ≥ 2 is expected",
        "a variance between cases needs two of them",
        "",
    ),
    (
        lambda: Hinton()(Z, Z, Y),
        "Hinton got 2 arguments after the student's logits and takes 1: teacher",
        "",
        "DistillationLoss takes teacher logits and labels",
    ),
    (
        lambda: Summed()(Z, Y),
        "Summed.per_example gives shape () for 2 examples; (2,) is expected",
        "the one mean over the examples is taken afterwards",
        "sum over the classes and leave the examples apart, as reduction='none' does",
    ),
    (
        lambda: build("hintn"),
        "there is no objective 'hintn'",
        "",
        "Did you mean 'hinton'? Choices: distillation, hard_label, hinton, logit_matching, mixture, "
        "soft_cross_entropy. Your own is spelled package.module:Class.",
    ),
    (
        lambda: build("no.such:Thing"),
        "the objective no.such:Thing cannot be imported: No module named 'no'",
        "",
        "check the spelling package.module:Class and that Python finds the package",
    ),
    (
        lambda: build("torch.nn:Linear", in_features=1, out_features=1),
        "torch.nn:Linear makes a Linear, which is neither a Term nor an Objective",
        "",
        "derive it from darkknowledge.objective.Term, or give it what darkknowledge.contract.Objective lists",
    ),
    (
        lambda: build("hinton", temprature=4),
        "the objective hinton has no option 'temprature'",
        "",
        "Did you mean 'temperature'? Choices: temperature.",
    ),
    (lambda: build("logit_matching", temperature=4), "the objective logit_matching has no option 'temperature'", "", "It takes no options."),
    (
        lambda: mixture(terms={"soft": {"weight": 1}}),
        "the mixture's term 'soft' has no name of an objective",
        "",
        "Choices: distillation, hard_label, hinton, logit_matching, mixture, soft_cross_entropy.",
    ),
    (
        lambda: mixture(terms={"soft": {"name": "distillation"}}),
        "the mixture's term 'soft' is distillation, which is no single term",
        "",
        "list its terms one by one",
    ),
    (lambda: Mixture({"soft": (nn.Linear(1, 1), 1)}), "'soft' is no Term but Linear", "", "derive your class from darkknowledge.objective.Term"),
    (lambda: Mixture({"hard": (Needy(), 1)}), "'hard' needs ids, labels", "only 'teacher' and 'labels' can be given", ""),
    (
        lambda: Mixture({"loss": (HardLabel(), 1)}),
        "a term cannot be called 'loss'",
        "a run records something else under that name",
        "choose another name",
    ),
    (lambda: Mixture({}), "no term has a weight above 0 (there is none)", "", "give at least one term a weight"),
    (lambda: schedule({"name": "liner"}), "'liner' is no schedule of a weight", "", "Did you mean 'linear'? Choices: constant, linear, warm_up."),
    (lambda: schedule({"start": 0}), "a weight's schedule has no name", "", "Choices: constant, linear, warm_up."),
]
WITHOUT = [
    (lambda: DistillationLoss(soft_weight=-1, hard_weight=1), "soft_weight=-1 is no finite number of at least 0"),
    (lambda: DistillationLoss(soft_weight=1, hard_weight=-1), "hard_weight=-1 is no finite number of at least 0"),
    (lambda: DistillationLoss(alpha=2), "alpha=2 is not between 0 and 1"),
    (lambda: HardLabel(1.5), "label_smoothing=1.5 is not between 0 and 1"),
    (lambda: Hinton()(Z), "Hinton got 0 arguments after the student's logits and takes 1: teacher"),
    (lambda: HardLabel()(Z, Y, Z, Z), "HardLabel got 3 arguments after the student's logits and takes 1: labels"),
    (lambda: Hinton().per_example(Z, None, None), "teacher logits are needed and None was given"),
    (lambda: HardLabel().per_example(Z, None, None), "labels are needed and None was given"),
    (lambda: of(build("hinton")), "the objective's term 'soft' needs a teacher, and there is none"),
    (lambda: of(build("logit_matching")), "the objective's term 'soft' needs a teacher, and there is none"),
    (lambda: build("math:pi"), "math:pi is no class or function that makes an objective: 3.141592653589793 is not a callable object"),
    (lambda: build("mixture"), "the objective mixture: missing a required argument: 'terms'"),
    (lambda: mixture(terms=["hinton"]), "terms=['hinton'] is no mapping from a name to a term"),
    (
        lambda: schedule({"name": "linear", "start": 0, "stop": 1, "epochs": 1}),
        "the schedule linear takes end, epochs, start; missing or unknown: end, stop",
    ),
    (lambda: schedule({"name": "linear", "start": -1, "end": 1, "epochs": 1}), "start=-1 is no finite number of at least 0"),
    (lambda: schedule({"name": "linear", "start": 1, "end": -1, "epochs": 1}), "end=-1 is no finite number of at least 0"),
    (lambda: schedule({"name": "linear", "start": 1, "end": 1, "epochs": -1}), "epochs=-1 is no finite number of at least 0"),
    (lambda: schedule({"name": "warm_up", "value": -1, "epochs": 1}), "value=-1 is no finite number of at least 0"),
    (lambda: schedule({"name": "warm_up", "value": 1, "epochs": -1}), "epochs=-1 is no finite number of at least 0"),
]


@pytest.mark.parametrize(("mistake", "what", "why", "fix"), WITH_ADVICE, ids=range(len(WITH_ADVICE)))
def test_a_mistake_is_answered_in_these_words(mistake: Callable[[], object], what: str, why: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        mistake()
    assert (caught.value.what, caught.value.why, caught.value.fix) == (what, why, fix)


@pytest.mark.parametrize(("mistake", "what"), WITHOUT, ids=range(len(WITHOUT)))
def test_one_that_explains_itself_is_answered_in_these_alone(mistake: Callable[[], object], what: str) -> None:
    test_a_mistake_is_answered_in_these_words(mistake, what, "", "")
