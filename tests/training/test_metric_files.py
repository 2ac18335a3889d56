from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from darkknowledge.errors import IntegrityError, ResourceError
from darkknowledge.training import Recipe, fit
from darkknowledge.training.metric_files import MetricFiles, read_records
from darkknowledge.training.watching import Plan, Record
from training.small import CrossEntropy, mlp, points

PLAN = Plan("run", steps=6, epochs=2)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_table_holds_the_epochs_of_the_lines(tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, batch_size=8, log_every=2, device="cpu", precision="fp32")
    fit(mlp(), CrossEntropy(), points(20), recipe, validation=points(9), watchers=[MetricFiles(tmp_path)])
    assert [(line["kind"], line["step"]) for line in lines(tmp_path)] == [
        ("step", 2),
        ("epoch", 3),
        ("step", 4),
        ("step", 6),
        ("epoch", 6),
        ("step", 8),
        ("epoch", 9),
    ]
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    epochs = [{name: value for name, value in line.items() if name != "kind"} for line in lines(tmp_path) if line["kind"] == "epoch"]
    assert rows == epochs
    assert set(rows[0]) == {"step", "epoch", "loss", "hard", "learning_rate", "validation_accuracy", "validation_nll"}


def test_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    files = MetricFiles(tmp_path)
    files.begin(PLAN)
    assert lines(tmp_path) == []
    files.record(Record("step", 1, 1 / 3, {"loss": 0.1}))
    assert lines(tmp_path) == [{"kind": "step", "step": 1, "epoch": 0.333333, "loss": 0.1}]


RECORDS = [Record("step", 2, 2 / 3, {"loss": 0.1}), Record("step", 3, 1.0, {"loss": 0.2}), Record("epoch", 3, 1.0, {"loss": 0.15})]


def test_a_resumed_run_begins_with_what_its_state_has_recorded_whatever_the_file_says(tmp_path: Path) -> None:
    files, path = MetricFiles(tmp_path), tmp_path / "metrics.jsonl"
    files.begin(PLAN)
    for record in RECORDS:
        files.record(record)
    whole = path.read_bytes()
    past = Record("step", 4, 4 / 3, {"loss": 0.3})
    for left in (whole, whole[:-5], whole + b'{"kind": "st', whole + '{"ä'.encode()[:-1], b"\0" * 40, b""):
        path.write_bytes(left)
        again = MetricFiles(tmp_path)
        again.begin(Plan("run", steps=6, epochs=2, done=3, epochs_done=1, records=RECORDS))
        assert path.read_bytes() == whole
        again.record(past)
        assert read_records(path) == [*lines(tmp_path)[:3], {"kind": "step", "step": 4, "epoch": 1.333333, "loss": 0.3}]
        again.end()
        assert (tmp_path / "metrics.csv").read_text() == "step,epoch,loss\n3,1.0,0.15\n"


@pytest.mark.parametrize("end", [b"", b'{"kind"', '{"kind": "ä'.encode()[:-1]])
def test_a_last_line_that_was_cut_is_left_out(end: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n' + end)
    assert [line["step"] for line in read_records(path)] == [1, 2]
    assert read_records(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"\xff": 1}', b'{"step": 1}{"step": 2}'])
def test_another_line_that_is_damaged_is_named(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\n')
    with pytest.raises(IntegrityError, match=r"line 2 of metrics.jsonl is no record"):
        read_records(path)


def test_epochs_with_different_values_share_one_table(tmp_path: Path) -> None:
    files = MetricFiles(tmp_path)
    files.begin(PLAN)
    files.record(Record("epoch", 3, 1.0, {"soft": 0.5}))
    files.record(Record("epoch", 6, 2.0, {"soft": 0.4, "hard": 0.25}))
    files.end()
    assert (tmp_path / "metrics.csv").read_text() == "step,epoch,soft,hard\n3,1.0,0.5,\n6,2.0,0.4,0.25\n"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    files = MetricFiles(tmp_path)
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(ResourceError, match=r"cannot write metrics.jsonl"):
        files.record(Record("step", 1, 0.1, {}))
