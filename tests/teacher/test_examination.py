from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.datasets import load_digits
from torch import Tensor, nn

from darkknowledge.contract import IGNORED, PLAIN, Batch
from darkknowledge.errors import DataError, IntegrityError
from darkknowledge.teacher import Ensemble, Examination, Frozen, examine, verdict


@dataclass(frozen=True)
class Rows:
    """Examples whose inputs are what `Echo` answers."""

    inputs: Tensor
    labels: Tensor

    @property
    def transform(self) -> str:
        return PLAIN

    @property
    def ids(self) -> Tensor:
        return torch.arange(len(self))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        assert views is None
        for rows in positions.split(batch_size):
            yield Batch(rows, self.inputs[rows], self.labels[rows])


class Echo(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, inputs: Tensor) -> Tensor:
        return self.scale * inputs


def echo(classes: int = 10, *, scale: float = 1.0) -> Frozen:
    return Frozen(Echo(scale), [str(c) for c in range(classes)])


def normal(examples: int = 500, classes: int = 10, *, lead: float = 7.0, spread: float = 2.5, seed: int = 0) -> Rows:
    """Logits as trained networks give them: the label ahead of others that differ among themselves."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(examples) * classes // examples  # sorted by class
    logits = spread * torch.randn(examples, classes, generator=generator)
    return Rows(logits + lead * F.one_hot(labels, classes), labels)


def smoothed(examples: int = 500, classes: int = 10) -> Rows:
    """Logits of the minimum of cross-entropy with label smoothing 0.1, and a little noise."""
    rows = normal(examples, classes, lead=0, spread=0.2)
    return replace(rows, inputs=rows.inputs + np.log((0.9 + 0.01) / 0.01) * F.one_hot(rows.labels, classes))


def test_the_record_is_what_numpy_finds() -> None:
    rows = normal()
    seen = examine(echo(), rows, temperature=3.0, batch_size=64)
    v = rows.inputs.double().numpy()
    p, soft = softmax(v, axis=1), softmax(v / 3, axis=1)
    effective = np.exp(-(soft * np.log(soft)).sum(1))
    others = np.sort(v, axis=1)[:, :-1]
    spread = others.std(1, ddof=1)
    assert (seen.examples, seen.labelled, seen.classes, seen.chance) == (500, 500, 10, 0.1)
    assert seen.accuracy == pytest.approx((v.argmax(1) == rows.labels.numpy()).mean())
    assert seen.effective_classes_mean == pytest.approx(effective.mean(), rel=1e-5)
    assert seen.effective_classes_median == pytest.approx(np.sort(effective)[249], rel=1e-5)
    assert seen.confidence_mean == pytest.approx(p.max(1).mean(), rel=1e-5)
    assert seen.confident_share == pytest.approx((p.max(1) > 0.999).mean())
    assert seen.others_spread == pytest.approx(np.sort(spread)[249], rel=1e-5)
    assert seen.others_spread_to_lead == pytest.approx(np.sort(spread / (v.max(1) - others.mean(1)))[249], rel=1e-5)


def test_a_sound_teacher_gets_no_advice() -> None:
    seen = examine(echo(), normal(), temperature=4.0)
    assert seen.accuracy is not None
    assert seen.accuracy > 0.8
    assert verdict(seen) == ()


def test_the_batch_size_does_not_matter_and_a_limit_takes_every_class() -> None:
    rows = normal()
    assert examine(echo(), rows, temperature=2.0, batch_size=7) == examine(echo(), rows, temperature=2.0)
    few = examine(echo(), rows, temperature=2.0, limit=50)
    assert (few.examples, few.labelled) == (50, 50)
    only_first_class = Rows(rows.inputs.roll(1, dims=1).where(rows.labels[:, None] > 4, rows.inputs), rows.labels)
    half = examine(echo(), only_first_class, temperature=2.0, limit=50).accuracy
    assert half == pytest.approx(0.5, abs=0.1)


def test_hidden_labels_are_left_out_of_the_accuracy_and_a_teacher_without_labels_is_asked_all_the_same() -> None:
    rows = normal()
    hidden = rows.labels.clone()
    hidden[::2] = IGNORED
    assert examine(echo(), Rows(rows.inputs, hidden), temperature=2.0).labelled == 250
    unlabelled = examine(echo(), Rows(rows.inputs, torch.full_like(hidden, IGNORED)), temperature=2.0)
    assert (unlabelled.examples, unlabelled.labelled, unlabelled.accuracy) == (500, 0, None)
    assert verdict(unlabelled) == ("0 labelled examples are too few to check that the teacher knows these classes.",)


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_a_permuted_class_order_is_refused(classes: int) -> None:
    rows = normal(400, classes, lead=12.0)
    assert verdict(examine(echo(classes), rows, temperature=8.0)) == ()
    wrong = examine(echo(classes), Rows(rows.inputs.roll(1, dims=1), rows.labels), temperature=8.0)
    with pytest.raises(IntegrityError, match=rf"accuracy is \d+\.\d% on 400 labelled examples; guessing {classes} classes") as caught:
        verdict(wrong)
    assert "class order" in caught.value.fix
    assert "checkpoint" in caught.value.fix
    (line,) = verdict(wrong, allow_near_chance=True)
    assert line.startswith("The teacher's accuracy is ")


@pytest.mark.parametrize(("classes", "bar"), [(2, 0.6), (3, 1 / 3 + 0.1), (10, 0.2), (100, 0.02)])
@pytest.mark.parametrize("labelled", [30, 512])
def test_the_accuracy_is_near_chance_unless_a_binomial_test_says_better(classes: int, bar: float, labelled: int) -> None:
    seen = examine(echo(classes), normal(classes=classes), temperature=100.0)
    for right in range(labelled + 1):
        at = replace(seen, labelled=labelled, accuracy=right / labelled)
        if binomtest(right, labelled, bar, alternative="greater").pvalue <= 0.05:
            assert verdict(at) == ()
        else:
            with pytest.raises(IntegrityError):
                verdict(at)


def test_a_handful_of_examples_proves_nothing() -> None:
    few = examine(echo(2), normal(4, 2), temperature=4.0)
    assert verdict(few)[0] == "4 labelled examples are too few to check that the teacher knows these classes."


@pytest.mark.parametrize("average", ["probability", "logit"])
def test_an_over_confident_teacher_is_told_a_temperature_at_which_it_says_more(average: str) -> None:
    teacher = Ensemble([echo(scale=20.0), echo(scale=30.0)], average=average)
    seen = examine(teacher, normal(), temperature=1.0)
    assert seen.effective_classes_median < 1.05
    (line,) = verdict(seen)
    assert f"try temperature={seen.telling_temperature:.2g}" in line
    assert examine(teacher, normal(), temperature=seen.telling_temperature).effective_classes_median == pytest.approx(1.5, abs=0.02)


def test_the_told_temperature_scales_with_the_logits_and_never_lies_below_the_chosen_one() -> None:
    told = [examine(echo(scale=scale), normal(), temperature=0.1).telling_temperature for scale in (1.0, 10.0, 1e4)]
    assert told[1] == pytest.approx(10 * told[0], rel=0.02)
    assert told[2] == pytest.approx(1e4 * told[0], rel=0.02)
    assert examine(echo(), normal(), temperature=50.0).telling_temperature == 50.0


@pytest.mark.parametrize("classes", [2, 10])
def test_a_teacher_that_answers_probabilities_is_refused(classes: int) -> None:
    rows = normal(classes=classes)
    softened = replace(rows, inputs=rows.inputs.softmax(-1))
    for allow in (False, True):
        with pytest.raises(IntegrityError, match="answers probabilities: for each of 500 examples"):
            verdict(examine(echo(classes), softened, temperature=4.0), allow_near_chance=allow)
    with pytest.raises(IntegrityError, match="answers probabilities"):
        verdict(examine(Ensemble([echo(classes, scale=2.0), echo(classes)]), softened, temperature=4.0))


def test_logarithms_of_probabilities_are_logits() -> None:
    rows = normal()
    logarithms = replace(rows, inputs=rows.inputs.log_softmax(-1))
    seen, expected = (examine(echo(), each, temperature=4.0) for each in (logarithms, rows))
    assert verdict(seen) == verdict(expected) == ()
    assert seen.effective_classes_mean == pytest.approx(expected.effective_classes_mean, rel=1e-5)


def test_effective_classes_grow_with_the_temperature() -> None:
    seen = [examine(echo(), normal(), temperature=t) for t in (0.1, 0.5, 1.0, 2.0, 8.0, 1e3)]
    for one, following in itertools.pairwise(seen):
        assert one.effective_classes_median < following.effective_classes_median
        assert one.effective_classes_mean < following.effective_classes_mean
    assert seen[-1].effective_classes_median == pytest.approx(10, rel=1e-3)


def test_a_label_smoothed_teacher_is_advised_a_low_temperature() -> None:
    (line,) = verdict(examine(echo(), smoothed(), temperature=8.0))
    assert "label smoothing" in line
    assert "temperature=2 or less" in line
    assert verdict(examine(echo(), smoothed(), temperature=2.0)) == ()


@pytest.fixture(scope="module")
def digits() -> Rows:
    inputs, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return Rows(torch.tensor(inputs / 16, dtype=torch.float32)[order], torch.tensor(labels)[order])


def trained(rows: Rows, *, label_smoothing: float) -> Frozen:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(20):
        for batch in rows.batches(torch.randperm(1300), batch_size=64, views=None):
            optimizer.zero_grad()
            F.cross_entropy(network(batch.inputs), batch.labels, label_smoothing=label_smoothing).backward()
            optimizer.step()
    return Frozen(network, [str(c) for c in range(10)])


def test_real_teachers_trained_with_and_without_label_smoothing_are_told_apart(digits: Rows) -> None:
    held_out = Rows(digits.inputs[1300:], digits.labels[1300:])
    plain = examine(trained(digits, label_smoothing=0.0), held_out, temperature=4.0)
    smooth = examine(trained(digits, label_smoothing=0.1), held_out, temperature=4.0)
    assert verdict(plain) == ()
    assert len(verdict(smooth)) == 1
    assert "label smoothing" in verdict(smooth)[0]


def test_two_classes_have_no_others_to_compare() -> None:
    seen: Examination = examine(echo(2), normal(classes=2), temperature=4.0)
    assert (seen.others_spread, seen.others_spread_to_lead) == (None, None)
    assert verdict(seen) == ()


def test_no_examples_and_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="no examples"):
        examine(echo(), Rows(torch.zeros(0, 10), torch.zeros(0, dtype=torch.long)), temperature=1.0)
    with pytest.raises(DataError, match="not finite"):
        examine(echo(scale=float("inf")), normal(), temperature=1.0)
