"""A set in numbers, and as a Parquet file, against a slow reader of the format."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console
from scipy.special import softmax
from scipy.stats import entropy

from darkknowledge.cli.transfer_table import show_transfer_set
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer import _statistics, describe, export
from darkknowledge.transfer._statistics import statistics_of
from reference.transfer import decode, read, soft_target
from transfer.small import Linear, Points, points, recorded

KINDS: dict[str, dict[str, Any]] = {
    "float32": {"codec": "float32"},
    "uint8": {"codec": "uint8"},
    "topk": {"codec": "topk", "k": 4, "temperatures": (1.0, 3.0)},
    "three members": {"codec": "float16", "teacher": Linear(members=3)},
    "top-k of three members": {"codec": "topk", "k": 4, "temperatures": (1.0, 3.0), "teacher": Linear(members=3)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [37 * 10, 1 << 20])
def test_the_description_is_that_of_a_slow_reader(kind: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_statistics, "CHUNK", chunk)
    teacher = KINDS[kind].get("teacher") or Linear()
    known = points()
    labels = torch.where(torch.arange(100) % 3 == 0, -100, known.labels)
    made = recorded(tmp_path / "set", examples=Points(known.inputs, known.ids, labels), **KINDS[kind])
    found, (identity, rows) = describe(made.path), read(made.path)
    weights = teacher.shares.numpy() if made.members > 1 else np.ones(1)
    for at in found.temperatures:
        members = [np.stack([decode(part, identity["codec"], 10, at.temperature) for part in row.members]) for row in rows.values()]
        soft = np.stack([soft_target(part, weights, temperature=at.temperature) for part in members])
        assert at.entropy == pytest.approx(entropy(soft, axis=1).mean(), abs=1e-4)
        assert at.effective_classes == pytest.approx(np.exp(entropy(soft, axis=1)).mean(), abs=1e-3)
        if at.temperature == 1.0:
            held = [row.label for row in rows.values()]
            right = [p.argmax() == label for p, label in zip(soft, held, strict=True) if label >= 0]
            assert (found.labelled, found.accuracy) == (66, pytest.approx(np.mean(right)))
    assert [at.temperature for at in found.temperatures] == ([1.0, 3.0] if "topk" in found.codec else [1.0, 2.0, 4.0, 8.0, 16.0])
    assert found.bytes == sum(path.stat().st_size for path in made.path.rglob("*.*") if path.is_file())
    assert (found.rows, found.examples, found.bytes_per_example) == (100, 100, found.bytes / 100)


def test_the_captured_share_is_the_mean_over_rows_and_weighted_members(tmp_path: Path) -> None:
    teacher, examples = Linear(20, members=3), points()
    made = recorded(tmp_path / "set", teacher=teacher, codec="topk", k=4, temperatures=(1.0, 3.0))
    (batch,) = examples.batches(torch.arange(100), batch_size=100, views=None)
    for at in describe(made.path).temperatures:
        p = (teacher(batch).members.double() / at.temperature).softmax(-1).topk(4).values.sum(-1)
        assert at.captured == pytest.approx((teacher.shares.double() @ p).mean().item(), abs=1e-4)


def test_views_and_unlabelled_examples_are_counted(tmp_path: Path) -> None:
    known = points(30, transform="wiggle v1")
    made = recorded(tmp_path / "set", examples=Points(known.inputs, known.ids, torch.full((30,), -100), known.transform), views=3)
    found = describe(made.path)
    assert (found.rows, found.examples, found.views, found.labelled, found.accuracy) == (90, 30, 3, 0, None)
    assert statistics_of(made.shards[0], made.identity).labelled == 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_holds_every_row(kind: str, tmp_path: Path) -> None:
    examples = points(transform="wiggle v1")
    made = recorded(tmp_path / "set", examples=examples, views=2, **KINDS[kind])
    table = pq.read_table(export(made.path, tmp_path / "out.parquet"))
    identity, rows = read(made.path)
    names = ["logits"] if made.members == 1 else ["logits_0", "logits_1", "logits_2"]
    assert table.column_names == ["id", "view", "label", *names]
    for row, (key, held) in zip(table.to_pylist(), sorted(rows.items()), strict=True):
        assert (row["id"], row["view"], row["label"]) == (key // 2, key % 2, held.label)
        for name, part in zip(names, held.members, strict=True):
            logits = decode(part, identity["codec"], 10, 1.0)
            # The rarest classes of a top-k row are so unlikely that their logits have few digits.
            assert np.allclose(softmax(row[name]), softmax(logits), atol=1e-5)
            assert "top" in kind or np.allclose(row[name], logits, atol=1e-5)
    assert json.loads(table.schema.metadata[b"darkknowledge.class_names"]) == list(made.class_names)
    assert json.loads(table.schema.metadata[b"darkknowledge.identity"]) == identity


def test_an_unknown_label_is_null(tmp_path: Path) -> None:
    known = points(20)
    made = recorded(tmp_path / "set", examples=Points(known.inputs, known.ids, torch.where(torch.arange(20) < 5, -100, known.labels)))
    assert pq.read_table(export(made.path, tmp_path / "out.parquet"))["label"].null_count == 5


def test_an_export_replaces_nothing_and_wants_a_whole_set(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    (tmp_path / "mine.parquet").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        export(made.path, tmp_path / "mine.parquet")
    (made.path / "shards" / "00000-of-00007.arrow").unlink()
    with pytest.raises(IntegrityError, match="missing"):
        export(made.path, tmp_path / "new.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.parquet", "set"]


def test_a_foreign_set_commands_no_terminal_that_shows_it(tmp_path: Path) -> None:
    odd, screen = "\x1b]0;owned\x07\x1b[2J", io.StringIO()
    found = describe(recorded(tmp_path / "set").path)
    show_transfer_set(replace(found, transform=odd, data=odd, teacher=(odd,), codec=odd), tmp_path / odd, Console(file=screen, width=200))
    assert "owned" in screen.getvalue()
    assert all(line.isprintable() for line in screen.getvalue().splitlines())
