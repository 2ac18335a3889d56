"""Five students of one MNIST teacher, at five temperatures: recorded answers against a live teacher, total wall time of the ``dk`` commands.

    python benchmarks/transfer/students.py TEACHER_RUN DATA_ROOT

Each student is one ``dk distill`` process, start-up included. The two ways take turns, student by student, so that both meet the same machine; the
first recorded student also pays for the recording. Plain pictures, and pictures shifted anew in every epoch (so that a
single recorded student asks its teacher as often as a live one).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from darkknowledge.runs.environment import environment
from darkknowledge.runs.files import read_json

TEMPERATURES = (1.0, 2.0, 4.0, 6.0, 8.0)
EPOCHS = 5
RESULTS = Path(__file__).with_suffix(".json")


def distill(teacher: Path, root: str, out: Path, *, mode: str, augment: str, temperature: float) -> dict[str, Any]:
    """One student; its wall time and validation accuracy."""
    words = [
        *("data=mnist", f"data.root={root}", "data.validation=5000", f"data.augment={augment}", "student.hidden=[800,800]"),
        *(f"teacher={teacher}", f"transfer.mode={mode}", f"objective.temperature={temperature}", f"training.epochs={EPOCHS}"),
        *("training.threads=1", "training.precision=fp32", "logging.progress=false", f"out={out}"),
    ]
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("dk"), "distill", *words], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    accuracy = read_json(out / "run.json")["validation"]["last"]["accuracy"]
    return {"mode": mode, "augment": augment, "temperature": temperature, "seconds": seconds, "validation_accuracy": accuracy}


def main(teacher: str, root: str) -> None:
    students: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for augment in ("none", "jitter"):
            mine = Path(folder) / f"teacher-{augment}"
            shutil.copytree(teacher, mine, ignore=shutil.ignore_patterns("transfer"))
            for number, temperature in enumerate(TEMPERATURES):
                for mode in ("live", "recorded")[:: 1 if number % 2 else -1]:
                    out = Path(folder) / f"{augment}-{mode}-{temperature:g}"
                    students.append(distill(mine, root, out, mode=mode, augment=augment, temperature=temperature))
                    print(students[-1], file=sys.stderr, flush=True)
                    RESULTS.write_text(json.dumps({"epochs": EPOCHS, "environment": environment(), "students": students}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
