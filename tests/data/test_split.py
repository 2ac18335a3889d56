from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from darkknowledge.contract import IGNORED
from darkknowledge.data._split import Parts, Split, divide, stratified_order
from darkknowledge.errors import UsageError
from darkknowledge.randomness import Stream

NAMES = ("cat", "dog", "horse")
COUNTS = (600, 300, 100)
LABELS = torch.cat([torch.full((count,), label) for label, count in enumerate(COUNTS)])[
    torch.randperm(1000, generator=torch.Generator().manual_seed(0))
]
IDS = torch.arange(5000, 6000)


def parts(**options: Any) -> Parts:
    return divide(IDS, LABELS, NAMES, Split(**options))


def class_counts(positions: torch.Tensor) -> list[int]:
    return LABELS[positions].bincount(minlength=3).tolist()


def test_every_prefix_of_the_order_holds_each_class_in_proportion() -> None:
    order = stratified_order(IDS, LABELS, seed=3, stream=Stream.FRACTION)
    assert order.sort().values.tolist() == list(range(1000))
    for size in range(1, 1001, 7):
        counts = class_counts(order[:size])
        assert all(abs(found - size * count / 1000) <= 1 for found, count in zip(counts, COUNTS, strict=True)), size


def test_the_order_depends_on_ids_and_not_on_positions() -> None:
    shuffle = torch.randperm(1000, generator=torch.Generator().manual_seed(1))
    order = stratified_order(IDS, LABELS, seed=3, stream=Stream.FRACTION)
    shuffled = stratified_order(IDS[shuffle], LABELS[shuffle], seed=3, stream=Stream.FRACTION)
    assert torch.equal(IDS[order], IDS[shuffle][shuffled])


def test_validation_is_stratified_and_disjoint_and_nothing_is_lost() -> None:
    split = parts(validation=0.1)
    assert class_counts(split.validation) == [60, 30, 10]
    assert torch.cat([split.train, split.validation]).sort().values.tolist() == list(range(1000))
    assert torch.equal(split.train_labels, LABELS[split.train])


def test_validation_may_be_a_number_of_cases_or_none() -> None:
    assert len(parts(validation=37).validation) == 37
    assert len(parts(validation=0).validation) == 0
    assert len(parts(validation=0).train) == 1000


def test_the_same_seed_divides_alike_and_another_does_not() -> None:
    assert torch.equal(parts(split_seed=1).validation, parts(split_seed=1).validation)
    assert not torch.equal(parts(split_seed=1).validation, parts(split_seed=2).validation)
    assert not torch.equal(parts(split_seed=1, fraction=0.1).train, parts(split_seed=2, fraction=0.1).train)


def test_validation_is_the_same_whatever_is_done_to_the_training_cases() -> None:
    plain = parts().validation
    for options in ({"fraction": 0.03}, {"labelled": 0.5}, {"classes": ["dog"]}, {"without": "cat"}, {"hide_labels": True}):
        assert torch.equal(parts(**options).validation, plain), options


def test_a_smaller_fraction_lies_within_a_larger_one_and_is_stratified() -> None:
    chosen = [set(parts(fraction=fraction).train.tolist()) for fraction in (0.03, 0.1, 0.3, 1.0)]
    assert [len(cases) for cases in chosen] == [27, 90, 270, 900]
    assert all(small < large for small, large in itertools.pairwise(chosen))
    assert class_counts(parts(fraction=0.1).train) == [54, 27, 9]


def test_labelled_hides_the_other_labels_and_is_nested_and_stratified() -> None:
    few, more = parts(labelled=0.1), parts(labelled=0.4)
    assert len(few.train) == 900
    shown = few.train_labels != IGNORED
    assert class_counts(few.train[shown]) == [54, 27, 9]
    assert torch.equal(few.train_labels[shown], LABELS[few.train[shown]])
    assert set(few.train[shown].tolist()) < set(more.train[more.train_labels != IGNORED].tolist())


def test_hide_labels_hides_all_of_them() -> None:
    assert set(parts(hide_labels=True).train_labels.tolist()) == {IGNORED}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"classes": ["dog", "horse"]}, {1, 2}),
        ({"classes": (1, 2)}, {1, 2}),
        ({"classes": "dog"}, {1}),
        ({"classes": ["2"]}, {2}),
        ({"without": "horse"}, {0, 1}),
        ({"without": 0}, {1, 2}),
    ],
)
def test_classes_are_chosen_by_name_or_index(options: dict[str, Any], kept: set[int]) -> None:
    split = parts(**options)
    assert set(LABELS[split.train].tolist()) == kept
    assert set(LABELS[split.validation].tolist()) == {0, 1, 2}
    assert len(split.train) == sum(class_counts(parts().train)[label] for label in kept)


def test_a_name_wins_over_an_index() -> None:
    split = divide(IDS, LABELS, ("2", "1", "0"), Split(classes="2"))
    assert set(LABELS[split.train].tolist()) == {0}


def test_cases_that_came_without_a_label_are_never_validated() -> None:
    labels = LABELS.clone()
    labels[:500] = IGNORED
    split = divide(IDS, labels, NAMES, Split(validation=0.2))
    assert len(split.validation) == 100
    assert (labels[split.validation] != IGNORED).all()
    assert (divide(IDS, labels, NAMES, Split(without="cat")).train_labels == IGNORED).any()
    assert not (divide(IDS, labels, NAMES, Split(classes="cat")).train_labels == IGNORED).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 0.0}, "fraction must be a share above 0"),
        ({"fraction": 1.5}, "fraction must be a share above 0"),
        ({"fraction": float("nan")}, "fraction must be a share above 0"),
        ({"fraction": "0.5"}, "fraction must be a share above 0"),
        ({"labelled": 0}, "hide_labels=true"),
        ({"validation": 1.0}, "validation must be a share"),
        ({"validation": -1}, "validation must be a share"),
        ({"validation": True}, "validation must be a share"),
        ({"validation": float("nan")}, "validation must be a share"),
        ({"validation": 1000}, "would take all of the 1000"),
        ({"classes": ["dgo"]}, "Did you mean 'dog'"),
        ({"classes": [3]}, "there is no class 3"),
        ({"without": [-1]}, "there is no class -1"),
        ({"classes": []}, "names no class"),
        ({"classes": "cat", "without": "dog"}, "cannot be given together"),
        ({"hide_labels": True, "labelled": 0.5}, "give one of the two"),
        ({"without": ["cat", "dog", "horse"]}, "no training cases are left"),
        ({"fraction": 0.0001}, "no training cases are left"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parts(**options)
    assert caught.value.exit_code == 2
