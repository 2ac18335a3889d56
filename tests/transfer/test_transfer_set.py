"""Reading a transfer set: the right rows, or a refusal."""

from __future__ import annotations

import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from darkknowledge.contract import Batch, Output
from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.transfer import LoadedSet, Plan, RecordedTeacher, TopKOutput, TransferSet, build
from darkknowledge.transfer._lookup import Lookup
from reference.transfer import decode, read, soft_target
from transfer.small import Linear, Points, every_row, identity_of, plan_of, points, recorded

KINDS: dict[str, dict[str, Any]] = {
    "float32": {"codec": "float32"},
    "float16": {"codec": "float16"},
    "uint8": {"codec": "uint8"},
    "topk": {"codec": "topk", "k": 4, "temperatures": (1.0, 3.0)},
    "three members": {"codec": "float16", "teacher": Linear(members=3)},
    "top-k of three members": {"codec": "topk", "k": 5, "temperatures": (1.0, 3.0), "teacher": Linear(members=3)},
    "mean of the logits": {"codec": "float32", "teacher": Linear(members=3, average="logit")},
}


def live(teacher: Linear, examples: Points, ids: Tensor, views: Tensor | None) -> Output:
    positions = torch.tensor([examples.ids.tolist().index(example) for example in ids.tolist()])
    (batch,) = examples.batches(positions, batch_size=len(ids), views=views)
    return teacher(batch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_answers_are_those_of_a_slow_reader_of_the_format(kind: str, temperature: float, tmp_path: Path) -> None:
    teacher = KINDS[kind].get("teacher") or Linear()
    made = recorded(tmp_path / "set", **KINDS[kind])
    identity, rows = read(made.path)
    ids = torch.tensor([1099, 1000, 1050, 1050, 1016])
    found = (made[ids].logits(temperature) / temperature).softmax(-1)
    weights = teacher.shares.numpy() if made.members > 1 else np.ones(1)
    for p, key in zip(found, ids.tolist(), strict=True):
        members = np.stack([decode(member, identity["codec"], 10, temperature) for member in rows[key].members])
        assert np.allclose(p.numpy(), soft_target(members, weights, temperature=temperature), atol=2e-6)


@pytest.mark.parametrize("kind", ["float32", "mean of the logits"])
def test_a_float32_set_answers_as_the_live_teacher(kind: str, tmp_path: Path) -> None:
    teacher, examples = KINDS[kind].get("teacher") or Linear(), points()
    made = recorded(tmp_path / "set", **KINDS[kind])
    ids = examples.ids[:20]
    for temperature in (1.0, 2.5):
        assert torch.allclose(made[ids].logits(temperature), live(teacher, examples, ids, None).logits(temperature), atol=1e-5)


def test_members_are_kept_apart_where_probabilities_are_averaged(tmp_path: Path) -> None:
    teacher, examples = Linear(members=3), points()
    made = recorded(tmp_path / "set", teacher=teacher, codec="float32")
    output = made[examples.ids]
    expected = live(teacher, examples, examples.ids, None)
    assert isinstance(output, Output)
    assert torch.allclose(output.members, expected.members, atol=1e-5)
    assert torch.equal(output.weights, expected.weights)
    assert made.members == 3


def test_views_are_told_apart(tmp_path: Path) -> None:
    examples, teacher = points(20, transform="wiggle v1"), Linear()
    made = recorded(tmp_path / "set", teacher=teacher, examples=examples, views=3)
    ids, views = every_row(examples, 3)
    assert torch.allclose(made[ids, views].logits(), live(teacher, examples, ids, views).logits(), atol=1e-5)
    assert len(made) == 60
    assert torch.equal(made.ids, examples.ids.sort().values)
    with pytest.raises(UsageError, match=r"3 views of each example[\s\S]*set\[ids, views\]"):
        made[ids]
    with pytest.raises(UsageError, match="views from 0 to 2"):
        made[ids, views + 1]


@pytest.mark.parametrize(("shard_rows", "gap"), [(1000, 1), (16, 1), (1000, 3), (16, 3), (1, 2)])
@pytest.mark.parametrize("loaded", [False, True])
def test_every_row_is_found_and_no_other(shard_rows: int, gap: int, loaded: bool, tmp_path: Path) -> None:
    examples = points(70, gap=gap)
    made: Any = recorded(tmp_path / "set", examples=examples, shard_rows=shard_rows)
    expected = live(Linear(), examples, examples.ids, None).logits()
    labels = made.labels(examples.ids)
    source = made.load() if loaded else made
    assert torch.allclose(source.answer(examples.ids).logits(), expected, atol=1e-5)
    assert torch.equal(labels, examples.labels)
    for absent in (999, 0, 1000 + 70 * gap, 1 << 40, *([1001] if gap > 1 else [])):
        with pytest.raises(DataError, match=f"1 of 2 rows are not in the transfer set: id {absent}"):
            source.answer(torch.tensor([1000, absent]))
        with pytest.raises(DataError, match="1 of 2 rows"):
            source.require_rows([1000, absent])
    with pytest.raises(DataError, match=r"7 of 7 rows .* id 1, 2, 3, 4, 5 …"):
        source.require_rows(list(range(1, 8)))
    source.require_rows(examples.ids)


def test_labels_are_found_by_any_view_that_is_there(tmp_path: Path) -> None:
    examples, teacher = points(30, transform="wiggle v1"), Linear()
    identity = identity_of(teacher, examples, views=4)
    plan = Plan.make(identity, ids=examples.ids[:20], views=torch.arange(20) % 4, shard_rows=7)
    made = build(tmp_path / "set", plan, teacher=teacher, examples=examples)
    assert made is not None
    assert torch.equal(made.labels(examples.ids[:20]), examples.labels[:20])
    with pytest.raises(DataError, match="10 of 30 rows"):
        made.labels(examples.ids)


@pytest.mark.parametrize("ids", [[], torch.tensor([], dtype=torch.int64)])
def test_no_ids_give_no_answers(ids: Any, tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    assert made[ids].logits().shape == (0, 10)
    made.require_rows(ids)


@pytest.mark.parametrize("ids", [[1000.0], torch.tensor(1000), torch.tensor([[1000]]), [-1], torch.tensor([True])])
def test_ids_that_are_none_are_refused(ids: Any, tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    with pytest.raises(UsageError):
        made[ids]


def test_a_gap_within_a_shard_or_between_shards_is_no_row() -> None:
    for keys in ([[0, 1, 2], [4, 5]], [[0, 1, 3], [4, 5]], [[5, 6, 9], [10]]):
        lookup = Lookup([np.array(part) for part in keys], shard_rows=3)
        flat = [key for part in keys for key in part]
        rows, absent = lookup.rows_of(np.arange(-2, 13))
        assert absent is not None
        assert [key for key, gone in zip(range(-2, 13), absent, strict=True) if not gone] == flat
        assert rows[~absent].tolist() == list(range(len(flat)))


@pytest.mark.parametrize("source", ["mapped", "loaded"])
def test_a_recorded_teacher_answers_batches_by_id_and_view(source: str, tmp_path: Path) -> None:
    examples, live_teacher = points(40, transform="wiggle v1"), Linear()
    made = recorded(tmp_path / "set", examples=examples, views=2)
    teacher = RecordedTeacher(made if source == "mapped" else made.load()).to("cpu")
    assert teacher.class_names == live_teacher.class_names
    for views in (torch.arange(40) % 2, torch.zeros(40, dtype=torch.int64)):
        (batch,) = examples.batches(torch.arange(40), batch_size=40, views=views)
        assert torch.allclose(teacher(batch).logits(4.0), live_teacher(batch).logits(4.0), atol=1e-5)
    assert torch.equal(teacher(Batch(batch.ids, batch.inputs, batch.labels)).logits(), teacher(batch).logits())


@pytest.mark.parametrize("source", ["mapped", "loaded", "a part"])
def test_a_recorded_teacher_refuses_a_first_batch_of_other_pictures(source: str, tmp_path: Path) -> None:
    examples = points(40, gap=2)
    made = recorded(tmp_path / "set", examples=examples)
    shown: Any = {"mapped": made, "loaded": made.load(), "a part": made.load(ids=examples.ids[5:15])}[source]
    (batch,) = examples.batches(torch.arange(5, 15), batch_size=10, views=None)
    teacher = RecordedTeacher(shown)
    with pytest.raises(IntegrityError, match="not the ones that the teacher saw: 10 of 10 differ"):
        teacher(Batch(batch.ids, batch.inputs.flip(0), batch.labels))
    with pytest.raises(DataError, match="10 of 10 rows"):
        teacher(Batch(batch.ids + 1000, batch.inputs, batch.labels))
    assert torch.equal(teacher(batch).logits(), made[batch.ids].logits())
    assert torch.equal(teacher(Batch(batch.ids, batch.inputs.flip(0), batch.labels)).logits(), made[batch.ids].logits())


def test_a_part_of_a_set_can_be_loaded(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    part = made.load(ids=[1005, 1001, 1005])
    assert isinstance(part, LoadedSet)
    assert len(part) == 2
    assert torch.equal(part.answer(torch.tensor([1005])).logits(), made[[1005]].logits())
    with pytest.raises(DataError, match="id 1000"):
        part.answer(torch.tensor([1000]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS)
def test_a_set_on_a_gpu_answers_as_on_the_cpu(kind: str, tmp_path: Path) -> None:
    made = recorded(tmp_path / "set", **KINDS[kind])
    ids = made.ids.flip(0)
    for answer in (made.load(device="cuda").answer(ids.cuda()), made.answer(ids.cuda())):
        assert torch.allclose(answer.logits(3.0).cpu(), made[ids].logits(3.0), atol=1e-4)


def test_pictures_that_the_teacher_did_not_see_are_found(tmp_path: Path) -> None:
    examples = points(40)
    made = recorded(tmp_path / "set", examples=examples)
    (batch,) = examples.batches(torch.arange(40), batch_size=40, views=None)
    made.check_alignment(batch)
    made.check_alignment(Batch(batch.ids, batch.inputs.double(), batch.labels))
    inputs = batch.inputs.clone()
    inputs[[5, 9]] += 1e-6
    with pytest.raises(IntegrityError, match=f"2 of 40 differ, first id {int(batch.ids[5])}"):
        made.check_alignment(Batch(batch.ids, inputs, batch.labels))


def test_the_captured_share_decides_where_a_top_k_set_may_be_used(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set", teacher=Linear(50), codec="topk", k=10, temperatures=(1.0, 2.0, 16.0))
    (batch,) = points().batches(torch.arange(100), batch_size=100, views=None)
    p = (Linear(50)(batch).logits().double() / 16).softmax(-1)
    assert made.captured_mass(16.0) == pytest.approx(p.topk(10).values.sum(-1).mean().item(), abs=1e-4)
    assert made.captured_mass(1.0) > 0.9 > made.captured_mass(16.0)
    made.require_temperature(1.0)
    made.require_temperature(16.0, least=0.2)
    with pytest.raises(UsageError, match=r"at temperature 16 the 10 recorded of 50 classes hold 0\.\d+ .* 0.9 is wanted"):
        made.require_temperature(16.0)
    with pytest.raises(UsageError, match="use one of 1, 2, 16"):
        made.require_temperature(4.0)
    assert isinstance(made[[1000]], TopKOutput)
    assert made.temperatures == (1.0, 2.0, 16.0)


def test_a_dense_set_serves_every_temperature(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    made.require_temperature(123.0)
    assert made.captured_mass(0.3) == 1.0
    assert made.temperatures is None
    assert made.bytes_per_row == 20 + 40


def test_a_path_without_a_set_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nothing" / "manifest.json"):
        with pytest.raises(UsageError, match=r"no transfer set|no folder"):
            TransferSet.open(path)


def test_parts_that_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    shard = made.path / "shards" / "00000-of-00007.arrow"
    shard.rename(tmp_path / "moved.arrow")
    shard.symlink_to(tmp_path / "moved.arrow")
    with pytest.raises(IntegrityError, match="is a link"):
        TransferSet.open(made.path)


def _answers(made: TransferSet, ids: list[int]) -> list[list[float]]:
    rows: list[list[float]] = made[ids].logits().tolist()
    return rows


def test_a_set_goes_to_a_spawned_worker_as_its_path(tmp_path: Path) -> None:
    sets = [recorded(tmp_path / str(shard_rows), shard_rows=shard_rows) for shard_rows in (1000, 16)]
    assert all(len(pickle.dumps(made)) < 1000 for made in sets)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
        for made, found in zip(sets, worker.map(_answers, sets, [[1005, 1001]] * 2), strict=True):
            assert found == _answers(made, [1005, 1001])


def test_many_threads_read_the_same(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    expected = made[made.ids].logits()
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: made[made.ids].logits(), range(20)):
            assert torch.equal(found, expected)


def test_the_plan_of_no_rows_or_impossible_rows_is_refused() -> None:
    teacher, examples = Linear(), points()
    identity = identity_of(teacher, examples)
    with pytest.raises(UsageError, match="nothing to record"):
        Plan.make(identity, ids=examples.ids[:0])
    with pytest.raises(UsageError, match="at least 1 row"):
        Plan.make(identity, ids=examples.ids, shard_rows=0)
    with pytest.raises(UsageError, match="views from 0 to 0"):
        Plan.make(identity, ids=examples.ids, views=torch.ones(100, dtype=torch.int64))


def test_shards_are_suitable_by_default() -> None:
    teacher, examples = Linear(), points()
    plan = plan_of(teacher, examples, shard_rows=None)
    assert plan.shard_rows == 8192
    large = Plan.make(plan.identity, ids=torch.arange(1_000_001))
    assert len(large.shards) <= 16
    assert large.shard_rows % plan.identity.batch_size == 0


def test_rows_are_the_mapped_file_itself(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    assert not made.shards[0].answers.flags.owndata
    assert not made.shards[0].answers.flags.writeable
    assert os.fspath(made.path) in repr(made)
