"""Training that is killed at any call of a save or of its return, and whose states are damaged in between, in any order of all that."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, event, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import TEMPORARY
from darkknowledge.runs.folder import RunFolder
from darkknowledge.training.checkpoint import load_state, save_state, saved_states
from kills import Killed, killed_before
from training.small import same

MOST_CALLS = 12
"""No save, and no return to a run, needs more of them."""
NEVER = 1000


class Training(RuleBasedStateMachine):
    """A run folder, and what must be in it: the states that somebody saved and nobody damaged."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.mkdtemp()
        with killed_before(None):
            self.run = RunFolder.create(Path(self.place) / "run", kind="train", config={})
        self.folder = self.run.path / "checkpoint"
        self.whole: dict[str, dict[str, Any]] = {}
        self.step = self.attempt = 0
        self.at_work = True

    def teardown(self) -> None:
        try:
            self.goes_on()
        finally:
            shutil.rmtree(self.place)

    @property
    def names(self) -> list[str]:
        return [path.name for path in saved_states(self.folder)]

    @property
    def newest(self) -> dict[str, Any] | None:
        """The state to go on from."""
        return next((self.whole[name] for name in reversed(self.names) if name in self.whole), None)

    def save(self, number: int, torn: float = 1.0) -> bool:
        """Whether it came to its end; a process that was killed does no more."""
        self.step, self.attempt, before, self.at_work = self.step + 1, self.attempt + 1, self.names, False
        state = {"step": self.step, "attempt": self.attempt, "network": {"weight": torch.full((50,), float(self.attempt))}}
        with killed_before(number, torn=torn), suppress(Killed):
            save_state(self.folder, state, name=f"{self.step:08d}-000000")
            self.at_work = True
        self.whole |= {name: state for name in self.names if name not in before}
        return self.at_work

    @initialize()
    def begins(self) -> None:
        assert self.save(NEVER)

    @precondition(lambda self: self.at_work)
    @rule(times=st.integers(1, 2))
    def saves(self, times: int) -> None:
        for _ in range(times):
            before = self.names
            assert self.save(NEVER)
            assert len(self.names) == min(2, len(before) + 1)
            assert self.newest is not None
            assert self.newest["attempt"] == self.attempt

    @precondition(lambda self: self.at_work)
    @rule(number=st.integers(0, MOST_CALLS), torn=st.sampled_from((0.0, 0.5, 1.0)))
    def is_killed_while_it_saves(self, number: int, torn: float) -> None:
        before, count = self.newest, len(self.names)
        self.save(number, torn)
        assert len(self.names) <= count + 1
        assert self.newest is before or (self.newest is not None and self.newest["attempt"] == self.attempt)

    @precondition(lambda self: self.newest)
    @rule(data=st.data(), cut=st.booleans())
    def is_damaged(self, data: st.DataObject, cut: bool) -> None:
        """Most often the newest state: a bit is flipped, or the end is gone."""
        sound = [name for name in self.names if name in self.whole]
        name = data.draw(st.sampled_from([*sound, *sound[-1:] * 2]))
        content = bytearray((self.folder / name).read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if cut:
            del content[place:]
        else:
            content[place] ^= 1
        (self.folder / name).write_bytes(content)
        del self.whole[name]
        event("damaged, with a whole one before it" if self.newest else "damaged, the last one")

    @rule()
    def goes_on(self) -> None:
        said: list[str] = []
        newer = [name for name in self.names if not any(later in self.whole for later in self.names[self.names.index(name) :])]
        if newer and self.newest is None:
            self.is_refused()
            return
        with killed_before(None), self.run.held():
            assert not [path for path in self.run.path.rglob("*") if TEMPORARY.fullmatch(path.name)]
            expected = self.newest
            assert same(load_state(self.folder, report=said.append), expected)
        assert len(said) == len(newer)
        assert expected is self.newest
        assert not self.names or self.names[-1] in self.whole
        self.step, self.at_work = (expected or {"step": 0})["step"], True

    @rule(number=st.integers(0, MOST_CALLS), torn=st.sampled_from((0.0, 0.5, 1.0)))
    def is_killed_while_it_goes_on(self, number: int, torn: float) -> None:
        expected, self.at_work = self.newest, False
        with killed_before(number, torn=torn), suppress(Killed, IntegrityError), self.run.held():
            load_state(self.folder, report=lambda line: None)
        assert self.newest is expected

    def is_refused(self) -> None:
        """Nothing is left to go on from, so it is begun anew."""
        before = self.names
        with killed_before(None), pytest.raises(IntegrityError) as caught, self.run.held():
            load_state(self.folder)
        assert all(name in str(caught.value) for name in before)
        assert self.names == before
        shutil.rmtree(self.folder)
        self.whole, self.step, self.at_work = {}, 0, True

    @invariant()
    def the_record_of_the_run_can_be_read(self) -> None:
        assert self.run.record["kind"] == "train"
        assert self.run.status in ("created", "finished", "killed", "failed")


def test_a_run_that_is_killed_and_damaged_in_any_way_goes_on_from_its_newest_whole_state() -> None:
    unhurried = [HealthCheck.filter_too_much, HealthCheck.too_slow]
    run_state_machine_as_test(
        Training, settings=settings(max_examples=40, stateful_step_count=20, deadline=None, derandomize=True, suppress_health_check=unhurried)
    )
