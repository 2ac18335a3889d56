"""The short reader that knows only the documented format finds the same soft targets as the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples.read_transfer_set import read, soft_targets

from transfer.small import Linear, points, recorded

CODECS: list[dict[str, Any]] = [
    {"codec": "float16"},
    {"codec": "float32"},
    {"codec": "uint8"},
    {"codec": "topk", "k": 4, "temperatures": (1.0, 4.0)},
    {"codec": "topk", "k": 10, "temperatures": (1.0, 4.0)},
]


def name_of(settings: dict[str, Any]) -> str:
    return f"{settings['codec']}{settings.get('k', '')}"


@pytest.mark.parametrize("average", ["probability", "logit"])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("settings", CODECS, ids=name_of)
def test_the_reader_finds_the_soft_targets_of_the_package(tmp_path: Path, settings: dict[str, Any], members: int, average: Any) -> None:
    examples = points(50, transform="wave/1")
    made = recorded(tmp_path / "set", teacher=Linear(members=members, average=average), examples=examples, views=3, **settings)
    ids, views = examples.ids[:40], torch.arange(40) % 3
    for temperature in (1.0, 4.0):
        found = soft_targets(read(made.path), ids.numpy(), views.numpy(), temperature)
        expected = (made[ids, views].logits(temperature) / temperature).softmax(-1)
        torch.testing.assert_close(torch.from_numpy(found).float(), expected, rtol=1e-4, atol=1e-6)


def test_ids_of_two_bytes_end_at_65536_classes(tmp_path: Path) -> None:
    examples = points(4)
    for classes in (65_536, 65_537):
        made = recorded(tmp_path / str(classes), teacher=Linear(classes), examples=examples, codec="topk", k=5)
        found = soft_targets(read(made.path), examples.ids.numpy(), np.zeros(4, int), 2.0)
        expected = (made[examples.ids].logits(2) / 2).softmax(-1)
        torch.testing.assert_close(torch.from_numpy(found).float(), expected, rtol=1e-4, atol=1e-7)


def test_a_row_that_is_not_there_is_missed(tmp_path: Path) -> None:
    found = read(recorded(tmp_path / "set", examples=points(20)).path)
    with pytest.raises(KeyError, match="1 rows"):
        soft_targets(found, np.array([1000, 99]), np.array([0, 0]), 1.0)


def test_every_changed_byte_of_a_shard_and_of_the_manifest_is_noticed(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "set", examples=points(20)).path
    for path in (folder / "manifest.json", folder / "shards" / "00001-of-00002.arrow"):
        whole = path.read_bytes()
        for place in range(0, len(whole), 97):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises((ValueError, KeyError)):
                read(folder)
        path.write_bytes(whole)
    read(folder)


def test_another_schema_is_refused_though_its_checksum_is_right(tmp_path: Path) -> None:
    from darkknowledge.transfer._layout import canonical, digest

    folder = recorded(tmp_path / "set", examples=points(20)).path
    content = json.loads((folder / "manifest.json").read_text())
    del content["sha256"]
    content["schema"] = 2
    (folder / "manifest.json").write_text(canonical(content | {"sha256": digest(canonical(content))}))
    with pytest.raises(ValueError, match="another schema"):
        read(folder)
