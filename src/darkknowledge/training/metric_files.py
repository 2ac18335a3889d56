"""metrics.jsonl, every record a line, readable while the run goes on, and metrics.csv, the epochs as a table, written at its end.

A resumed run begins both anew, from the records in its training state, so that whatever a crash has made of them is gone.
"""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

from darkknowledge.errors import IntegrityError
from darkknowledge.runs.files import write_text
from darkknowledge.training.watching import Plan, Record

LONGEST = 1 << 20
"""Bytes beyond which a line is no record."""


class MetricFiles:
    """Writes the records of one run."""

    def __init__(self, folder: Path) -> None:
        self._jsonl, self._csv = folder / "metrics.jsonl", folder / "metrics.csv"
        self._lines: list[dict[str, Any]] = []

    def begin(self, plan: Plan) -> None:
        """Start the files with what was recorded before."""
        self._lines = [_line(record) for record in plan.records]
        self._rewrite()

    def step(self, done: int) -> None:
        """Nothing: only records are written."""

    def record(self, record: Record) -> None:
        """Append one line."""
        self._lines.append(_line(record))
        try:
            with self._jsonl.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._lines[-1]) + "\n")
        except OSError:  # part of the line may be there
            self._rewrite()

    def end(self) -> None:
        """Write the epochs as a table."""
        rows = [line for line in self._lines if line["kind"] == "epoch"]
        columns = list(dict.fromkeys(key for row in rows for key in row if key != "kind"))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._csv, table.getvalue())

    def _rewrite(self) -> None:
        write_text(self._jsonl, "".join(json.dumps(line) + "\n" for line in self._lines))


def read_records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL file; a last line that a crash cut short, even within a character, is left out.

    Raises:
        IntegrityError: another line is not the JSON of a record; its number is named.
    """
    if not path.is_file():
        return []
    records = []
    with path.open("rb") as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST), b""), start=1):
            if not line.endswith(b"\n") and len(line) < LONGEST:
                break
            try:
                record = json.loads(line)
            except (RecursionError, ValueError):
                record = None
            if not isinstance(record, dict):
                raise IntegrityError(
                    f"line {number} of {path.name} is no record", where=str(path), fix="resume=true writes an unfinished run's file anew"
                )
            records.append(record)
    return records


def _line(record: Record) -> dict[str, Any]:
    return {"kind": record.kind, "step": record.step, "epoch": round(record.epoch, 6), **record.values}
