"""benchmarks/export: the tables are the record's numbers, and the record keeps the promise."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks" / "export"
RUNS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))["runs"]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines() if "|" in line
]
FLOAT32 = ("model.safetensors", "model.pt2", "model.onnx")


def test_every_file_of_float32_is_as_near_as_promised_on_whole_test_splits() -> None:
    assert {run["network"]["name"].partition(":")[0] for run in RUNS} == {"hinton_mlp", "cifar_resnet", "timm"}
    for run in RUNS:
        assert run["examples"] == 10_000
        for name in FLOAT32:
            assert run["files"][name]["largest_difference"] <= 1e-5
            assert run["files"][name]["same_class"] == 10_000


def test_the_table_of_differences_is_the_record() -> None:
    shown = [row[2:] for row in ROWS if row[-1] == "10,000" and len(row) == 8 and row[4][-4:-2] in ("e-", "e+")]
    expected = [[f"{run['steps']:,}", f"{run['parameters']:,}", *(f"{run['files'][name]['largest_difference']:.1e}" for name in FLOAT32), "10,000"]
                for run in RUNS]  # fmt: skip
    assert shown == expected


def test_the_table_of_eight_bits_is_the_record() -> None:
    shown = [row[1:6] for row in ROWS if row[1] in ("float32", "int8")]
    expected = []
    for run in RUNS:
        for name, kind in (("model.onnx", "float32"), ("model-int8.onnx", "int8")):
            if "model-int8.onnx" in run["files"]:
                said = run["files"][name]
                low, high = (f"{100 * end:.2f}" for end in said["interval"])
                expected.append(
                    [kind, f"{said['bytes'] / 1e6:.2f}", f"{100 * said['accuracy']:.2f} %", f"{low} to {high} %", f"{said['same_class']:,}"]
                )
    assert shown == expected
    assert len(shown) == 6
