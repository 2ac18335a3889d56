"""Rows that are gathered from many shards are those of one array, in whichever way they are gathered."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from darkknowledge.errors import DataError
from darkknowledge.transfer import TransferSet, _transfer_set
from darkknowledge.transfer._lookup import Lookup, gather
from darkknowledge.transfer._shard import Columns, Mapped, map_columns, to_bytes
from darkknowledge.transfer._side_by_side import side_by_side
from transfer.small import Linear, points, recorded

WAYS = ["side by side", "shard by shard"]
CUTS = [(1000, 1000), (1000, 999), (1000, 333), (300, 1), (70_000, 250), (512, 128), (5, 2)]
needs_mapping = pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="files are mapped at chosen addresses on Linux and macOS alone")


def written(folder: Path, *, rows: int, shard_rows: int, width: int) -> tuple[NDArray[np.uint8], list[Path], list[Mapped]]:
    """Random answers, and the shards that hold them, mapped one by one."""
    answers = np.random.default_rng(rows + width).integers(0, 256, (rows, width), np.uint8)
    keys, paths, shards = np.arange(rows), [], []
    for start in range(0, rows, shard_rows):
        part = slice(start, start + shard_rows)
        paths.append(folder / f"{start:08d}.arrow")
        paths[-1].write_bytes(to_bytes(Columns(keys[part], keys[part], keys[part].astype(np.uint32), answers[part])))
        shards.append(map_columns(paths[-1], rows=len(keys[part]), width=width))
    return answers, paths, shards


@needs_mapping
@pytest.mark.parametrize("width", [1, 18, 20, 40, 129])
@pytest.mark.parametrize(("rows", "shard_rows"), CUTS)
def test_shards_side_by_side_are_one_array(rows: int, shard_rows: int, width: int, tmp_path: Path) -> None:
    answers, paths, shards = written(tmp_path, rows=rows, shard_rows=shard_rows, width=width)
    take = side_by_side(paths, shards, shard_rows=shard_rows)
    assert take is not None
    for which in (np.arange(rows), np.random.default_rng(0).integers(0, rows, 500), np.empty(0, np.int64)):
        assert (take(which).view(np.uint8).reshape(-1, width) == answers[which]).all()


@needs_mapping
def test_shards_that_no_page_brings_into_line_are_left_where_they_are(tmp_path: Path) -> None:
    _, paths, shards = written(tmp_path, rows=1000, shard_rows=333, width=512)
    assert side_by_side(paths, shards, shard_rows=333) is None
    assert side_by_side(paths[:3], shards[:3], shard_rows=333) is not None


@needs_mapping
@pytest.mark.parametrize("size", [100, 10 << 20])
@pytest.mark.parametrize("number", [0, 3])
def test_a_shard_that_was_replaced_by_one_of_another_size_is_not_mapped(size: int, number: int, tmp_path: Path) -> None:
    _, paths, shards = written(tmp_path, rows=1000, shard_rows=300, width=40)
    (tmp_path / "other").write_bytes(bytes(size))
    (tmp_path / "other").replace(paths[number])
    assert side_by_side(paths, shards, shard_rows=300) is None


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs /proc")
def test_shards_that_are_not_used_any_more_give_their_addresses_back(tmp_path: Path) -> None:
    _, paths, shards = written(tmp_path, rows=1000, shard_rows=100, width=40)
    take = side_by_side(paths, shards, shard_rows=100)
    assert take is not None
    assert Path("/proc/self/maps").read_text().count(str(tmp_path)) == 20
    del take
    assert Path("/proc/self/maps").read_text().count(str(tmp_path)) == 10
    del shards
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(("rows", "shard_rows"), CUTS)
def test_gathering_shard_by_shard_is_a_take_from_all(rows: int, shard_rows: int) -> None:
    column = np.random.default_rng(1).integers(0, 1 << 40, rows)
    shards = [column[start : start + shard_rows] for start in range(0, rows, shard_rows)]
    for which in (np.arange(rows), np.random.default_rng(0).integers(0, rows, 500), np.empty(0, np.int64)):
        found = gather(shards, which, shard_rows=shard_rows)
        assert found.dtype == column.dtype
        assert (found == column[which]).all()


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(1, 20), st.integers(0, 3))
def test_keys_become_the_rows_of_a_dictionary(data: st.DataObject, rows: int, shard_rows: int, gaps: int) -> None:
    steps = data.draw(st.lists(st.integers(1, 1 + gaps), min_size=rows, max_size=rows))
    keys = data.draw(st.integers(0, 50)) + np.cumsum(steps)
    lookup = Lookup([keys[start : start + shard_rows] for start in range(0, rows, shard_rows)], shard_rows=shard_rows)
    edges = [-(1 << 63), -1, 0, (1 << 16) * shard_rows + int(keys[0]), (1 << 63) - 1]
    asked = np.array(data.draw(st.lists(st.sampled_from([*keys.tolist(), *edges]) | st.integers(-5, 300), max_size=40)), np.int64)
    before, row_of = asked.copy(), {key: row for row, key in enumerate(keys.tolist())}
    found, absent = lookup.rows_of(asked)
    gone = np.zeros(len(asked), bool) if absent is None else absent
    assert [None if lost else row for row, lost in zip(found.tolist(), gone, strict=True)] == [row_of.get(key) for key in asked.tolist()]
    assert absent is None or absent.any()
    assert (asked == before).all()


@pytest.fixture(scope="module", params=[(name, cut) for name in WAYS for cut in ((100, 100), (100, 16), (40, 1))], ids=str)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransferSet:
    """A set of ten classes with ids from 1000, read in one of the ways."""
    way, (rows, shard_rows) = request.param
    with pytest.MonkeyPatch.context() as patch:
        if way == "shard by shard":
            patch.setattr(_transfer_set, "side_by_side", lambda *_, **__: None)
        return recorded(tmp_path_factory.mktemp("sets") / "set", teacher=Linear(), examples=points(rows), shard_rows=shard_rows)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1000, 1039), max_size=50), st.integers(1, 1 << 62))
def test_the_bytes_of_a_batch_are_those_of_plain_indexing(made: TransferSet, asked: list[int], beside: int) -> None:
    every = np.concatenate([shard.answers for shard in made.shards])
    keys = np.array(asked, np.int64)
    assert (made.raw(keys) == every[keys - 1000]).all()
    for absent in (999, 1000 - beside, 999 + len(made) + beside):
        with pytest.raises(DataError, match=f"1 of {len(keys) + 1} rows are not in the transfer set"):
            made.raw(np.append(keys, absent))


def test_a_batch_owns_its_bytes(made: TransferSet) -> None:
    keys = np.array([1001, 1000])
    first = made.raw(keys)
    kept = first.copy()
    made.raw(keys[::-1])[:] = 0
    assert (first == kept).all()
    assert (made.raw(keys) == kept).all()
