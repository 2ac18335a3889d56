"""What holds of every ensemble, whatever its members answer, whatever they weigh and at whichever temperature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from darkknowledge.contract import Average, Batch, Output
from darkknowledge.teacher import Ensemble

EVERY = settings(max_examples=25, deadline=None, derandomize=True)
NOBODY = Batch(torch.empty(0, dtype=torch.int64), torch.empty(0), torch.empty(0, dtype=torch.int64))
"""The members answer the same to every batch."""

AVERAGES: st.SearchStrategy[Average] = st.sampled_from(("probability", "logit"))
TEMPERATURES = st.sampled_from((0.5, 1.0, 3.7, 20.0, 100.0))


@dataclass(frozen=True)
class Fixed:
    """A teacher with one answer."""

    logits: Tensor

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.logits.shape[-1])))

    def __call__(self, batch: Batch) -> Output:
        return Output.single(self.logits)

    def to(self, device: torch.device | str) -> Fixed:
        return self


@dataclass(frozen=True)
class Team:
    """Members, and what they weigh."""

    members: list[Fixed]
    weights: list[float]


@st.composite
def teams(draw: st.DrawFn, *, least: int = 2, largest: float = 50) -> Team:
    """Of at most four members, whose logits are between minus and plus ``largest``."""
    size, batch, classes = draw(st.integers(least, 4)), draw(st.integers(1, 3)), draw(st.integers(2, 5))
    random = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    logits = draw(st.sampled_from((0.01, 0.1, 1.0))) * largest * (2 * torch.rand(size, batch, classes, generator=random) - 1)
    return Team([Fixed(each) for each in logits], (0.05 + torch.rand(size, generator=random)).tolist())


def soft_target(team: Team, average: Average, temperature: float) -> Tensor:
    """That of the ensemble, (B, C) float64."""
    return softened(Ensemble(team.members, average=average, weights=team.weights)(NOBODY).logits(temperature), temperature)


def softened(logits: Tensor, temperature: float) -> Tensor:
    return (logits.double() / temperature).softmax(-1)


def assert_same(found: Tensor, expected: Tensor) -> None:
    """To the digits that float32 logits of at most 100 keep at the lowest temperature."""
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-12)


@EVERY
@given(teams(least=1, largest=1e4), AVERAGES, st.floats(0.01, 1e4))
def test_the_mean_of_one_is_itself_bit_by_bit(team: Team, average: Average, temperature: float) -> None:
    for member, weight in zip(team.members, team.weights, strict=True):
        assert Ensemble([member], average=average, weights=[weight])(NOBODY).logits(temperature).equal(member.logits)


@EVERY
@given(teams(), AVERAGES, TEMPERATURES, st.data())
def test_no_order_of_the_members_changes_the_mean(team: Team, average: Average, temperature: float, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(team.members))))
    turned = Team([team.members[i] for i in order], [team.weights[i] for i in order])
    assert_same(soft_target(turned, average, temperature), soft_target(team, average, temperature))


@EVERY
@given(teams(), TEMPERATURES)
def test_both_means_of_equals_are_what_each_of_them_says(team: Team, temperature: float) -> None:
    equals = Team(team.members[:1] * len(team.members), team.weights)
    for average in ("probability", "logit"):
        assert_same(soft_target(equals, average, temperature), softened(team.members[0].logits, temperature))


@EVERY
@given(teams(), AVERAGES, TEMPERATURES, st.floats(0.01, 100))
def test_only_the_shares_of_the_weights_matter(team: Team, average: Average, temperature: float, factor: float) -> None:
    heavier = Team(team.members, [factor * weight for weight in team.weights])
    assert_same(soft_target(heavier, average, temperature), soft_target(team, average, temperature))


@EVERY
@given(teams(), AVERAGES, TEMPERATURES, st.floats(0.01, 0.99))
def test_a_member_counts_as_two_of_its_kind_that_share_its_weight(team: Team, average: Average, temperature: float, share: float) -> None:
    first, *others = team.weights
    split = Team([team.members[0], *team.members], [share * first, (1 - share) * first, *others])
    assert_same(soft_target(split, average, temperature), soft_target(team, average, temperature))


@EVERY
@given(teams(), TEMPERATURES)
def test_a_mean_of_probabilities_is_nowhere_beyond_those_of_the_members(team: Team, temperature: float) -> None:
    found = soft_target(team, "probability", temperature)
    each = torch.stack([softened(member.logits, temperature) for member in team.members])
    assert (found >= each.amin(0) * (1 - 1e-4) - 1e-12).all()
    assert (found <= each.amax(0) * (1 + 1e-4) + 1e-12).all()


@EVERY
@given(teams(largest=1e4), AVERAGES, st.floats(0.01, 1e4))
def test_any_finite_logits_have_a_finite_mean(team: Team, average: Average, temperature: float) -> None:
    logits = Ensemble(team.members, average=average, weights=team.weights)(NOBODY).logits(temperature)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
