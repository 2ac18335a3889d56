from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from darkknowledge.contract import Average, Batch, Output
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.teacher import Ensemble, Frozen

CLASSES = tuple("abcdefghij")
TEMPERATURES = [0.5, 1.0, 4.0, 20.0]


def batch(examples: int = 16) -> Batch:
    inputs = torch.rand(examples, 6, generator=torch.Generator().manual_seed(0))
    return Batch(torch.arange(examples), inputs, torch.zeros(examples, dtype=torch.long))


def member(seed: int) -> Frozen:
    torch.manual_seed(seed)
    network = nn.Linear(6, 10)
    nn.init.normal_(network.weight, std=4.0)
    return Frozen(network, CLASSES)


def soft_target(output: Output, temperature: float) -> Tensor:
    return (output.logits(temperature) / temperature).softmax(-1)


def in_numpy(members: Sequence[Frozen], weights: Sequence[float], average: Average, temperature: float) -> np.ndarray:
    logits = np.stack([one(batch()).logits().double().numpy() for one in members]) / temperature
    shares = (np.array(weights) / np.sum(weights))[:, None, None]
    if average == "probability":
        return (shares * softmax(logits, axis=-1)).sum(0)
    return softmax((shares * log_softmax(logits, axis=-1)).sum(0), axis=-1)  # the normalised geometric mean


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("average", ["probability", "logit"])
@pytest.mark.parametrize("weights", [None, [3.0, 1.0, 0.5]])
def test_the_soft_target_is_the_mean_of_the_members_softened_each_by_itself(
    temperature: float, average: Average, weights: list[float] | None
) -> None:
    members = [member(seed) for seed in range(3)]
    seen = soft_target(Ensemble(members, average=average, weights=weights)(batch()), temperature)
    expected = in_numpy(members, weights or [1, 1, 1], average, temperature)
    np.testing.assert_allclose(seen.numpy(), expected, rtol=2e-5, atol=1e-7)


def test_the_two_averages_differ() -> None:
    members = [member(0), member(1)]
    arithmetic, geometric = (soft_target(Ensemble(members, average=average)(batch()), 1.0) for average in ("probability", "logit"))
    assert (arithmetic - geometric).abs().max() > 0.1


@pytest.mark.parametrize("average", ["probability", "logit"])
def test_the_order_of_the_members_does_not_matter(average: Average) -> None:
    members, weights = [member(seed) for seed in range(3)], [1.0, 2.0, 3.0]
    there = Ensemble(members, average=average, weights=weights)(batch()).logits(4.0)
    back = Ensemble(members[::-1], average=average, weights=weights[::-1])(batch()).logits(4.0)
    torch.testing.assert_close(there, back)


@pytest.mark.parametrize("average", ["probability", "logit"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_mean_of_one_is_itself_and_of_equals_too(average: Average, temperature: float) -> None:
    alone = member(0)
    assert Ensemble([alone], average=average)(batch()).logits(temperature).equal(alone(batch()).logits())
    twins = Ensemble([alone, alone, alone], average=average, weights=[1, 5, 2])(batch())
    torch.testing.assert_close(soft_target(twins, temperature), soft_target(alone(batch()), temperature), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("average", ["probability", "logit"])
def test_an_ensemble_in_an_ensemble_counts_with_the_product_of_the_weights(average: Average) -> None:
    a, b, c = (member(seed) for seed in range(3))
    nested = Ensemble([Ensemble([a, b], average=average, weights=[1, 3]), c], average=average, weights=[2, 1])(batch())
    flat = Ensemble([a, b, c], average=average, weights=[2 / 3 / 4, 2 / 3 * 3 / 4, 1 / 3])(batch())
    assert nested.members.shape == (3, 16, 10)
    torch.testing.assert_close(nested.weights, flat.weights)
    torch.testing.assert_close(nested.logits(2.0), flat.logits(2.0))


def test_a_mean_of_different_means_is_refused_unless_it_is_of_one() -> None:
    a, b = member(0), member(1)
    with pytest.raises(UsageError, match="member 1 averages by logit, the ensemble by probability"):
        Ensemble([a, Ensemble([a, b], average="logit")])(batch())
    assert len(Ensemble([a, Ensemble([b], average="logit")])(batch()).members) == 2


def test_networks_are_those_of_all_members_and_move_together() -> None:
    a, b, c = (member(seed) for seed in range(3))
    ensemble = Ensemble([a, Ensemble([b, c], weights=[1, 3])], weights=[1, 2])
    assert ensemble.networks == a.networks + b.networks + c.networks
    moved = ensemble.to("meta")
    assert [network.weight.device.type for network in moved.networks] == ["meta"] * 3
    assert repr(moved) == repr(ensemble) == "Ensemble(2 members, average=probability, weights=(0.333, 0.667))"


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")], []])
def test_weights_are_positive_finite_and_one_per_member(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="for 2 members"):
        Ensemble([member(0), member(1)], weights=weights)


def test_an_ensemble_has_members_and_a_known_average() -> None:
    with pytest.raises(UsageError, match="without members"):
        Ensemble([])
    with pytest.raises(UsageError, match="average 'mean'"):
        Ensemble([member(0)], average="mean")


def test_members_with_other_classes_are_refused() -> None:
    fewer = Frozen(nn.Linear(6, 9), CLASSES[:9])
    with pytest.raises(IntegrityError, match="member 1 has 9 classes, member 0 has 10"):
        Ensemble([member(0), fewer])
    swapped = Frozen(nn.Linear(6, 10), ("a", "c", "b", *CLASSES[3:]))
    with pytest.raises(IntegrityError, match=r"the same classes in another order\n  where: class 1 is 'c' for member 2 and 'b' for member 0"):
        Ensemble([member(0), member(1), swapped])
