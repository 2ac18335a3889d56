"""Mixup and CutMix as functions of (seed, id, view), against the papers' formulas for one picture at a time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

from darkknowledge import data
from darkknowledge.contract import IGNORED, Batch
from darkknowledge.data import ImageExamples, Mixed
from darkknowledge.data._beta import WHOLE
from darkknowledge.errors import UsageError
from darkknowledge.randomness import Stream, bits, uniform

KINDS = ["mixup", "cutmix"]
COUNT, CLASSES = 60, 5


def examples(count: int = COUNT, *, height: int = 9, width: int = 7, augment: str = "jitter") -> ImageExamples:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)
    ids = torch.randperm(1000, generator=generator)[:count]
    return ImageExamples(images, ids, torch.arange(count) % CLASSES).augmented(augment, seed=4)


def mixed(kind: str, *, alpha: float = 1.0, seed: int = 4, of: ImageExamples | None = None) -> Mixed:
    return Mixed(of or examples(), kind, alpha=alpha, classes=CLASSES, seed=seed)


def gather(found: Any, positions: torch.Tensor, views: torch.Tensor | None, batch_size: int = 1000) -> Batch:
    batches = list(found.batches(positions, batch_size=batch_size, views=views))
    joined = [torch.cat([getattr(batch, name) for batch in batches]) for name in ("ids", "inputs", "labels")]
    return Batch(*joined, None if views is None else torch.cat([batch.views for batch in batches]))


def word(stream: Stream, identity: int, view: int) -> int:
    return int(bits(4, torch.tensor([identity]), view, stream)) & (1 << 64) - 1


def drawn(plain: ImageExamples, row: int, view: int, alpha: float) -> tuple[int, float]:
    """The partner's row and λ of one example, in the words of the documentation."""
    identity = int(plain.ids[row])
    rank = math.floor((word(Stream.MIX_PARTNER, identity, view) >> 32) / 2**32 * len(plain))
    partner = plain.ids.tolist().index(sorted(plain.ids.tolist())[rank])
    u = ((word(Stream.MIX_SHARE, identity, view) >> 40) + 0.5) / 2**24
    return partner, round(float(scipy.special.betaincinv(alpha, alpha, u)) * WHOLE) / WHOLE


