"""Data that answer otherwise than they were asked, and files that are no part of a set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from darkknowledge.contract import Batch
from darkknowledge.errors import IntegrityError, UsageError
from darkknowledge.transfer import Plan, TransferSet, _begin, build, faults
from darkknowledge.transfer._keys import keys_of
from darkknowledge.transfer._layout import sealed
from transfer.small import Linear, Points, plan_of, points, recorded


@dataclass(frozen=True)
class Liars(Points):
    """Examples whose batches are others than were asked for."""

    other_ids: bool = False

    def batches(self, positions: Tensor, *, batch_size: int, views: Tensor | None) -> Iterator[Batch]:
        for batch in super().batches(positions if self.other_ids else positions[:-1], batch_size=batch_size, views=views):
            yield replace(batch, ids=batch.ids + 1) if self.other_ids else batch


@pytest.mark.parametrize(
    ("other_ids", "what"), [(True, "answers with other examples than it was asked for"), (False, r"answers with \d+ of \d+ examples")]
)
def test_data_that_answer_otherwise_than_they_were_asked_are_not_recorded(other_ids: bool, what: str, tmp_path: Path) -> None:
    plain, teacher = points(), Linear()
    liars = Liars(plain.inputs, plain.ids, plain.labels, other_ids=other_ids)
    with pytest.raises(IntegrityError, match=f"the data {what}"):
        build(tmp_path, plan_of(teacher, plain), teacher=teacher, examples=liars)
    assert not list(tmp_path.rglob("*.arrow"))


def test_a_link_in_a_set_is_a_fault(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "set").path
    (folder / "more").symlink_to(tmp_path)
    assert [(fault.file, fault.what) for fault in faults(folder)] == [("more", "is a link")]


@pytest.mark.parametrize(("ids", "views"), [([-1], None), ([1 << 62], None), ([1], [0, 1]), ([1], [4]), ([1], [-1])])
def test_a_number_that_no_example_has_is_refused(ids: list[int], views: list[int] | None) -> None:
    assert keys_of(torch.tensor([3]), torch.tensor([1]), per_example=4).tolist() == [13]
    with pytest.raises(UsageError, match=r"id is negative or too large|ids and|view"):
        keys_of(np.array(ids), None if views is None else np.array(views), per_example=4)


@pytest.mark.parametrize(
    ("change", "what"),
    [({"schema": 99}, "has schema 99"), ({"environment": None}, "does not say where the build began")],
    ids=["schema", "environment"],
)
def test_a_plan_of_another_version_is_not_gone_on_with(change: dict[str, object], what: str, tmp_path: Path) -> None:
    teacher, examples = Linear(), points()
    plan = plan_of(teacher, examples)
    (tmp_path / "plan.json").write_text(sealed({**plan.to_dict(), "schema": 1, "environment": {}} | change))
    with pytest.raises(IntegrityError, match=what):
        build(tmp_path, plan, teacher=teacher, examples=examples)


def test_a_plan_that_another_process_writes_first_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking for a plan and writing one."""
    teacher, examples = Linear(), points()
    mine, theirs = plan_of(teacher, examples), plan_of(teacher, examples, codec="uint8")
    look = _begin._require_space

    def meanwhile(folder: Path, plan: Plan) -> None:
        (folder / "plan.json").write_text(sealed({**theirs.to_dict(), "schema": _begin.SCHEMA, "environment": {}}))
        look(folder, plan)

    monkeypatch.setattr(_begin, "_require_space", meanwhile)
    with pytest.raises(IntegrityError, match="codec"):
        build(tmp_path, mine, teacher=teacher, examples=examples)


def test_where_files_cannot_be_linked_the_plan_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*arguments: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("os.link", unable)
    assert isinstance(recorded(tmp_path / "set"), TransferSet)
