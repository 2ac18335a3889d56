from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from darkknowledge.training import threads
from darkknowledge.training.threads import threads_restored, usable_threads, use_threads

EIGHT = {number: f"{number % 4},{number % 4 + 4}" for number in range(8)}
"""Four cores of two hyperthreads each."""


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process whose torch has four threads, and that may use one core."""
    before = torch.get_num_threads()
    for name in threads.CHOSEN_BY_USER:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_cores", lambda: {0: "0"})
    torch.set_num_threads(4)
    yield monkeypatch
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("cores", "quota", "count"),
    [
        (EIGHT, None, 4),
        ({0: "0,4", 4: "0,4"}, None, 1),
        ({0: "0,4", 5: "1,5"}, None, 2),
        (EIGHT, 2.0, 2),
        (EIGHT, 2.9, 2),
        (EIGHT, 0.5, 1),
        (EIGHT, 64.0, 4),
        ({0: "0"}, None, 1),
    ],
)
def test_a_thread_for_each_core_that_may_be_kept_busy(cores: dict[int, str], quota: float | None, count: int) -> None:
    assert usable_threads(cores, quota) == count


def test_without_a_word_torch_takes_no_more(four: pytest.MonkeyPatch) -> None:
    use_threads(None)
    assert torch.get_num_threads() == 1


def test_the_option_is_obeyed(four: pytest.MonkeyPatch) -> None:
    use_threads(3)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_the_environment_is_obeyed(four: pytest.MonkeyPatch, name: str) -> None:
    four.setenv(name, "4")
    use_threads(None)
    assert torch.get_num_threads() == 4


def test_what_the_program_has_set_lower_is_left(four: pytest.MonkeyPatch) -> None:
    four.setattr(threads, "_cores", lambda: EIGHT)
    torch.set_num_threads(2)
    use_threads(None)
    assert torch.get_num_threads() == 2


def test_the_smallest_quota_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/outer/inner\n")
    inner = tmp_path / "fs" / "outer" / "inner"
    inner.mkdir(parents=True)
    assert threads._quota(tmp_path / "fs", membership) is None
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert threads._quota(tmp_path / "fs", membership) == 1.5
    (inner / "cpu.max").write_text("50000 100000\n")
    assert threads._quota(tmp_path / "fs", membership) == 0.5


def test_quotas_of_the_older_kind_of_control_groups_count(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("4:memory:/job\n3:cpu,cpuacct:/job\n")
    job = tmp_path / "fs" / "cpu" / "job"
    job.mkdir(parents=True)
    (job / "cpu.cfs_quota_us").write_text("-1\n")
    (job / "cpu.cfs_period_us").write_text("100000\n")
    assert threads._quota(tmp_path / "fs", membership) is None
    (job / "cpu.cfs_quota_us").write_text("200000\n")
    assert threads._quota(tmp_path / "fs", membership) == 2.0


def test_this_machine_has_a_core() -> None:
    assert 1 <= usable_threads(threads._cores(), threads._quota()) <= (os.cpu_count() or 1)


def test_a_run_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    with threads_restored():
        torch.set_num_threads(before + 1)
    assert torch.get_num_threads() == before
