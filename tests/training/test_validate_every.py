"""Which epochs are looked at, and what depends on it."""

from __future__ import annotations

import csv
import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from darkknowledge.errors import DivergedError, Interrupted
from darkknowledge.training import Fitted, Recipe, Student, fit, fit_together
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.progress import ProgressBar, ProgressLines
from darkknowledge.training.shared_progress import make_shared_progress
from training.small import CrossEntropy, Notes, mlp, points, same, weights

RECIPE = Recipe(epochs=7, batch_size=10, learning_rate=0.5, log_every=2, checkpoint_every=1e9, device="cpu", precision="fp32")
TRAIN, VALIDATION = points(20, noise=0.2), points(15, seed=1)


def run(every: int, *watchers: Any, state: Path | None = None, **update: Any) -> tuple[Fitted, Any]:
    network = mlp(dropout=0.2)
    recipe = RECIPE.model_copy(update={"validate_every": every, **update})
    fitted = fit(network, CrossEntropy(), TRAIN, recipe, validation=VALIDATION, watchers=watchers, checkpoint=state)
    return fitted, weights(network)


def looked_at(notes: Notes) -> dict[int, float]:
    """Epoch to negative log-likelihood."""
    return {int(record.epoch): record.values["validation_nll"] for record in notes.of("epoch") if "validation_nll" in record.values}


@pytest.mark.parametrize(
    ("every", "update", "epochs"),
    [
        (1, {}, [1, 2, 3, 4, 5, 6, 7]),
        (2, {}, [2, 4, 6, 7]),
        (3, {}, [3, 6, 7]),
        (7, {}, [7]),
        (100, {}, [7]),
        (1, {"epochs": 1}, [1]),
        (2, {"epochs": 4}, [2, 4]),
        (2, {"steps": 6}, [2, 3]),
        (2, {"steps": 20, "epochs": 30}, [2, 4, 6, 8, 10]),
    ],
)
def test_every_nth_epoch_and_the_last_are_looked_at(every: int, update: dict[str, int], epochs: list[int]) -> None:
    notes = Notes()
    fitted, _ = run(every, notes, **update)
    assert list(looked_at(notes)) == epochs
    assert len(notes.of("epoch")) == update.get("steps", 2 * update.get("epochs", 7)) / 2
    assert fitted.last is not None
    assert fitted.last.nll == looked_at(notes)[epochs[-1]]
    assert fitted.best_epoch in epochs


def test_an_epoch_that_the_cap_on_steps_cuts_short_is_the_last() -> None:
    notes = Notes()
    run(2, notes, steps=5)
    assert [record.epoch for record in notes.of("epoch") if "validation_nll" in record.values] == [2.0, 2.5]


def test_the_looks_change_nothing_that_is_learned_or_seen_at_them() -> None:
    often, seldom = Notes(), Notes()
    (first, one), (second, other) = run(1, often), run(3, seldom)
    assert same(one, other)
    assert looked_at(seldom) == {epoch: looked_at(often)[epoch] for epoch in (3, 6, 7)}
    assert first.last == second.last
    assert [record.values["loss"] for record in often.records] == [record.values["loss"] for record in seldom.records]


def test_the_best_weights_are_of_an_epoch_that_was_looked_at() -> None:
    """With a rate at which it gets worse at once, the first look is the best one."""
    notes = Notes()
    fitted, _ = run(3, notes, learning_rate=300.0, warmup=0.0, schedule="constant")
    scores = {int(record.epoch): record.values for record in notes.of("epoch") if "validation_nll" in record.values}
    expected = max(scores, key=lambda epoch: (scores[epoch]["validation_accuracy"], -scores[epoch]["validation_nll"]))
    assert fitted.best_epoch == expected
    until = fit_until(expected, learning_rate=300.0, warmup=0.0, schedule="constant")
    assert same(fitted.best_weights, until)


def fit_until(epoch: int, **update: Any) -> Any:
    """The weights after some epochs of the same recipe; its rate must be constant."""
    return run(1, **update, epochs=epoch)[1]


