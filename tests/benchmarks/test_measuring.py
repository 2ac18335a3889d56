"""The numbers that benchmarks are reported in, on timings that are made up."""

from __future__ import annotations

import io
import json
import mmap
import os
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from benchmarks._measuring import (
    Comparison,
    Noise,
    Run,
    Seconds,
    compare,
    in_fresh_process,
    median_of,
    peak_of_tensors,
    ratio,
    rounds,
    timed,
    watched,
)
from rich.console import Console

MEGABYTE = 1_000_000


def test_the_interval_is_scipys_percentile_bootstrap_of_the_median() -> None:
    values = np.random.default_rng(1).lognormal(size=30)
    found = median_of(values.tolist())
    scipys = scipy.stats.bootstrap((values,), np.median, method="percentile", n_resamples=20_000, rng=2).confidence_interval
    assert found.median == pytest.approx(np.median(values), abs=1e-5)
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), rel=0.03)


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_round_does_not_move_it() -> None:
    busy = np.random.default_rng(0).uniform(1, 10, 30)
    ours = [Seconds(2 * factor, 3 * factor) for factor in busy]
    theirs = [Seconds(factor, factor) for factor in busy]
    found = ratio(ours, theirs)
    assert (found["processor"].median, found["processor"].low, found["processor"].high) == (2, 2, 2)
    assert found["wall"].median == 3


@pytest.mark.parametrize(
    ("reference", "reasons"),
    [
        ([Seconds(1.0, 1.0 + 0.001 * number) for number in range(30)], []),
        ([Seconds(1.0, 1.5)] * 30, ["it waited"]),
        ([Seconds(1.0 + 0.3 * (number % 2), 1.0 + 0.3 * (number % 2)) for number in range(30)], ["it was unsteady"]),
        ([Seconds(1.0 + 0.3 * (number % 2), 3.0) for number in range(30)], ["it waited", "it was unsteady"]),
        ([Seconds(1.0, 1.0)] * 29 + [Seconds(9.0, 90.0)], []),  # one bad moment is not a noisy machine
    ],
)
def test_a_noisy_machine_is_called_so_and_why(reference: list[Seconds], reasons: list[str]) -> None:
    noise = Noise.of(reference)
    assert [reason.partition(":")[0] for reason in noise.reasons] == reasons
    assert ("too noisy" in str(noise)) == bool(reasons)


def test_all_variants_run_once_a_round_in_changing_order() -> None:
    seen: list[str] = []
    rounds({name: (lambda name=name: seen.append(name)) for name in "abc"}, repeats=20, calls=dict.fromkeys("abc", 1))
    turns = ["".join(seen[start : start + 3]) for start in range(0, 60, 3)]
    assert {"".join(sorted(turn)) for turn in turns} == {"abc"}
    assert len(set(turns)) > 3


def test_sleep_takes_wall_time_and_no_processor_time() -> None:
    found = timed(lambda: time.sleep(0.02), calls=2)
    assert found.wall >= 0.02
    assert found.processor < found.wall / 2


def test_a_variant_may_time_itself() -> None:
    found = compare({"one": lambda: Seconds(1.0, 2.0), "two": lambda: Seconds(2.0, 8.0)}, to="one", repeats=3)
    assert (found.ratio("two", "one")["processor"].median, found.ratio("two", "one")["wall"].median) == (2, 4)
    assert dict(found.calls) == {"one": 1, "two": 1}


def test_what_is_missing_is_not_compared_with() -> None:
    assert compare({"one": lambda: None}, to=("one", "a peer"), repeats=1, least=1e-4).to == ("one",)


def test_the_peak_counts_what_is_held_at_once() -> None:
    size = 250_000  # numbers of float32, a megabyte

    def at_once() -> torch.Tensor:
        return torch.zeros(size) + torch.zeros(size)

    def in_turn() -> None:
        for _ in range(5):
            torch.zeros(size)

    assert peak_of_tensors(at_once) == pytest.approx(3 * MEGABYTE, rel=0.001)
    assert peak_of_tensors(in_turn) == pytest.approx(MEGABYTE, rel=0.001)


def test_the_peak_counts_the_gradient_and_what_the_forward_pass_keeps() -> None:
    inputs = torch.zeros(250_000, requires_grad=True)
    assert peak_of_tensors(lambda: torch.autograd.grad(inputs.exp().sum(), inputs)) >= 2 * MEGABYTE


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="private memory is read from Linux's /proc")
def test_private_memory_is_what_was_written_to() -> None:
    # Not from malloc, which may have been told to keep what is freed.
    with watched() as grown, mmap.mmap(-1, 64 * MEGABYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        for start in range(0, len(held), mmap.PAGESIZE):
            held[start] = 1
        time.sleep(0.05)
        held.close()
    assert grown.peak == pytest.approx(64 * MEGABYTE, rel=0.1)
    assert grown.end < 8 * MEGABYTE


def test_a_fresh_process_gives_plain_data_or_says_what_went_wrong() -> None:
    assert in_fresh_process("os:getpid") != os.getpid()
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        in_fresh_process("os:listdir", path="/nowhere")


def test_the_record_holds_seconds_ratios_versions_and_no_path_of_the_machine(tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    run = Run("some", repeats=3, out=tmp_path / "results.json", console=console)
    assert run.peer("no_such_module", package="no-such-package") is None
    run.add("part", Comparison({"a": [Seconds(1, 1)] * 3, "b": [Seconds(2, 3)] * 3}, ("a",), Noise(2.0, 0.0), {"a": 1, "b": 1}, {"a": 5, "b": 10}))
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["results"]["part"]["ratio to"]["a"]["b"]["wall"] == {"median": 3, "low": 3, "high": 3}
    assert found["results"]["part"]["noise"] == {"waited": 2.0, "spread": 0.0, "quiet": False}
    assert found["environment"]["packages"]["torch"] == version("torch")
    assert str(Path.home()) not in json.dumps(found)
    assert str(Path.cwd()) not in json.dumps(found)
    said = console.export_text()
    assert "SKIPPED: no-such-package" in said
    assert "uv run --group bench python -m benchmarks some" in said
    assert "too noisy" in said
    assert "3.00 (3.00 to 3.00)" in said


def test_rounds_are_those_asked_for_else_few_in_a_quick_run_else_the_usual() -> None:
    assert [Run("some", repeats=7, quick=True).rounds(50), Run("some", quick=True).rounds(50), Run("some").rounds(50), Run("some").repeats] == [
        7,
        3,
        50,
        30,
    ]
