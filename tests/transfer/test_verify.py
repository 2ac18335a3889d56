"""Checking a set: every changed bit and every odd file is found and named."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer import Fault, TransferSet, faults, verify
from darkknowledge.transfer._shard import Columns, to_bytes
from darkknowledge.transfer._sidecar import Sidecar, commit, write_shard
from transfer.small import Linear, content, plan_of, points, recorded

FIRST, SECOND, LAST = (f"shards/0000{number}-of-00007" for number in (0, 1, 6))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return recorded(tmp_path / "set").path


def test_a_sound_set_passes(folder: Path) -> None:
    assert faults(folder) == ()
    assert len(verify(folder)) == 100


def test_every_flipped_bit_is_found_in_the_file_where_it_is(folder: Path) -> None:
    choose, files = random.Random(0), content(folder)
    # Every file in turn, so that the small ones are met as often as the large ones.
    for name in list(files) * 15:
        data = bytearray(files[name])
        bit = choose.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(data)
        assert [fault.file for fault in faults(folder)] == [name], (name, bit)
        (folder / name).write_bytes(files[name])
    assert faults(folder) == ()


def add_space(text: str) -> str:
    return text.replace(": ", ":  ", 1)


def set_rows(text: str) -> str:
    manifest = json.loads(text)
    manifest["rows"] = 99
    return json.dumps(manifest, indent=2, sort_keys=True) + "\n"


def signed(change: Callable[[dict[str, object]], object]) -> Callable[[str], str]:
    """A manifest that was changed by somebody who knows how to put its own SHA-256 right."""

    def edit(text: str) -> str:
        manifest = json.loads(text)
        manifest.pop("sha256")
        change(manifest)
        sha256 = hashlib.sha256((json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()).hexdigest()
        return json.dumps({**manifest, "sha256": sha256}, indent=2, sort_keys=True) + "\n"

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        add_space,
        set_rows,
        str.strip,
        lambda text: text + "\n",
        lambda text: "[]\n",
        lambda text: "",
        lambda text: "[" * 100_000,
        lambda text: '{\n  "rows": NaN\n}\n',
        signed(lambda manifest: manifest.update(rows=10**18)),
        signed(lambda manifest: manifest.update(rows="many")),
        signed(lambda manifest: manifest.update(shard_rows=0)),
        signed(lambda manifest: manifest.update(files={"../../etc/passwd": {"bytes": 1, "sha256": ""}})),
        signed(lambda manifest: manifest.update(schema=2)),
        signed(lambda manifest: manifest.pop("identity")),
        signed(lambda manifest: manifest["identity"].update(views=True)),  # type: ignore[attr-defined]
        signed(lambda manifest: manifest["identity"].update(more=1)),  # type: ignore[attr-defined]
        signed(lambda manifest: manifest["identity"]["codec"].update(name="os")),  # type: ignore[attr-defined]
        signed(lambda manifest: manifest["identity"].update(class_names="ten")),  # type: ignore[attr-defined]
        signed(lambda manifest: manifest["statistics"].update(odd=1)),  # type: ignore[attr-defined]
    ],
)
def test_a_manifest_that_was_edited_is_refused(edit: Callable[[str], str], folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(edit(path.read_text()))
    assert [fault.file for fault in faults(folder)] == ["manifest.json"]
    for look in (TransferSet.open, verify):
        with pytest.raises(IntegrityError, match=r"manifest.json"):
            look(folder)


def truncate(folder: Path) -> None:
    path = folder / f"{FIRST}.arrow"
    path.write_bytes(path.read_bytes()[:-8])


def remove(folder: Path) -> None:
    (folder / f"{FIRST}.arrow").unlink()


def swap(folder: Path) -> None:
    (folder / f"{FIRST}.arrow").rename(folder / "other")
    (folder / f"{SECOND}.arrow").rename(folder / f"{FIRST}.arrow")
    (folder / "other").rename(folder / f"{SECOND}.arrow")


def add(folder: Path) -> None:
    shutil.copy(folder / f"{FIRST}.arrow", folder / "shards" / "00007-of-00007.arrow")


def add_elsewhere(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


def link(folder: Path) -> None:
    (folder / f"{LAST}.json").rename(folder.parent / "elsewhere")
    (folder / f"{LAST}.json").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("harm", "names"),
    [
        (truncate, [f"{FIRST}.arrow"]),
        (remove, [f"{FIRST}.arrow"]),
        (swap, [f"{FIRST}.arrow", f"{SECOND}.arrow"]),
        (add, ["shards/00007-of-00007.arrow"]),
        (add_elsewhere, ["notes.txt"]),
        (link, [f"{LAST}.json"]),
    ],
)
def test_shards_that_are_cut_missing_swapped_or_too_many_are_named(harm: Callable[[Path], None], names: list[str], folder: Path) -> None:
    harm(folder)
    assert [fault.file for fault in faults(folder)] == names
    with pytest.raises(IntegrityError) as caught:
        verify(folder)
    assert all(name in str(caught.value) for name in names)
    assert caught.value.exit_code == 4


def test_all_damaged_files_are_named_at_once(folder: Path) -> None:
    for name in (f"{FIRST}.arrow", f"{SECOND}.json", f"{LAST}.arrow"):
        data = bytearray((folder / name).read_bytes())
        data[-3] ^= 1
        (folder / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=rf"3 files of [\s\S]*{FIRST}.arrow[\s\S]*{SECOND}.json[\s\S]*{LAST}.arrow"):
        verify(folder)


@pytest.mark.parametrize("harm", [truncate, remove])
def test_a_shard_of_the_wrong_size_is_found_on_opening(harm: Callable[[Path], None], folder: Path) -> None:
    harm(folder)
    with pytest.raises(IntegrityError, match=r"is missing|bytes, \d+ were written"):
        TransferSet.open(folder)


def test_there_is_nothing_to_check_where_there_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no transfer set"):
        verify(tmp_path)


def with_shard(folder: Path, number: int, change: Callable[[Columns], None], **settings: Any) -> None:
    """A set whose shard was written with other content, and whose checksums are all right."""
    plan = plan_of(Linear(), points(), **settings)
    found = TransferSet.open(folder)
    columns = found.shards[number]
    columns = Columns(columns.keys.copy(), columns.labels.copy(), columns.input_crc32.copy(), columns.answers.copy())
    change(columns)
    write_shard(folder, plan, number, columns)
    commit(folder, plan, environment={})


def test_content_that_nobody_recorded_is_found_behind_right_checksums(tmp_path: Path) -> None:
    settings = {"codec": "topk", "k": 3, "temperatures": (1.0,)}
    folder = recorded(tmp_path / "set", **settings).path
    with_shard(folder, 0, lambda columns: columns.answers.__setitem__((2, slice(0, 2)), columns.answers[2, 2:4]), **settings)
    assert faults(folder) == (Fault(f"{FIRST}.arrow", "1 answers are nothing that topk writes"),)


def test_keys_that_do_not_ascend_are_found_behind_right_checksums(folder: Path) -> None:
    with_shard(folder, 0, lambda columns: columns.keys.__setitem__(slice(3, 5), columns.keys[3:5][::-1].copy()))
    assert {fault.what for fault in faults(folder)} == {"its keys do not ascend", "its digest is not that of the shards' keys"}


def test_statistics_that_are_not_the_shards_are_found_behind_right_checksums(folder: Path) -> None:
    plan, path = plan_of(Linear(), points()), folder / f"{FIRST}.json"
    sidecar = Sidecar.read(path)
    path.write_text(replace(sidecar, statistics=replace(sidecar.statistics, correct=sidecar.statistics.correct + 1)).to_text())
    commit(folder, plan, environment={})
    assert [(fault.file, fault.what) for fault in faults(folder)] == [(f"{FIRST}.json", "its statistics are not those of the shard")]


def with_file(folder: Path, data: bytes) -> None:
    """A set whose first shard is another file, and whose checksums are all right."""
    (folder / f"{FIRST}.arrow").write_bytes(data)
    sidecar = replace(Sidecar.read(folder / f"{FIRST}.json"), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (folder / f"{FIRST}.json").write_text(sidecar.to_text())
    commit(folder, plan_of(Linear(), points()), environment={})


def test_a_shard_with_other_columns_is_refused(folder: Path) -> None:
    columns = TransferSet.open(folder).shards[0]
    with_file(folder, bytes(to_bytes(Columns(columns.keys, columns.labels, columns.input_crc32, np.zeros((16, 44), np.uint8)))))
    with pytest.raises(IntegrityError, match="no shard of 16 rows with answers of 40 bytes"):
        TransferSet.open(folder)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_shard_with_compressed_columns_is_refused(compression: str, folder: Path) -> None:
    batch = pa.ipc.open_file(pa.memory_map(str(folder / f"{FIRST}.arrow"))).get_batch(0)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    with_file(folder, sink.getvalue().to_pybytes())
    with pytest.raises(IntegrityError, match=r"no shard of 16 rows[\s\S]*it is compressed"):
        TransferSet.open(folder)
    assert [fault.file for fault in faults(folder)] == [FIRST]
