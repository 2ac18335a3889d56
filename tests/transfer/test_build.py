"""Recording: the same bytes however it is done, and a refusal before the teacher is asked where it can't be done."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from torch import Tensor

from darkknowledge.contract import Batch, Output
from darkknowledge.errors import BusyError, DataError, IntegrityError, ResourceError, UsageError
from darkknowledge.transfer import Plan, TransferSet, build
from darkknowledge.transfer._layout import read_sealed
from darkknowledge.transfer._lock import building
from darkknowledge.transfer._sidecar import Sidecar
from transfer.small import Fixed, Linear, Points, content, identity_of, plan_of, points, recorded

SHARDS = 7


def test_a_finished_folder_holds_its_manifest_and_shards_alone(tmp_path: Path) -> None:
    made = recorded(tmp_path / "deep" / "set")
    names = [f"shards/{number:05d}-of-{SHARDS:05d}.{ending}" for number in range(SHARDS) for ending in ("arrow", "json")]
    assert list(content(made.path)) == ["manifest.json", *names]


def test_the_order_of_the_examples_changes_no_byte(tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    recorded(tmp_path / "one", teacher=teacher, examples=examples)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(5))
    shuffled = Points(examples.inputs[order], examples.ids[order], examples.labels[order])
    recorded(tmp_path / "two", teacher=teacher, examples=shuffled)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("parts", [2, 3, 9])
def test_parts_in_any_order_give_the_bytes_of_the_whole(parts: int, tmp_path: Path) -> None:
    teacher, examples = Linear(members=2), points(transform="wiggle v1")
    recorded(tmp_path / "whole", teacher=teacher, examples=examples, views=2)
    plan, order = plan_of(teacher, examples, views=2), list(range(parts))
    random.Random(parts).shuffle(order)
    made = [build(tmp_path / "parts", plan, teacher=teacher, examples=examples, part=(index, parts)) for index in order]
    assert [found is None for found in made] == [True] * (parts - 1) + [False]
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_a_set_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    teacher, examples, lines = Linear(), points(), []
    recorded(tmp_path / "set", teacher=teacher, examples=examples)
    before, asked = content(tmp_path / "set"), teacher.asked
    again = build(tmp_path / "set", plan_of(teacher, examples, batch_size=4), teacher=teacher, examples=examples, report=lines.append)
    assert again is not None
    assert teacher.asked == asked
    assert content(tmp_path / "set") == before
    assert lines == [f"{tmp_path / 'set'} is recorded already"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: replace(plan, identity=replace(plan.identity, teacher=("other",))), r"another teacher\[0\]: fingerprint 0, wanted is other"),
        (lambda plan: replace(plan, identity=replace(plan.identity, data="other points")), "another data: some points, wanted is other points"),
        (lambda plan: replace(plan, keys=plan.keys[:50]), "another rows: 100, wanted is 50"),
        (lambda plan: replace(plan, keys=plan.keys + 1), "another keys"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_set_of_something_else_is_left_alone(change: Callable[[Plan], Plan], message: str, finished: bool, tmp_path: Path) -> None:
    teacher, examples = Linear(), Points(torch.rand(200, 6), torch.arange(1000, 1200), torch.zeros(200, dtype=torch.int64))
    some = Points(examples.inputs[:100], examples.ids[:100], examples.labels[:100])
    plan = plan_of(teacher, some)
    build(tmp_path / "set", plan, teacher=teacher, examples=examples, part=(0, 1) if finished else (0, 2))
    before = content(tmp_path / "set")
    with pytest.raises(IntegrityError, match=message):
        build(tmp_path / "set", change(plan), teacher=teacher, examples=examples)
    assert content(tmp_path / "set") == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 4}, "another batch_size: 8, wanted is 4"),
        ({"codec": "float16"}, "another codec: float32, wanted is float16"),
        ({"shard_rows": 20}, "another shard_rows: 16, wanted is 20"),
    ],
)
def test_a_build_goes_on_with_the_settings_it_began_with(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples, part=(0, 2))
    with pytest.raises(IntegrityError, match=message):
        build(tmp_path / "set", plan_of(teacher, examples, **changes), teacher=teacher, examples=examples)


class Stop(Exception):  # noqa: N818
    """What a signal raises."""


def test_a_build_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    teacher, examples, lines, seen = Linear(), points(), [], []
    recorded(tmp_path / "whole", teacher=teacher, examples=examples)

    def stop(done: int, total: int, before: int) -> None:
        if done == 40:
            raise Stop

    plan = plan_of(teacher, examples)
    with pytest.raises(Stop):
        build(tmp_path / "set", plan, teacher=teacher, examples=examples, watch=stop)
    assert sorted(content(tmp_path / "set")) == [
        "plan.json",
        *(f"shards/0000{number}-of-00007.{ending}" for number in range(2) for ending in ("arrow", "json")),
    ]
    with pytest.raises(IntegrityError, match=r"not finished: 2 of 7 shards[\s\S]*record it again"):
        TransferSet.open(tmp_path / "set")
    teacher.asked = 0
    build(tmp_path / "set", plan, teacher=teacher, examples=examples, report=lines.append, watch=lambda *numbers: seen.append(numbers))
    assert content(tmp_path / "set") == content(tmp_path / "whole")
    assert teacher.asked == 100 - 32
    assert lines[0].endswith("2 of 7 files are there")
    assert seen[0] == (8, 100, 32)
    assert seen[-1] == (68, 100, 32)


@pytest.mark.parametrize("moment", range(0, 30, 2))
def test_a_build_that_dies_between_two_writes_leaves_nothing_wrong(moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, examples = Linear(), points()
    recorded(tmp_path / "whole", teacher=teacher, examples=examples)
    plan, calls, fsync = plan_of(teacher, examples), 0, os.fsync

    def dying(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls > moment:
            raise Stop
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying)
        with pytest.raises(Stop):
            build(tmp_path / "set", plan, teacher=teacher, examples=examples)
    build(tmp_path / "set", plan, teacher=teacher, examples=examples)
    assert content(tmp_path / "set") == content(tmp_path / "whole")


@pytest.mark.parametrize(("part", "gone"), [((0, 1), True), ((0, 2), False)])
def test_what_a_killed_builder_left_is_gone_before_one_begins_alone_and_after_the_last_of_several(part: Any, gone: bool, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    left = [tmp_path / name for name in (".plan.json.tmp-1-ab", ".lock-1-of-2", "shards/.00000-of-00007.arrow.tmp-1-ab")]
    for path in left:
        path.touch()
    with building(tmp_path, part=part):
        assert [path.exists() for path in left] == [not gone] * 3
        assert (tmp_path / ".lock").exists()
    assert content(tmp_path) == {}


def test_what_a_builder_killed_at_the_very_end_left_is_tidied_up(tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    recorded(tmp_path / "set", teacher=teacher, examples=examples)
    before = content(tmp_path / "set")
    for name in ("plan.json", ".lock", ".lock-1-of-2", "shards/.00000-of-00007.arrow.tmp-1-ab"):
        (tmp_path / "set" / name).write_text("{}")
    build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples)
    assert content(tmp_path / "set") == before


def forked(job: Callable[[], object]) -> int:
    """The process id of a child that does a job."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            job()
            os._exit(0)
        finally:
            os._exit(1)
    return child


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """A child that was forked can't use its parent's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("parts", [1, 2])
def test_builders_that_are_killed_at_any_moment_leave_the_same_bytes(parts: int, tmp_path: Path) -> None:
    teacher, examples, moments = Linear(pause=0.0005), points(200), random.Random(parts)
    recorded(tmp_path / "whole", teacher=Linear(), examples=examples)
    plan = plan_of(teacher, examples)

    def work(index: int) -> None:
        build(tmp_path / "set", plan, teacher=teacher, examples=examples, part=(index, parts))

    kills = 0
    while kills < 12:
        children = [forked(lambda index=index: work(index)) for index in range(parts)]  # type: ignore[misc]
        time.sleep(moments.uniform(0, 0.06))
        for child in children:
            os.kill(child, signal.SIGKILL)
        kills += [os.waitpid(child, 0)[1] for child in children].count(signal.SIGKILL)
        if kills < 12 and (tmp_path / "set" / "manifest.json").exists():
            shutil.rmtree(tmp_path / "set")
    for index in range(parts):
        work(index)
    assert content(tmp_path / "set") == content(tmp_path / "whole")


@pytest.mark.usefixtures("_one_thread")
def test_parts_that_record_at_the_same_time_make_one_set(tmp_path: Path) -> None:
    teacher, examples = Linear(pause=0.0005), points(200)
    recorded(tmp_path / "whole", teacher=Linear(), examples=examples)
    plan = plan_of(teacher, examples)
    for _ in range(3):
        children = [forked(lambda i=i: build(tmp_path / "set", plan, teacher=teacher, examples=examples, part=(i, 4))) for i in range(4)]  # type: ignore[misc]
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        assert content(tmp_path / "set") == content(tmp_path / "whole")
        shutil.rmtree(tmp_path / "set")


@pytest.mark.parametrize(
    ("holding", "wanting", "free"),
    [((0, 1), (0, 1), False), ((0, 1), (1, 2), False), ((0, 2), (0, 1), False), ((0, 2), (0, 2), False), ((0, 2), (1, 2), True)],
)
def test_a_second_builder_is_told_who_is_at_work(holding: tuple[int, int], wanting: tuple[int, int], free: bool, tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    plan = plan_of(teacher, examples)
    (tmp_path / "set").mkdir()
    with building(tmp_path / "set", part=holding):
        if free:
            build(tmp_path / "set", plan, teacher=teacher, examples=examples, part=wanting)
            assert teacher.asked > 0
        else:
            with pytest.raises(BusyError, match=rf'being recorded by .*"pid": {os.getpid()}') as caught:
                build(tmp_path / "set", plan, teacher=teacher, examples=examples, part=wanting)
            assert caught.value.exit_code == 7
            assert teacher.asked == 0
    assert not list((tmp_path / "set").glob(".lock*"))


def test_a_full_disk_is_found_before_the_teacher_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, examples = Linear(), points()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 500, 500))  # type: ignore[attr-defined]
    with pytest.raises(ResourceError, match=r"not enough space for the transfer set: 0\.\d MB needed, 0.0 MB free") as caught:
        build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples)
    assert (caught.value.exit_code, teacher.asked) == (5, 0)


def test_a_disk_that_fills_up_leaves_a_build_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, examples = Linear(), points()
    from darkknowledge.runs import files

    def full(path: Path, writer: Callable[[BinaryIO], object], write: Any = files.write_file) -> None:
        def fail(file: BinaryIO) -> None:
            raise OSError(28, "No space left on device")

        write(path, fail if path.name.startswith("00003") else writer)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_file", full)
        with pytest.raises(ResourceError, match="No space left"):
            build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples)
    assert build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples) is not None


@pytest.mark.parametrize("where", ["", "shards"])
def test_a_read_only_folder_is_found_before_the_teacher_is_asked(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, examples, opened = Linear(), points(), os.open
    folder = tmp_path / "set" / where

    def refusing(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if Path(os.fsdecode(path)).parent == folder and flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *more, **options)

    # The superuser may write anywhere, so the system's answer is played.
    monkeypatch.setattr(os, "open", refusing)
    monkeypatch.setattr(Path, "open", lambda path, mode="r", **options: refusing_open(path, mode, folder, **options))
    with pytest.raises(ResourceError, match="Permission denied"):
        build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples)
    assert teacher.asked == 0


def refusing_open(path: Path, mode: str, folder: Path, **options: Any) -> Any:
    if path.parent == folder and "x" in mode:
        raise PermissionError(13, "Permission denied")
    return open(path, mode, **options)  # noqa: PTH123


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"something else than a transfer set: cat.png"):
        build(tmp_path / "photos", plan_of(teacher, examples), teacher=teacher, examples=examples)
    with pytest.raises(UsageError, match="is a file"):
        build(tmp_path / "photos" / "cat.png", plan_of(teacher, examples), teacher=teacher, examples=examples)
    with pytest.raises(ResourceError, match="cannot write"):
        build(tmp_path / "photos" / "cat.png" / "set", plan_of(teacher, examples), teacher=teacher, examples=examples)
    assert list(content(tmp_path / "photos")) == ["cat.png"]


def strange(number: float) -> Callable[[Batch], Tensor]:
    """Logits of 0, 1, 2, …, but ``number`` for the example 1042."""

    def answer(batch: Batch) -> Tensor:
        logits = torch.arange(4.0).repeat(len(batch), 1)
        logits[batch.ids == 1042, 2] = number
        return logits

    return answer


@pytest.mark.parametrize(
    ("number", "codec", "message"),
    [
        (float("nan"), "float32", "logits for id 1042 are not finite"),
        (float("inf"), "float16", "logits for id 1042 are not finite"),
        (-70000.0, "float16", r"a logit for id 1042 is -70000, too large for codec=float16[\s\S]*record with codec=float32 .*transfer.codec=float32"),
        (3.4e38, "uint8", r"a logit for id 1042 is 3.4e\+38, too large for codec=uint8"),
    ],
)
def test_logits_that_cannot_be_stored_are_refused_by_name(number: float, codec: str, message: str, tmp_path: Path) -> None:
    teacher, examples = Fixed(strange(number), 4), points(classes=4)
    with pytest.raises(DataError, match=message):
        recorded(tmp_path / "set", teacher=teacher, examples=examples, codec=codec)


def test_logits_that_are_all_equal_are_counted_in_a_warning(tmp_path: Path) -> None:
    lines: list[str] = []
    teacher, examples = Fixed(lambda batch: torch.where((batch.ids % 40 == 2)[:, None], 3.0, torch.arange(4.0)), 4), points(classes=4)
    build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples, report=lines.append)
    assert any("all logits are equal in 3 of 100 rows, the first for id 1002" in line for line in lines)


def test_examples_that_are_not_there_are_named(tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    plan = Plan.make(identity_of(teacher, examples), ids=torch.tensor([1000, 7, 8]))
    with pytest.raises(DataError, match="2 examples to record are not in the data: id 7, 8"):
        build(tmp_path / "set", plan, teacher=teacher, examples=examples)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": tuple("abcdefghij")}, "class_names"),
        ({"weights": (0.5, 0.5)}, "weights"),
        ({"average": "logit"}, "average"),
        ({"teacher": ("a",), "weights": (1.0,)}, r"answers \(2, 8, 10\)"),
        ({"transform": "other v2"}, "transform"),
    ],
)
def test_an_identity_that_is_not_the_teachers_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    teacher, examples = Linear(members=2), points()
    identity = replace(identity_of(teacher, examples), **changes)
    with pytest.raises(IntegrityError, match=message):
        build(tmp_path / "set", Plan.make(identity, ids=examples.ids), teacher=teacher, examples=examples)


def test_an_answer_without_members_cannot_be_recorded(tmp_path: Path) -> None:
    class Odd(Linear):
        def __call__(self, batch: Batch) -> Output:
            return "answer"  # type: ignore[return-value]

    with pytest.raises(UsageError, match="a teacher that answers str"):
        recorded(tmp_path / "set", teacher=Odd())


@pytest.mark.parametrize("part", [(1, 1), (-1, 2), (2, 2), (0, 0)])
def test_a_part_that_does_not_exist_is_refused(part: tuple[int, int], tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    with pytest.raises(UsageError, match="part"):
        build(tmp_path / "set", plan_of(teacher, examples), teacher=teacher, examples=examples, part=part)


def test_nothing_in_the_files_tells_time_or_place(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    text = "".join(data.decode() for name, data in content(made.path).items() if name.endswith(".json"))
    assert os.uname().nodename not in json.loads((made.path / "manifest.json").read_text())["environment"].values()
    assert str(tmp_path) not in text


def test_bfloat16_is_the_precision_of_the_forward_passes(tmp_path: Path) -> None:
    network, examples = torch.nn.Linear(6, 4), points(classes=4)
    teacher = Fixed(lambda batch: network(batch.inputs), 4)
    plan = plan_of(teacher, examples)
    made = build(tmp_path / "set", replace(plan, identity=replace(plan.identity, precision="bf16")), teacher=teacher, examples=examples)
    assert made is not None
    found = made[examples.ids].logits()
    assert torch.equal(found, found.bfloat16().float())


def test_every_flipped_bit_of_a_plan_and_of_a_sidecar_is_found_by_whoever_goes_on(tmp_path: Path) -> None:
    """Also where only people read what it says, such as versions, and in statistics that are compared within the rounding of another machine."""
    teacher, examples = Linear(), points()
    plan, folder = plan_of(teacher, examples), tmp_path / "set"
    build(folder, plan, teacher=teacher, examples=examples, part=(0, 2))
    shard = folder / "shards/00002-of-00007.arrow"
    for path in (folder / "plan.json", shard.with_suffix(".json")):
        data = path.read_bytes()
        for at in range(len(data)):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            with pytest.raises(IntegrityError, match=path.name):
                read_sealed(path) if path.name == "plan.json" else Sidecar.read(path, plan.identity.codec)
        with pytest.raises(IntegrityError, match=path.name):
            build(folder, plan, teacher=teacher, examples=examples, part=(1, 2))
        path.write_bytes(data)
    assert build(folder, plan, teacher=teacher, examples=examples) is not None


def test_a_sidecar_of_an_earlier_version_has_no_sum_of_itself(tmp_path: Path) -> None:
    made = recorded(tmp_path / "set")
    path = made.path / "shards/00002-of-00007.json"
    codec = made.identity.codec
    lines = [line for line in path.read_text().splitlines(keepends=True) if "sidecar_sha256" not in line]
    before = Sidecar.read(path, codec)
    path.write_text("".join(lines))
    assert Sidecar.read(path, codec) == before


@pytest.mark.parametrize("ending", ["arrow", "json"])
def test_what_was_damaged_while_nobody_was_at_work_is_found_before_the_set_counts(ending: str, tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    recorded(tmp_path / "whole", teacher=teacher, examples=examples)
    plan = plan_of(teacher, examples)
    build(tmp_path / "set", plan, teacher=teacher, examples=examples, part=(0, 2))
    path = tmp_path / "set" / f"shards/00002-of-00007.{ending}"
    data = path.read_bytes()
    damaged = data.replace(b'"correct": ', b'"correct": 1') if ending == "json" else data[:-700] + b"x" + data[-699:]
    # A size that differs as well would have it recorded anew.
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=rf"00002-of-00007.{ending} is not the file that was written[\s\S]*remove the file and record again"):
        build(tmp_path / "set", plan, teacher=teacher, examples=examples)
    assert not (tmp_path / "set" / "manifest.json").exists()
    path.unlink()
    build(tmp_path / "set", plan, teacher=teacher, examples=examples)
    assert content(tmp_path / "set") == content(tmp_path / "whole")
