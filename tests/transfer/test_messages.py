"""Whole messages, word by word: what happened, where, why it matters and what to do is all that a user sees. The folder's own path is a dot here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from darkknowledge.errors import DarkKnowledgeError
from darkknowledge.transfer import Identity, Plan, codec as codecs
from darkknowledge.transfer._identity import require_same_transform
from darkknowledge.transfer._layout import canonical, digest, read_canonical
from darkknowledge.transfer._manifest import Manifest
from darkknowledge.transfer._shard import map_columns
from darkknowledge.transfer._sidecar import Sidecar
from transfer.small import Linear, identity_of, points

IDENTITY = identity_of(Linear(), points(), codec="topk", k=3, temperatures=(1.0, 2.0))
ANEW = "  fix: restore the file, or record the set anew"


def put(folder: Path, text: str, name: str = "manifest.json") -> Path:
    (folder / name).write_text(text)
    return folder / name


def linked(folder: Path) -> Path:
    (folder / "link.json").symlink_to(put(folder, "{}"))
    return folder / "link.json"


def piped(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.json")
    return folder / "pipe.json"


def signed(folder: Path, **content: Any) -> Path:
    put(folder, canonical({**content, "sha256": digest(canonical(content))}))
    return folder


def shard(folder: Path, batches: int = 1, *, key: Any = 5, name: str = "key") -> Path:
    """A shard of one row with an answer of 2 bytes, or nearly so."""
    fields = {name: pa.int64(), "label": pa.int64(), "input_crc32": pa.uint32(), "answer": pa.binary(2)}
    schema = pa.schema([pa.field(field, kind, nullable=False) for field, kind in fields.items()])
    columns = [pa.array([value], kind) for value, kind in zip((key, 1, 2, b"ab"), fields.values(), strict=True)]
    with pa.OSFile(str(folder / "one.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for _ in range(batches):
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return folder / "one.arrow"


NO_SHARD = "one.arrow is no shard of 1 rows with answers of 2 bytes\n  where: ./one.arrow\n  why: "
MISTAKES: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda _: codecs.build("topc", 9),
        "there is no codec 'topc'\n  where: codec\n  fix: Did you mean 'topk'? Choices: float16, float32, topk, uint8.",
    ),
    (lambda _: codecs.build("topk", 9, q=3), "the codec topk has no option 'q'\n  where: codec=topk\n  fix: Choices: k, temperatures."),
    (lambda _: codecs.build("uint8", 9, k=3), "the codec uint8 has no option 'k'\n  where: codec=uint8\n  fix: leave it out"),
    (lambda _: codecs.build("topk", 9, k=1), "k=1 of 9 classes\n  where: codec=topk\n  fix: choose a whole number from 2 to 9"),
    (
        lambda _: codecs.build("topk", 9, k=3, temperatures=(2, 1)),
        "temperatures (2, 1)\n  where: codec=topk\n  fix: give positive, ascending numbers, such as 1, 2, 4, 8",
    ),
    (
        lambda _: IDENTITY.codec.decode(torch.zeros(1, IDENTITY.codec.width, dtype=torch.uint8), 3.0),
        "this transfer set holds no tail for temperature 3\n"
        "  why: of each row it keeps the largest logits alone, and what the others weigh at the temperatures declared when it was recorded\n"
        "  fix: use one of 1, 2, or record the set again with this temperature declared or with codec=uint8",
    ),
    (lambda _: replace(IDENTITY, views=0), "an identity of a transfer set with views=0\n  fix: give each its true value"),
    (
        lambda _: replace(IDENTITY, class_names=("a",) * 10),
        "an identity of a transfer set with class names that are missing or doubled\n  fix: give each its true value",
    ),
    (
        lambda _: Identity.from_dict({**IDENTITY.to_dict(), "views": "1"}),
        "this is no identity of a transfer set: views is '1'\n  fix: use a newer darkknowledge, or record the set anew",
    ),
    (
        lambda _: require_same_transform(replace(IDENTITY, transform="crop"), "flip", where="here"),
        "the transfer set has another transform: crop, wanted is flip\n  where: here\n  why: the teacher saw other pictures than the student would\n"
        "  fix: give the data the transform that the set was recorded with, or record the set anew",
    ),
    (lambda _: Plan.make(IDENTITY, ids=torch.tensor([]).long()), "there is nothing to record\n  fix: give at least one example"),
    (lambda _: Plan.make(IDENTITY, ids=torch.tensor([1]), shard_rows=0), "shard_rows=0\n  fix: give at least 1 row a shard"),
    (
        lambda folder: read_canonical(linked(folder)),
        "link.json is a link\n  where: ./link.json\n  why: a transfer set holds its own files\n  fix: copy the files, not links",
    ),
    (
        lambda folder: read_canonical(piped(folder)),
        "pipe.json is a pipe\n  where: ./pipe.json\n  why: a transfer set holds its own files\n  fix: copy the files, not links",
    ),
    (
        lambda folder: read_canonical(folder / "none.json"),
        f"none.json cannot be read: No such file or directory\n  where: ./none.json\n{ANEW}",
    ),
    (
        lambda folder: read_canonical(put(folder, "")),
        f"manifest.json is not valid JSON\n  where: ./manifest.json\n  why: Expecting value: line 1 column 1 (char 0)\n{ANEW}",
    ),
    (
        lambda folder: read_canonical(put(folder, "{} \n")),
        f"manifest.json is not the file that was written\n  where: ./manifest.json\n  why: its text was changed\n{ANEW}",
    ),
    (
        lambda folder: Manifest.read(put(folder, canonical({"sha256": ""})).parent),
        f"manifest.json is not the file that was written\n  where: ./manifest.json\n  why: its SHA-256 differs\n{ANEW}",
    ),
    (
        lambda folder: Manifest.read(signed(folder, schema=7)),
        "manifest.json has schema 7, and 1 is the one known here\n  where: ./manifest.json\n  fix: use a newer darkknowledge",
    ),
    (
        lambda folder: Manifest.read(signed(folder, schema=1, rows=0)),
        f"manifest.json does not describe a transfer set\n  where: ./manifest.json\n  why: rows is out of range\n{ANEW}",
    ),
    (
        lambda folder: Manifest.read(signed(folder, schema=1, rows=1, shard_rows=0)),
        f"manifest.json does not describe a transfer set\n  where: ./manifest.json\n  why: shard_rows is out of range\n{ANEW}",
    ),
    (
        lambda folder: Manifest.read(signed(folder, schema=1, rows=1, shard_rows=2, files={"a": {"bytes": 1, "sha256": ""}})),
        f"manifest.json does not describe a transfer set\n  where: ./manifest.json\n  why: it names 1 files for 1 rows in shards of 2\n{ANEW}",
    ),
    (
        lambda folder: Manifest.read(signed(folder, schema=1, rows=1, shard_rows=2, files={name: {"bytes": 1, "sha256": ""} for name in "ab"})),
        f"manifest.json does not describe a transfer set\n  where: ./manifest.json\n  why: it names other files than its shards\n{ANEW}",
    ),
    (
        lambda folder: Sidecar.read(put(folder, canonical({"rows": 1}), "one.json"), IDENTITY.codec),
        f"one.json does not describe a shard\n  where: ./one.json\n  why: its fields are ['rows']\n{ANEW}",
    ),
    (
        lambda folder: map_columns(linked(folder), rows=1, width=2),
        "link.json is a link\n  where: ./link.json\n  why: a transfer set holds its own files\n  fix: copy the files, not links",
    ),
    (
        lambda folder: map_columns(shard(folder, name="other"), rows=1, width=2),
        f"{NO_SHARD}it holds 1 rows of pyarrow.Field<other: int64 not null>, pyarrow.Field<label: int64 not null>, "
        f"pyarrow.Field<input_crc32: uint32 not null>, pyarrow.Field<answer: fixed_size_binary[2] not null>\n{ANEW}",
    ),
    (lambda folder: map_columns(shard(folder, 2), rows=1, width=2), f"{NO_SHARD}it holds 2 record batches\n{ANEW}"),
    (lambda folder: map_columns(shard(folder, key=None), rows=1, width=2), f"{NO_SHARD}a column has nulls or an offset\n{ANEW}"),
]


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_answered_in_these_words(mistake: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DarkKnowledgeError) as caught:
        mistake(tmp_path)
    assert str(caught.value).replace(str(tmp_path), ".") == message