def test_the_files_hold_a_validation_value_where_there_was_a_look(tmp_path: Path) -> None:
    run(3, MetricFiles(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs if "validation_accuracy" in line] == [3, 6, 7]
    assert not any("validation_accuracy" in line for line in lines if line["kind"] == "step")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "metrics.csv").read_text())))
    assert list(rows[0]) == ["step", "epoch", "loss", "hard", "learning_rate", "validation_accuracy", "validation_nll"]
    assert [(row["validation_accuracy"] != "", row["validation_nll"] != "") for row in rows] == [(number in (3, 6, 7),) * 2 for number in range(1, 8)]
    assert all(row["loss"] for row in rows)


@pytest.mark.parametrize("step", [1, 4, 5, 6, 11, 12, 14])
def test_a_run_that_was_stopped_looks_at_the_same_epochs(step: int, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("whole", "stopped")]
    for folder in folders:
        folder.mkdir()
    whole, final = run(3, MetricFiles(folders[0]))

    def stop(done: int) -> None:
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(3, MetricFiles(folders[1]), Notes(stop), state=tmp_path / "state")
    resumed, resumed_weights = run(3, MetricFiles(folders[1]), state=tmp_path / "state")
    assert same(resumed_weights, final)
    assert (resumed.last, resumed.best, resumed.best_epoch) == (whole.last, whole.best, whole.best_epoch)
    assert same(resumed.best_weights, whole.best_weights)
    for name in ("metrics.jsonl", "metrics.csv"):
        assert (folders[1] / name).read_text() == (folders[0] / name).read_text()


def test_those_who_train_together_are_looked_at_together() -> None:
    passes: list[int | None] = []
    notes = [Notes(), Notes()]
    recipe = RECIPE.model_copy(update={"validate_every": 3})
    group = [Student(mlp(seed=seed), CrossEntropy(), recipe, str(seed), [each]) for seed, each in enumerate(notes)]
    fit_together(group, TRAIN, validation=points(15, seed=1, asked=passes.append))
    assert passes == [None] * 3
    assert [list(looked_at(each)) for each in notes] == [[3, 6, 7]] * 2


@pytest.mark.parametrize("every", [1, 3])
def test_a_run_that_diverges_before_a_look_says_so(every: int) -> None:
    with pytest.raises(DivergedError, match="no longer finite"):
        run(every, learning_rate=1e30)


def screen(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=100, height=20, force_terminal=terminal, legacy_windows=False, _environ={})


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_lines_and_bar_show_the_newest_look() -> None:
    lines, bar, notes = screen(terminal=False), screen(terminal=True), Notes()
    fitted, _ = run(3, ProgressLines(lines), ProgressBar(bar), notes)
    newest = {epoch: max((look for look in (3, 6, 7) if look <= epoch), default=None) for epoch in range(1, 8)}
    accuracies = {int(record.epoch): record.values.get("validation_accuracy") for record in notes.of("epoch")}
    for epoch, line in enumerate(shown(lines).splitlines(), start=1):
        look = newest[epoch]
        assert f"epoch {epoch}/7, hard " in line
        assert ("validation" in line) == (look is not None)
        assert look is None or f"validation {accuracies[look]:.2%}" in line
    assert fitted.last is not None
    assert f"validation {fitted.last.accuracy:.2%}" in shown(bar)


def test_the_line_of_several_shows_the_newest_look_of_all() -> None:
    console = screen(terminal=False)
    watchers = make_shared_progress(console, 2)
    recipe = RECIPE.model_copy(update={"validate_every": 3})
    fit_together(
        [Student(mlp(seed=seed), CrossEntropy(), recipe, str(seed), [watcher]) for seed, watcher in enumerate(watchers)], TRAIN, validation=VALIDATION
    )
    lines = shown(console).splitlines()
    assert ["validation" in line for line in lines] == [False, False, True, True, True, True, True]
    assert all("loss" in line for line in lines[:2])