def one_mixup(plain: ImageExamples, shown: np.ndarray, row: int, view: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    partner, share = drawn(plain, row, view, alpha)
    return share * shown[row] + (1 - share) * shown[partner], share_row(plain, row, partner, share)


def one_cutmix(plain: ImageExamples, shown: np.ndarray, row: int, view: int, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    partner, share = drawn(plain, row, view, alpha)
    picture, corners = shown[row].copy(), []
    for size, stream in zip(picture.shape[1:], (Stream.MIX_ROW, Stream.MIX_COLUMN), strict=True):
        side = math.isqrt(round(size * size * (1 - share) * WHOLE)) // 256
        first = math.floor(float(uniform(4, plain.ids[row : row + 1], view, stream)) * size) - side // 2
        corners.append(slice(max(0, first), max(0, min(size, first + side))))
    picture[:, corners[0], corners[1]] = shown[partner][:, corners[0], corners[1]]
    pixels = (corners[0].stop - corners[0].start) * (corners[1].stop - corners[1].start)
    return picture, share_row(plain, row, partner, 1 - pixels / picture[0].size)


def share_row(plain: ImageExamples, row: int, partner: int, share: float) -> np.ndarray:
    labels = np.zeros(CLASSES)
    labels[plain.labels[row]] += share
    labels[plain.labels[partner]] += 1 - share
    return labels


@pytest.mark.parametrize(("kind", "one"), [("mixup", one_mixup), ("cutmix", one_cutmix)])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_a_batch_is_what_the_paper_says_of_each_picture_alone(kind: str, one: Callable[..., Any], alpha: float) -> None:
    plain, view = examples(), 6
    positions = torch.arange(COUNT)
    shown = gather(plain, positions, torch.full_like(positions, view)).inputs.double().numpy()
    found = gather(mixed(kind, alpha=alpha), positions, torch.full_like(positions, view))
    expected = [one(plain, shown, row, view, alpha) for row in range(COUNT)]
    np.testing.assert_allclose(found.inputs.numpy(), np.stack([picture for picture, _ in expected]), atol=2e-7)
    np.testing.assert_allclose(found.labels.numpy(), np.stack([labels for _, labels in expected]), atol=2.0**-17 + 1e-7)
    assert (found.inputs.dtype, found.labels.dtype) == (torch.float32, torch.float32)
    assert torch.equal(found.ids, plain.ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixed_view_is_bit_equal_for_any_batch_size_and_order(kind: str) -> None:
    positions = torch.randperm(COUNT, generator=torch.Generator().manual_seed(2))
    views = positions % 3
    whole = gather(mixed(kind), torch.arange(COUNT), torch.arange(COUNT) % 3)
    for batch_size in (1, 7, 32, 60):
        parts = gather(mixed(kind), positions, views, batch_size)
        assert torch.equal(parts.inputs, whole.inputs[positions])
        assert torch.equal(parts.labels, whole.labels[positions])
        assert torch.equal(parts.ids, whole.ids[positions])
        assert torch.equal(parts.views, views)


def test_the_ids_are_sorted_once_and_not_for_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    found, positions = mixed("mixup").to("cpu"), torch.arange(COUNT)
    expected = examples().ids.argsort()[(torch.tensor([word(Stream.MIX_PARTNER, int(one), 3) >> 32 for one in found.ids]) * COUNT) >> 32]
    for name in ("sort", "argsort"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_, **__: pytest.fail("sorted again"))
    assert len(gather(found, positions, torch.full_like(positions, 3), 7)) == COUNT
    assert torch.equal(found.partners(found.ids, torch.full_like(positions, 3)), expected)


def test_partners_are_found_where_the_pictures_lie() -> None:
    there = mixed("cutmix").to("meta")
    assert there.partners(there.ids, torch.zeros(COUNT, dtype=torch.int64, device="meta")).is_meta


def test_batches_have_the_size_that_was_asked_for() -> None:
    positions = torch.arange(11)
    assert [len(batch) for batch in mixed("mixup").batches(positions, batch_size=4, views=positions)] == [4, 4, 3]
    empty = torch.empty(0, dtype=torch.int64)
    assert list(mixed("mixup").batches(empty, batch_size=4, views=empty)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixed_view_does_not_depend_on_the_order_in_which_the_set_is_stored(kind: str) -> None:
    plain, order = examples(), torch.randperm(COUNT, generator=torch.Generator().manual_seed(3))
    stored = plain.select(order, labels=plain.labels[order])
    whole = gather(mixed(kind), order, order % 4)
    again = gather(mixed(kind, of=stored), torch.arange(COUNT), order % 4)
    assert torch.equal(again.inputs, whole.inputs)
    assert torch.equal(again.labels, whole.labels)
    assert mixed(kind, of=stored).transform == mixed(kind).transform


@pytest.mark.parametrize("kind", KINDS)
def test_views_and_seeds_differ(kind: str) -> None:
    positions, views = torch.arange(COUNT), torch.zeros(COUNT, dtype=torch.int64)
    first = gather(mixed(kind), positions, views).labels
    assert not torch.equal(first, gather(mixed(kind), positions, views + 1).labels)
    assert not torch.equal(first, gather(mixed(kind, seed=5), positions, views).labels)


@pytest.mark.parametrize("kind", KINDS)
def test_plain_pictures_are_not_mixed_and_keep_their_labels(kind: str) -> None:
    positions = torch.arange(COUNT)
    found, plain = gather(mixed(kind), positions, None), gather(examples(), positions, None)
    assert torch.equal(found.inputs, plain.inputs)
    assert torch.equal(found.labels, plain.labels)
    assert torch.equal(mixed(kind).labels, plain.labels)


def test_a_share_of_one_is_no_mixing_bit_for_bit() -> None:
    positions, views = torch.arange(COUNT), torch.arange(COUNT)
    found, plain = gather(mixed("mixup", alpha=1e-3), positions, views), gather(examples(), positions, views)
    alone = [row for row in range(COUNT) if drawn(examples(), row, row, 1e-3)[1] == 1]
    assert 15 < len(alone) < 45
    assert torch.equal(found.inputs[alone], plain.inputs[alone])
    assert torch.equal(found.labels[alone].argmax(1), plain.labels[alone])
    assert (found.labels[alone].amax(1) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_a_partner_equally_often_and_none_comes_from_elsewhere(kind: str) -> None:
    whole = examples(40)
    part = whole.select(torch.arange(10, 30), labels=whole.labels[10:30])
    views = torch.arange(20_000)
    partners = mixed(kind, of=part).partners(part.ids[:1].expand(len(views)), views)
    counts = partners.bincount(minlength=20)
    assert len(counts) == 20
    assert (counts - 1000).abs().max() < 4 * math.sqrt(1000)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_label_makes_the_row_unknown_unless_its_picture_does_not_show(kind: str) -> None:
    plain = examples()
    hidden = plain.select(torch.arange(COUNT), labels=plain.labels.where(torch.arange(COUNT) % 2 == 0, IGNORED))
    positions, views = torch.arange(COUNT), torch.full((COUNT,), 3)
    for alpha in (1e-3, 1.0):
        known, found = (gather(mixed(kind, alpha=alpha, of=of), positions, views).labels for of in (plain, hidden))
        partners = mixed(kind, alpha=alpha).partners(plain.ids, views)
        for row, partner in enumerate(partners.tolist()):
            own_share = known[row, plain.labels[row]].item() if plain.labels[row] != plain.labels[partner] else None
            needed = {row, partner} if own_share not in (0, 1) else {row if own_share else partner}
            if own_share is None and alpha < 1:
                continue  # both pictures are of one class, so the row does not tell which of them shows
            expected = known[row] if all(number % 2 == 0 for number in needed) else torch.zeros(CLASSES)
            assert torch.equal(found[row], expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: mixed views on a GPU are not compared")
@pytest.mark.parametrize("kind", KINDS)
def test_a_mixed_view_is_bit_equal_on_a_gpu(kind: str) -> None:
    positions, views = torch.arange(COUNT), torch.arange(COUNT) % 5
    here, there = gather(mixed(kind), positions, views), gather(mixed(kind).to("cuda"), positions, views)
    assert there.inputs.is_cuda
    assert torch.equal(here.inputs, there.inputs.cpu())
    assert torch.equal(here.labels, there.labels.cpu())


def test_the_transform_names_all_that_decides_a_pixel() -> None:
    partners = hashlib.sha256(np.sort(examples().ids.numpy()).astype("<i8").tobytes()).hexdigest()[:12]
    assert mixed("mixup", alpha=0.2).transform == f"shift/1(2) seed=4 mixup/1(alpha=0.2) partners={partners} seed=4"
    assert mixed("cutmix", of=examples(augment="none")).transform == f"cutmix/1(alpha=1.0) partners={partners} seed=4"
    others = [mixed("mixup"), mixed("cutmix"), mixed("mixup", alpha=0.3), mixed("mixup", seed=5), mixed("mixup", of=examples(59))]
    assert len({other.transform for other in others}) == 5


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (30, 3, 8, 8), dtype=torch.uint8, generator=generator), torch.arange(30) % 3


@pytest.mark.parametrize(("kind", "alpha"), [("mixup", 0.2), ("cutmix", 1.0)])
def test_a_data_set_mixes_its_training_views_alone(kind: str, alpha: float) -> None:
    found = data.from_tensors(*tensors(), *tensors(), class_names="abc", augment="jitter", mix=kind)
    assert isinstance(found.train, Mixed)
    assert found.train.alpha == alpha
    assert not isinstance(found.validation, Mixed)
    assert not isinstance(found.open_test(), Mixed)
    assert found.train.labels.shape == (len(found.train),)
    assert found.describe().endswith(f"augmentation jitter and {kind}(alpha={alpha})")
    plain = data.from_tensors(*tensors(), class_names="abc", mix=kind)
    assert plain.describe().endswith(f"augmentation {kind}(alpha={alpha})")
    digits = data.load("digits", mix=kind, mix_alpha=0.5)
    assert f"{kind}/1(alpha=0.5)" in digits.train.transform


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"mix": "mixip"}, "Did you mean 'mixup'"),
        ({"mix": "none"}, "no way of mixing 'none'"),
        ({"mix_alpha": 0.2}, "nothing is mixed"),
        ({"mix": "mixup", "mix_alpha": 0}, "above 0 and at most 100, not 0"),
        ({"mix": "mixup", "mix_alpha": math.nan}, "not nan"),
        ({"mix": "cutmix", "mix_alpha": 101}, "not 101"),
        ({"mix": "cutmix", "mix_alpha": "1"}, "not '1'"),
        ({"mix": "cutmix", "mix_alpha": True}, "not True"),
    ],
)
def test_mistakes_exit_2(call: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        data.from_tensors(*tensors(), class_names="abc", **call)
    assert caught.value.exit_code == 2
