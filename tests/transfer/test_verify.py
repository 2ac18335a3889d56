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
from darkknowledge.transfer._lock import building
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


HUGE = 10**400
ODD = [("rows", HUGE), ("rows", True), ("shard_rows", HUGE), ("shard_rows", 16.0), ("environment", []), ("environment", None)]
ODD_IDENTITY = [
    *(("views", value) for value in (HUGE, 1 << 32, -1)),
    *(("batch_size", value) for value in (HUGE, 1 << 32, -1)),
    *(("weights", value) for value in ([True], ["1"], [HUGE], [0.0], [-1.0], [2.0], [0.5], [None], 1.0)),
    *(("precision", value) for value in ("fp8", "\x1b[2J", [])),
    *(("codec", {"name": "topk", "options": {"k": 3, "temperatures": value}}) for value in ([HUGE], "12", 4, [[1.0]])),
]
ODD_STATISTICS = [
    *((name, value) for name in ("rows", "labelled", "correct", "flat") for value in (HUGE, -1, 1.5, "1", None)),
    ("rows", 0),
    ("rows", 99),
    *(("first_flat", value) for value in (HUGE, 1.0, 5)),
    *((name, value) for name in ("lowest", "highest") for value in ("0", None, 1, [])),
    *(("captured", value) for value in ([], [0.5], 1.0)),
]


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
        *(signed(lambda manifest, name=name, value=value: manifest.update({name: value})) for name, value in ODD),  # type: ignore[misc]
        *(signed(lambda manifest, name=name, value=value: manifest["identity"].update({name: value})) for name, value in ODD_IDENTITY),  # type: ignore[misc]
        *(signed(lambda manifest, name=name, value=value: manifest["statistics"].update({name: value})) for name, value in ODD_STATISTICS),  # type: ignore[misc]
        signed(lambda manifest: manifest["files"][f"{FIRST}.json"].update(bytes="many")),  # type: ignore[index]
        signed(lambda manifest: manifest["files"].update({f"{FIRST}.json": []})),  # type: ignore[attr-defined]
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


@pytest.mark.parametrize("name", [".lock", ".lock-0-of-2", ".lock-11-of-16"])
def test_the_locks_of_builders_are_no_fault(name: str, folder: Path) -> None:
    (folder / name).write_text("{}")
    assert faults(folder) == ()


@pytest.mark.parametrize(
    "name", [".lock/payload", ".locked", ".lock-1", ".lock-1-of-2.so", ".lock-a-of-b", ".lock-0-of-2/payload", "shards/.lock", "\x1b[2J"]
)
def test_what_only_looks_like_a_lock_is_named(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    assert {fault.what for fault in faults(folder)} == {"does not belong to the set"}
    assert faults(folder)[-1].file == name
    with pytest.raises(IntegrityError) as caught:
        verify(folder)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["plan.json", ".manifest.json.tmp-12-ab", "shards/.00000-of-00007.arrow.tmp-1-ab"])
def test_what_a_recording_killed_at_its_end_left_is_told_from_damage(name: str, folder: Path) -> None:
    (folder / name).write_text("{}")
    with pytest.raises(
        IntegrityError, match=r"killed at its very end; the same dk record command tidies up[\s\S]*fix: record it again with the same"
    ):
        verify(folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(IntegrityError, match=r"fix: restore the file"):
        verify(folder)


@pytest.mark.parametrize("part", [(0, 1), (0, 2)])
def test_what_a_recording_at_work_has_not_removed_yet_is_no_damage(part: tuple[int, int], folder: Path) -> None:
    left = [folder / "plan.json", folder / "shards" / ".00000-of-00007.arrow.tmp-1-ab"]
    with building(folder, part=part):
        for path in left:
            path.write_text("{}")
        assert faults(folder) == ()
        left[0].unlink()
    assert faults(folder) == ()
    left[0].write_text("{}")
    assert [fault.file for fault in faults(folder)] == ["plan.json"]


def test_what_is_removed_during_the_look_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "plan.json").write_text("{}")
    with building(folder, part=(0, 1)):

        def look(path: Path) -> bool:
            (folder / "plan.json").unlink()
            path.unlink()
            return False

        monkeypatch.setattr("darkknowledge.transfer._verify.held_by_anybody", look)
        assert faults(folder) == ()


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
    commit(folder, plan, environment={}, written={number: write_shard(folder, plan, number, columns)})


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
    sidecar = Sidecar.read(path, plan.identity.codec)
    wrong = replace(sidecar, statistics=replace(sidecar.statistics, correct=sidecar.statistics.correct + 1))
    path.write_text(wrong.to_text())
    commit(folder, plan, environment={}, written={0: wrong})
    assert [(fault.file, fault.what) for fault in faults(folder)] == [(f"{FIRST}.json", "its statistics are not those of the shard")]


@pytest.mark.parametrize("captured", [None, [], [0.5, 0.5], ["1"], [1]])
def test_a_top_k_manifest_holds_a_share_for_each_temperature(captured: Any, tmp_path: Path) -> None:
    folder = recorded(tmp_path / "set", codec="topk", k=3, temperatures=(1.0,)).path
    path = folder / "manifest.json"
    path.write_text(signed(lambda manifest: manifest["statistics"].update(captured=captured))(path.read_text()))  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError, match="does not describe a transfer set"):
        TransferSet.open(folder)


@pytest.mark.parametrize("change", [{"rows": 0}, {"captured": [0.5]}, {"rows": HUGE}, {"lowest": "low"}])
def test_a_sidecar_of_odd_values_is_a_fault_of_its_own(change: dict[str, Any], folder: Path) -> None:
    path, manifest = folder / f"{FIRST}.json", folder / "manifest.json"
    content = json.loads(path.read_text())
    content["statistics"] |= change
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    path.write_text(text)
    entry = {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    manifest.write_text(signed(lambda found: found["files"].update({f"{FIRST}.json": entry}))(manifest.read_text()))  # type: ignore[attr-defined]
    assert [fault.file for fault in faults(folder)] == [FIRST]


def with_file(folder: Path, data: bytes) -> None:
    """A set whose first shard is another file, and whose checksums are all right."""
    (folder / f"{FIRST}.arrow").write_bytes(data)
    plan = plan_of(Linear(), points())
    sidecar = replace(Sidecar.read(folder / f"{FIRST}.json", plan.identity.codec), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (folder / f"{FIRST}.json").write_text(sidecar.to_text())
    commit(folder, plan, environment={}, written={0: sidecar})


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
    with pytest.raises(IntegrityError, match=r"why: a column is not one run of bytes in the file: it is compressed, or does not"):
        TransferSet.open(folder)
    assert [fault.file for fault in faults(folder)] == [FIRST]
