"""Recordings that are killed at any call, split among parts and damaged in between, in any order of all that."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer import Plan, TransferSet, build, faults, verify
from kills import Killed, killed_before
from transfer.small import Linear, content, plan_of, points

TEACHER, EXAMPLES = Linear(3, members=2), points(20, classes=3, transform="wiggle v1")
MOST_CALLS = 75
"""No recording of this set needs more of them."""


@cache
def plan() -> Plan:
    """Forty rows in five shards."""
    return plan_of(TEACHER, EXAMPLES, views=2, shard_rows=8, codec="float16")


def record(folder: Path, part: tuple[int, int] = (0, 1)) -> TransferSet | None:
    return build(folder, plan(), teacher=TEACHER, examples=EXAMPLES, part=part)


@cache
def undisturbed() -> dict[str, bytes]:
    """The files of a recording to which nothing happened."""
    with tempfile.TemporaryDirectory() as folder, killed_before(None) as calls:
        record(Path(folder) / "set")
        assert len(calls) < MOST_CALLS
        return content(Path(folder) / "set")


class Recording(RuleBasedStateMachine):
    """A folder to which anything may happen between two calls of `build`."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.mkdtemp()
        self.folder = Path(self.place) / "set"
        self.seen: dict[str, tuple[int, int]] = {}

    def teardown(self) -> None:
        """Whatever has happened, the next recording makes the same set."""
        try:
            with killed_before(None):
                found = record(self.folder)
            assert found is not None
            assert content(self.folder) == undisturbed()
            assert faults(self.folder) == ()
            assert self.unchanged()
        finally:
            shutil.rmtree(self.place)

    @property
    def is_finished(self) -> bool:
        return (self.folder / "manifest.json").exists()

    @property
    def finished(self) -> list[str]:
        """The files of finished shards, and the manifest."""
        return [name for name in undisturbed() if all((self.folder / pair).exists() for pair in (name, name.replace(".arrow", ".json")))]

    def unchanged(self) -> bool:
        """Whether the files that were finished before are still the same ones, with nothing written into them."""
        now = {name: (found.st_ino, found.st_mtime_ns) for name in self.finished for found in [(self.folder / name).stat()]}
        before, self.seen = self.seen, now
        return all(now[name] == before[name] for name in before)

    @rule(part=st.sampled_from(((0, 1), (0, 1), (0, 2), (1, 2))), number=st.integers(0, MOST_CALLS), torn=st.sampled_from((0.0, 0.5, 1.0)))
    def is_recorded_until_the_kill(self, part: tuple[int, int], number: int, torn: float) -> None:
        with killed_before(number, torn=torn), suppress(Killed):
            record(self.folder, part)

    @rule(part=st.sampled_from(((0, 2), (1, 2))))
    def is_recorded_in_part(self, part: tuple[int, int]) -> None:
        with killed_before(None):
            record(self.folder, part)

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def is_damaged_found_out_and_restored(self, data: st.DataObject) -> None:
        """One bit of a finished file."""
        name = data.draw(st.sampled_from(self.finished))
        path, sound = self.folder / name, undisturbed()[name]
        bit = data.draw(st.integers(0, 8 * len(sound) - 1))
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        if self.is_finished:
            self.is_found_out(name)
        else:
            self.is_refused_or_recorded_anew(path)
        if path.read_bytes() != sound:
            path.write_bytes(sound)
        self.seen.pop(name.replace(".json", ".arrow"), None)
        self.seen.pop(name.replace(".arrow", ".json"), None)

    def is_found_out(self, name: str) -> None:
        left = {fault.file for fault in faults(self.folder)} - set(undisturbed())
        assert {fault.file for fault in faults(self.folder)} - left == {name}
        assert not any("does not belong" in fault.what for fault in faults(self.folder))
        with pytest.raises(IntegrityError):
            verify(self.folder)
        with pytest.raises(IntegrityError):
            TransferSet.open(self.folder).require_whole()

    def is_refused_or_recorded_anew(self, path: Path) -> None:
        """Anew where the shard or what lies beside it does not even look finished."""
        said = ""
        with killed_before(None):
            try:
                record(self.folder)
            except IntegrityError as error:
                said = str(error)
        assert path.stem in said if said else content(self.folder) == undisturbed()
        assert self.is_finished is not bool(said)

    @invariant()
    def nothing_finished_is_touched(self) -> None:
        assert self.unchanged()

    @invariant()
    def what_is_there_under_its_name_is_whole(self) -> None:
        there = content(self.folder) if self.folder.exists() else {}
        for name, expected in undisturbed().items():
            assert there.get(name, expected) == expected

    @invariant()
    def only_a_finished_set_is_read(self) -> None:
        if self.is_finished:
            TransferSet.open(self.folder).require_whole()
        else:
            with pytest.raises((IntegrityError, UsageError), match=r"not finished|there is no"):
                TransferSet.open(self.folder)


def test_a_recording_that_is_killed_and_damaged_in_any_way_ends_as_one_that_was_not() -> None:
    unhurried = [HealthCheck.filter_too_much, HealthCheck.too_slow]
    run_state_machine_as_test(
        Recording, settings=settings(max_examples=15, stateful_step_count=8, deadline=None, derandomize=True, suppress_health_check=unhurried)
    )
