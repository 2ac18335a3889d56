"""The plain data set that anybody's loop can use."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from darkknowledge.errors import DataError, IntegrityError, UsageError
from darkknowledge.randomness import view_of
from darkknowledge.transfer import TransferDataset, require_same_pictures
from transfer.small import Linear, Points, every_row, points, recorded


def test_items_are_pictures_labels_and_logits(tmp_path: Path) -> None:
    examples = points(30)
    dataset = TransferDataset(recorded(tmp_path / "set", examples=examples), examples)
    items = list(dataset)  # ends by itself
    assert len(items) == len(dataset) == 30
    for position, (inputs, label, logits) in enumerate(items):
        assert torch.equal(inputs, examples.inputs[position])
        assert label == examples.labels[position]
        assert torch.allclose(logits, (examples.inputs[position] @ Linear().weights[0]), atol=1e-5)
    assert torch.equal(dataset[-1][0], items[29][0])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_loader_shows_the_views_of_the_epoch(workers: int, tmp_path: Path) -> None:
    examples, teacher = points(30, transform="wiggle v1"), Linear()
    dataset = TransferDataset(recorded(tmp_path / "set", examples=examples, views=3), examples, epoch=1)
    for epoch in (1, 5):
        dataset.set_epoch(epoch)
        inputs, labels, logits = (torch.cat(parts) for parts in zip(*DataLoader(dataset, batch_size=7, num_workers=workers), strict=True))
        (batch,) = examples.batches(torch.arange(30), batch_size=30, views=view_of(examples.ids, epoch=epoch, views=3))
        assert torch.equal(inputs, batch.inputs)
        assert torch.equal(labels, batch.labels)
        assert torch.allclose(logits, teacher(batch).logits(), atol=1e-5)


def test_members_come_one_by_one(tmp_path: Path) -> None:
    examples, teacher = points(30), Linear(members=3)
    dataset = TransferDataset(recorded(tmp_path / "set", examples=examples, teacher=teacher), examples)
    _, _, logits = dataset[4]
    assert torch.allclose(logits, torch.einsum("f,mfc->mc", examples.inputs[4], teacher.weights), atol=1e-5)


def test_a_top_k_set_is_asked_at_a_temperature(tmp_path: Path) -> None:
    examples = points(30)
    made = recorded(tmp_path / "set", examples=examples, codec="topk", k=4, temperatures=(1.0, 4.0))
    _, _, logits = TransferDataset(made, examples, temperature=4.0)[3]
    assert torch.equal(logits, made[examples.ids[3:4]].logits(4.0)[0])
    with pytest.raises(UsageError, match="temperature 2"):
        TransferDataset(made, examples, temperature=2.0)


def test_pictures_without_answers_are_refused_at_once(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set", examples=points(30))
    with pytest.raises(DataError, match="10 of 40 rows"):
        TransferDataset(made, points(40))


def test_pictures_of_another_transform_are_refused(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set", examples=points(30, transform="wiggle v1"), views=2)
    with pytest.raises(IntegrityError, match="another transform: wiggle v1, wanted is wiggle v2"):
        TransferDataset(made, points(30, transform="wiggle v2"))


@pytest.mark.parametrize("views", [1, 2])
def test_other_pictures_under_the_same_ids_are_refused_before_the_first_item(views: int, tmp_path: Path) -> None:
    examples = points(200, transform="wiggle v1" if views > 1 else "plain")
    made = recorded(tmp_path / "set", examples=examples, views=views)
    others = Points(examples.inputs.flip(0), examples.ids, examples.labels, examples.transform)
    with pytest.raises(IntegrityError, match=r"not the ones that the teacher saw: 64 of 64 differ"):
        TransferDataset(made, others)
    TransferDataset(made, examples)


def test_a_sample_of_the_rows_is_compared_and_absent_examples_are_refused(tmp_path: Path) -> None:
    examples = points(200, transform="wiggle v1")
    made = recorded(tmp_path / "set", examples=examples, views=2)
    ids, views = every_row(examples, 2)
    require_same_pictures(made, examples, ids, views)
    require_same_pictures(made, examples, ids)
    require_same_pictures(made, examples, ids[:0])
    with pytest.raises(IntegrityError, match="the pictures are not the ones that the teacher saw"):
        require_same_pictures(made, Points(examples.inputs + 0.5, examples.ids, examples.labels, examples.transform), ids, views)
    with pytest.raises(DataError, match="the data lacks examples"):
        require_same_pictures(made, examples, ids + 1000, views)


def test_plain_pictures_are_compared_also_where_the_data_has_views(tmp_path: Path) -> None:
    examples = points(30)
    made = recorded(tmp_path / "set", examples=examples)
    TransferDataset(made, Points(examples.inputs, examples.ids, examples.labels, "wiggle v1"))
