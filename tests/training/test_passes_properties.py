"""What holds of every way through the examples, whatever the recipe: nothing twice, nothing left out, and no step that depends on those before it."""

from __future__ import annotations

import torch
from hypothesis import example, given, settings, strategies as st
from torch import Tensor

from darkknowledge.randomness import view_of
from darkknowledge.training.passes import Passes
from darkknowledge.training.recipe import Recipe

EVERY = settings(max_examples=20, deadline=None, derandomize=True)


@st.composite
def ways(draw: st.DrawFn) -> Passes:
    """Up to 150 examples with ids that are not in order, in up to six epochs."""
    count, gap = draw(st.integers(1, 150)), draw(st.sampled_from((1, 7, 2**33)))
    recipe = Recipe(
        epochs=draw(st.integers(1, 6)),
        steps=draw(st.none() | st.integers(1, 40)),
        batch_size=draw(st.integers(1, 40)),
        views=draw(st.none() | st.integers(1, 8)),
        shuffle_block=draw(st.none() | st.integers(1, 8)),
        seed=draw(st.integers(0, 2**31 - 1)),
    )
    return Passes(gap * torch.randperm(count, generator=torch.Generator().manual_seed(count)), recipe)


def steps_of(passes: Passes, epoch: int) -> int:
    return min(passes.steps - epoch * passes.per_epoch, passes.per_epoch)


def pairs(ids: Tensor, views: Tensor) -> list[tuple[int, int]]:
    return list(zip(ids.tolist(), views.tolist(), strict=True))


@EVERY
@given(ways())
@example(Passes(torch.arange(150), Recipe(epochs=2, batch_size=16, shuffle_block=1)))  # more than one window of blocks
def test_an_epoch_shows_every_example_once_and_one_that_is_cut_short_none_twice(passes: Passes) -> None:
    seen = 0
    for epoch in range(passes.epochs):
        positions, _ = passes.epoch(epoch)
        assert len(positions) == min(steps_of(passes, epoch) * passes.recipe.batch_size, len(passes.ids))
        assert len(positions.unique()) == len(positions)
        if steps_of(passes, epoch) == passes.per_epoch:
            assert positions.sort().values.tolist() == list(range(len(passes.ids)))
        seen += len(positions)
    assert seen == passes.examples


@EVERY
@given(ways(), st.data())
def test_whoever_goes_on_at_any_step_sees_what_was_left_of_the_epoch(passes: Passes, data: st.DataObject) -> None:
    epoch = data.draw(st.integers(0, passes.epochs - 1))
    begin = data.draw(st.integers(0, steps_of(passes, epoch)))
    positions, views = passes.epoch(epoch)
    left, left_views = passes.epoch(epoch, begin=begin)
    done = begin * passes.recipe.batch_size
    assert left.equal(positions[done:])
    assert left_views.equal(views[done:])


@EVERY
@given(ways(), st.data())
def test_the_batch_of_a_step_is_known_without_those_before_it(passes: Passes, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, passes.steps - 1))
    epoch, index = divmod(step, passes.per_epoch)
    positions, _ = passes.epoch(epoch)
    assert passes.batch(step).equal(passes.ids[positions.split(passes.recipe.batch_size)[index]])


@EVERY
@given(ways())
def test_what_a_teacher_is_asked_about_in_advance_is_what_the_epochs_show(passes: Passes) -> None:
    shown = set()
    for epoch in range(passes.epochs):
        positions, views = passes.epoch(epoch)
        shown.update(pairs(passes.ids[positions], views))
        assert all(0 <= view < passes.views for view in views.tolist())
    assert pairs(*passes.rows()) == sorted(shown)


@EVERY
@given(ways(), st.data())
def test_the_view_of_an_example_follows_from_its_id_and_the_epoch_and_from_no_neighbour(passes: Passes, data: st.DataObject) -> None:
    epoch = data.draw(st.integers(0, passes.epochs - 1))
    positions, views = passes.epoch(epoch)
    ids = passes.ids[positions]
    some = torch.tensor(data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=20)), dtype=torch.int64)
    own = passes.views if passes.views < passes.epochs else None
    assert views[some].equal(view_of(ids[some], epoch=epoch, views=own))
    others = Passes(passes.ids, passes.recipe.model_copy(update={"seed": passes.recipe.seed ^ 1, "shuffle_block": None}))
    every, elsewhere = (dict(zip(each.ids.tolist(), each._views(each.ids, epoch).tolist(), strict=True)) for each in (passes, others))
    assert every == elsewhere


@EVERY
@given(ways(), st.integers(1, 20))
def test_the_order_does_not_depend_on_the_size_of_the_batches(passes: Passes, batch_size: int) -> None:
    whole = passes.recipe.model_copy(update={"steps": None})
    one, other = (Passes(passes.ids, whole.model_copy(update={"batch_size": size})) for size in (passes.recipe.batch_size, batch_size))
    for epoch in range(one.epochs):
        for mine, theirs in zip(one.epoch(epoch), other.epoch(epoch), strict=True):
            assert mine.equal(theirs)
