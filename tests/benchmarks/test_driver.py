"""``python -m benchmarks`` as somebody uses it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from benchmarks.__main__ import main
from benchmarks._registry import ELSEWHERE, FOLDER, TIMED

ROOT = Path(__file__).parents[2]


def test_without_a_name_everything_is_listed_quickly() -> None:
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "benchmarks"], capture_output=True, text=True, check=True, cwd=ROOT)
    first_words = {line.split()[0] for line in done.stdout.splitlines() if line and not line.startswith(" ")}
    assert first_words >= {*TIMED, *ELSEWHERE}
    assert "| torch" not in done.stderr


def test_an_unknown_name_ends_with_2_and_a_close_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["obective"]) == 2
    assert "Did you mean 'objective'?" in capsys.readouterr().err


def test_one_that_is_no_timing_is_told_how_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits"]) == 2
    assert "benchmarks/digits/choose.py" in capsys.readouterr().err


@pytest.mark.parametrize("repeats", ["0", "-1", "many"])
def test_rounds_that_are_none_are_refused(repeats: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["objective", "--repeats", repeats])
    assert ended.value.code == 2


@pytest.mark.parametrize("name", TIMED)
def test_what_is_registered_is_a_function_of_a_run(name: str) -> None:
    module, _, function = TIMED[name].target.partition(":")
    assert len(inspect.signature(getattr(import_module(f"benchmarks.{module}"), function)).parameters) == 1
    assert (FOLDER / TIMED[name].record).parent.is_dir()


def test_what_is_run_another_way_is_there() -> None:
    for entry in ELSEWHERE.values():
        if entry.command.startswith("-m "):
            assert (ROOT / entry.command.removeprefix("-m ").replace(".", "/") / "__main__.py").is_file()
            continue
        (script,) = [word for word in entry.command.split() if word.startswith("benchmarks/")]
        assert (ROOT / script).is_file()


def test_a_quick_run_of_the_objective_compares_all_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setattr("benchmarks.objective.measure.QUICK_SIZES", ((8, 5),))
    monkeypatch.setattr("benchmarks.objective.measure.TEMPERATURES", (4.0,))
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)  # compiling takes seconds; that it works is tested where it is used
    out = tmp_path / "results.json"
    try:
        assert main(["objective", "--quick", "--repeats", "1", "--out", str(out)]) == 0
    finally:
        torch.set_num_threads(threads)
    found = json.loads(out.read_text())
    assert found["quick"]
    timings, accuracy = found["results"]["8 × 5"], found["results"]["8 × 5, accuracy"]["[loss relative, gradient absolute]"]
    assert {"textbook", "torch.compile", "ours, compiled", "ours, eager", "timm"} <= set(timings["seconds of a call"]) == set(accuracy)
    assert timings["peak extra memory"]["unit"] == "(B, C)"
    for name, errors in accuracy.items():
        loss, gradient = errors["T = 4"]
        assert loss < 1e-6, name
        assert gradient < 1e-7, name
    assert "8 × 5" in capsys.readouterr().out


def test_without_a_gpu_its_benchmark_says_so_and_ends_with_5(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["gpu", "--quick"]) == 5
    assert "no NVIDIA GPU" in capsys.readouterr().out
