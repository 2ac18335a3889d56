"""metrics.jsonl, every record a line, readable while the run goes on, and metrics.csv, the epochs as a table, written at its end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from darkknowledge.runs.files import storage_error, write_text
from darkknowledge.training.watching import Plan, Record


class MetricFiles:
    """Writes the records of one run. After a resume it drops what was recorded past the state that training went back to."""

    def __init__(self, folder: Path) -> None:
        self._jsonl, self._csv = folder / "metrics.jsonl", folder / "metrics.csv"

    def begin(self, plan: Plan) -> None:
        """Start the files, or keep what the state that training goes on from has recorded."""
        records = read_records(self._jsonl)
        # A state saved right after the last step of an epoch does not have that epoch's record yet.
        kept = [line for line in records if line["step"] <= plan.done and (line["kind"] == "step" or line["epoch"] <= plan.epochs_done)]
        write_text(self._jsonl, "".join(json.dumps(line) + "\n" for line in kept))

    def step(self, done: int) -> None:
        """Nothing: only records are written."""

    def record(self, record: Record) -> None:
        """Append one line."""
        line = {"kind": record.kind, "step": record.step, "epoch": round(record.epoch, 6), **record.values}
        try:
            with self._jsonl.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise storage_error(error, self._jsonl) from error

    def end(self) -> None:
        """Write the epochs as a table."""
        rows = [line for line in read_records(self._jsonl) if line["kind"] == "epoch"]
        columns = list(dict.fromkeys(key for row in rows for key in row if key != "kind"))
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._csv, table.getvalue())


def read_records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSONL file; a last line that a crash cut short is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
