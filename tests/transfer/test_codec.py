"""Codecs: what comes back, within stated bounds, for every number that may come."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra import numpy as hn
from torch import Tensor

from darkknowledge.errors import UsageError
from darkknowledge.transfer import codec as codecs
from darkknowledge.transfer.codec.topk import TopK
from reference.transfer import decode

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=True)
HALF = st.floats(-65504, 65504, width=32, allow_subnormal=True)
USUAL = st.floats(-60, 60, width=32)


def rows_of(numbers: st.SearchStrategy[float], *, most: int = 40) -> st.SearchStrategy[Tensor]:
    shapes = st.tuples(st.integers(1, 4), st.integers(2, most))
    return hn.arrays(np.float32, shapes, elements=numbers).map(torch.from_numpy)


def reference(codec: codecs.Codec, rows: Tensor, temperature: float = 1.0) -> Tensor:
    spelled = {"name": codec.name, "options": codec.options()}
    return torch.tensor(np.stack([decode(bytes(row.tolist()), spelled, codec.classes, temperature) for row in rows]))


@given(rows_of(FINITE))
def test_float32_is_exact(logits: Tensor) -> None:
    codec = codecs.build("float32", logits.shape[1])
    rows = codec.encode(logits)
    assert rows.shape == (len(logits), codec.width)
    assert torch.equal(codec.decode(rows), logits)
    assert not codec.unfit(logits).any()
    assert not codec.broken(rows).any()


@given(rows_of(HALF))
def test_float16_is_within_its_bound(logits: Tensor) -> None:
    codec = codecs.build("float16", logits.shape[1])
    rows = codec.encode(logits)
    assert not codec.unfit(logits).any()
    assert not codec.broken(rows).any()
    assert ((codec.decode(rows) - logits).abs() <= torch.maximum(logits.abs() * 2.0**-11, torch.tensor(2.0**-25))).all()
    assert torch.equal(codec.decode(rows).double(), reference(codec, rows))


@pytest.mark.parametrize(("number", "unfit"), [(65504.0, False), (65504.01, True), (65520.0, True), (-70000.0, True), (3e38, True)])
def test_float16_holds_nothing_beyond_its_largest_number(number: float, unfit: bool) -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, number]])
    assert codecs.build("float16", 2).unfit(logits).tolist() == [False, unfit]


@given(rows_of(FINITE))
def test_uint8_is_within_half_a_step(logits: Tensor) -> None:
    codec = codecs.build("uint8", logits.shape[1])
    assume(not codec.unfit(logits).any())
    fit = logits
    rows = codec.encode(fit)
    assert rows.shape[1] == codec.width <= codec.classes + 8
    assert not codec.broken(rows).any()
    step = rows[:, 4:8].clone(memory_format=torch.contiguous_format).view(torch.float32).double()
    decoded = codec.decode(rows).double()
    rounding = fit.double().abs().amax(-1, keepdim=True) * 2.0**-22 + 2.0**-149
    assert ((decoded - fit).abs() <= step / 2 + rounding).all()
    assert ((decoded - reference(codec, rows)).abs() <= rounding).all()
    flat = (fit == fit[:, :1]).all(-1)
    assert torch.equal(decoded[flat], fit[flat].double())


def test_uint8_refuses_a_range_that_float32_cannot_hold() -> None:
    assert codecs.build("uint8", 2).unfit(torch.tensor([[-3e38, 3e38], [0.0, 1e38]])).tolist() == [True, False]


@settings(deadline=None)
@given(rows_of(USUAL), st.sampled_from((0.5, 1.0, 4.0)), st.data())
def test_topk_keeps_the_shares_of_the_largest_and_of_the_rest(logits: Tensor, temperature: float, data: st.DataObject) -> None:
    classes = logits.shape[1]
    codec = TopK(classes, k=data.draw(st.integers(2, classes)), temperatures=(0.5, 1.0, 4.0))
    rows = codec.encode(logits)
    assert rows.shape[1] == codec.width
    assert not codec.broken(rows).any()
    found = (codec.decode(rows, temperature).double() / temperature).softmax(-1)
    p = (logits.double() / temperature).softmax(-1)
    largest = p.topk(codec.k).values.sum(-1)
    assert torch.allclose(codec.captured(rows, temperature).double(), largest, atol=2e-5)
    ids = reference_ids(rows, codec)
    assert torch.allclose(found.gather(1, ids).sum(-1), largest, atol=2e-5)
    # A float16 logit of at most 60 is off by 2⁻⁶ at most, so a share by that over T and half as much again.
    assert (found.gather(1, ids) - p.gather(1, ids)).abs().max() <= 0.04 / temperature
    rest = found.scatter(1, ids, torch.nan)
    assert torch.allclose(rest.nan_to_num(-1).amax(-1), rest.nan_to_num(2).amin(-1).where(rest.isfinite().any(-1), torch.tensor(-1.0).double()))
    assert torch.allclose((reference(codec, rows, temperature) / temperature).softmax(-1), found, atol=2e-5)


def reference_ids(rows: Tensor, codec: TopK) -> Tensor:
    return torch.tensor(np.stack([np.frombuffer(bytes(row.tolist())[: 2 * codec.k], "<u2").astype(np.int64) for row in rows]))


@pytest.mark.parametrize("temperature", [1.0, 8.0])
def test_topk_of_all_classes_is_the_full_soft_target(temperature: float) -> None:
    logits = 6 * torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    codec = TopK(30, k=30)
    found = (codec.decode(codec.encode(logits), temperature) / temperature).softmax(-1)
    assert torch.allclose(found, (logits.half().float() / temperature).softmax(-1), atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 8.0])
def test_topk_of_all_classes_but_one_is_the_full_soft_target_too(temperature: float) -> None:
    logits = (3 * torch.randn(50, 30, generator=torch.Generator().manual_seed(0))).half().float()
    codec = TopK(30, k=29)
    found = (codec.decode(codec.encode(logits), temperature) / temperature).softmax(-1)
    assert torch.allclose(found, (logits / temperature).softmax(-1), atol=2e-6)


@pytest.mark.parametrize("classes", [65_536, 65_537, 70_000])
def test_topk_counts_its_ids_in_as_many_bytes_as_they_need(classes: int) -> None:
    logits = torch.zeros(1, classes)
    logits[0, [3, classes - 1]] = 20.0
    codec = TopK(classes, k=2, temperatures=(1.0,))
    assert codec.width == 2 * (4 if classes <= 65_536 else 6) + 4
    assert codec.decode(codec.encode(logits))[0].topk(2).indices.sort().values.tolist() == [3, classes - 1]


def test_topk_of_a_sure_teacher_keeps_the_tail_small_and_finite() -> None:
    logits = torch.full((1, 100), -30.0)
    logits[0, 7] = 33.33
    codec = TopK(100, k=4)
    found = codec.decode(codec.encode(logits), 1.0).softmax(-1)
    assert found.isfinite().all()
    assert found[0, 7] > 0.999999


@pytest.mark.parametrize("temperature", [4.0, 8.0, 16.0])
def test_dense_uint8_moves_little_of_the_soft_target(temperature: float) -> None:
    logits = 3 * torch.randn(200, 1000, generator=torch.Generator().manual_seed(0))
    codec = codecs.build("uint8", 1000)
    assert codec.width <= 1010
    moved = (codec.decode(codec.encode(logits)).double() / temperature).softmax(-1) - (logits.double() / temperature).softmax(-1)
    assert moved.abs().sum(-1).mean() / 2 <= 0.005


@pytest.mark.parametrize("name", ["float32", "float16", "uint8", "topk"])
@pytest.mark.parametrize("classes", [2, 3, 255, 1001, 5000])
def test_every_codec_serves_every_number_of_classes_and_single_rows(name: str, classes: int) -> None:
    codec = codecs.build(name, classes, **({"k": 2} if name == "topk" else {}))
    logits = torch.randn(3, classes, generator=torch.Generator().manual_seed(1))
    rows = codec.encode(logits)
    decoded = codec.decode(rows, 1.0)
    assert decoded.shape == (3, classes)
    assert torch.equal(decoded.argmax(-1), logits.argmax(-1))
    assert torch.equal(codec.decode(rows[1:2].clone(), 1.0), decoded[1:2])
    low, high = codec.extremes(rows)
    assert (low <= high).all()
    assert codecs.build(codec.name, classes, **codec.options()) == codec


def test_topk_finds_what_it_cannot_have_written() -> None:
    codec = TopK(10, k=3, temperatures=(1.0,))
    rows = codec.encode(torch.randn(5, 10, generator=torch.Generator().manual_seed(0)))
    rows[0, 4], rows[1, 2:4], rows[2, 6:8], rows[3, -4:] = 10, rows[1, :2], torch.tensor([0, 0x7C]), torch.tensor([0, 0, 0xC0, 0x7F])
    assert codec.broken(rows).tolist() == [True, True, True, True, False]


def test_topk_is_refused_at_a_temperature_that_was_not_declared() -> None:
    codec = TopK(10, k=3, temperatures=(1.0, 4.0))
    rows = codec.encode(torch.randn(2, 10))
    with pytest.raises(UsageError, match=r"temperature 3[\s\S]*use one of 1, 4"):
        codec.decode(rows, 3.0)


@pytest.mark.parametrize(("classes", "name"), [(2, "float16"), (256, "float16"), (257, "uint8"), (4096, "uint8"), (4097, "topk"), (150_000, "topk")])
def test_the_codec_follows_the_number_of_classes(classes: int, name: str) -> None:
    assert codecs.choose(classes).name == name


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("float15", {}, "Did you mean 'float16'"),
        ("topk", {"kk": 3}, "no option 'kk'"),
        ("uint8", {"k": 3}, "no option 'k'"),
        ("topk", {"k": 1}, "from 2 to 10"),
        ("topk", {"k": 11}, "from 2 to 10"),
        ("topk", {"k": 2.5}, "from 2 to 10"),
        ("topk", {"k": 2, "temperatures": ()}, "ascending"),
        ("topk", {"k": 2, "temperatures": (2.0, 1.0)}, "ascending"),
        ("topk", {"k": 2, "temperatures": (0.0, 1.0)}, "ascending"),
        ("topk", {"k": 2, "temperatures": ("warm",)}, "ascending"),
    ],
)
def test_a_codec_that_cannot_be_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        codecs.build(name, 10, **options)
