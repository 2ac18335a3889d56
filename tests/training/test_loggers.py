from __future__ import annotations

import csv
import re
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from darkknowledge.errors import ResourceError
from darkknowledge.training import Recipe, fit
from darkknowledge.training.metric_files import MetricFiles
from darkknowledge.training.tensorboard_logger import TensorboardLogger
from darkknowledge.training.wandb_logger import WandbLogger
from darkknowledge.training.watching import Plan, Record, Watcher
from training.small import CrossEntropy, mlp, points
from training.wandb_file import entries

RECIPE = Recipe(epochs=3, batch_size=8, log_every=2, device="cpu", precision="fp32")


def train(*watchers: Watcher) -> None:
    fit(mlp(), CrossEntropy(), points(20), RECIPE, validation=points(9), watchers=watchers)


def table(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_and_the_table_hold_the_same_numbers(tmp_path: Path) -> None:
    train(MetricFiles(tmp_path), TensorboardLogger(tmp_path))
    found, rows = scalars(tmp_path), table(tmp_path)
    assert len(rows) == 3
    for name in ("loss", "hard", "learning_rate", "validation_accuracy", "validation_nll"):
        assert [step for step, _ in found[f"epoch/{name}"]] == [row["step"] for row in rows]
        assert [value for _, value in found[f"epoch/{name}"]] == pytest.approx([row[name] for row in rows], rel=1e-6)
    assert [step for step, _ in found["step/loss"]] == [2, 4, 6, 8]


def test_tensorboard_takes_back_what_lies_past_the_state_of_a_resume(tmp_path: Path) -> None:
    for done, steps in ((0, [1, 2, 3, 4]), (2, [3, 4, 5])):
        logger = TensorboardLogger(tmp_path)
        logger.begin(Plan("run", steps=5, epochs=1, done=done))
        for step in steps:
            logger.record(Record("step", step, step / 5, {"loss": float(step + done)}))
        logger.end()
    assert scalars(tmp_path)["step/loss"] == [(1, 1.0), (2, 2.0), (3, 5.0), (4, 6.0), (5, 7.0)]


def test_a_missing_tensorboard_is_named_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ResourceError, match="darkknowledge\\[tensorboard\\]"):
        TensorboardLogger(tmp_path)


class FakeRun:
    """What ``wandb.init`` would return."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.arguments, self.offline = arguments, arguments["mode"] == "offline"
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = False
        date = len(list((arguments["dir"] / "wandb").glob("*run-*")))
        prefix = "offline-run" if self.offline else "run"
        (arguments["dir"] / "wandb" / f"{prefix}-2026112{date}_010203-{arguments['id']}").mkdir(parents=True)

    def log(self, values: dict[str, float], *, step: int) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[FakeRun]:
    """The runs that are begun at W&B, by somebody who has no key."""
    import wandb

    begun: list[FakeRun] = []

    def init(**arguments: Any) -> FakeRun:
        begun.append(FakeRun(arguments))
        return begun[-1]

    monkeypatch.setattr(wandb, "init", init)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return begun


def logger(folder: Path, lines: list[str]) -> WandbLogger:
    return WandbLogger(folder, project="project", config={"training": {"epochs": 3}}, report=lines.append)


def test_wandb_and_the_table_hold_the_same_numbers(tmp_path: Path, runs: list[FakeRun]) -> None:
    train(MetricFiles(tmp_path), logger(tmp_path, []))
    (run,) = runs
    epochs = [(step, values) for step, values in run.logged if "epoch/loss" in values]
    for (step, values), row in zip(epochs, table(tmp_path), strict=True):
        assert step == row.pop("step")
        assert values["epoch"] == row.pop("epoch")
        assert {name.removeprefix("epoch/"): value for name, value in values.items() if name != "epoch"} == row
    assert [step for step, values in run.logged if "step/loss" in values] == [2, 4, 6, 8]
    assert run.finished
    assert run.arguments["config"] == {"training": {"epochs": 3}}


def test_without_a_key_the_line_that_uploads_all_parts_of_the_run_is_printed(tmp_path: Path, runs: list[FakeRun]) -> None:
    lines: list[str] = []
    for done in (0, 3):
        watcher = logger(tmp_path, lines)
        watcher.begin(Plan("run", steps=9, epochs=3, done=done))
        watcher.end()
    first, second = (str(tmp_path / "wandb" / f"offline-run-2026112{part}_010203-{runs[0].arguments['id']}") for part in (0, 1))
    assert lines == [f"Weights & Biases: logged offline; upload with: wandb sync {parts}" for parts in (first, f"{first} {second}")]


def test_a_resumed_run_is_the_same_run_and_another_folder_of_that_name_another(tmp_path: Path, runs: list[FakeRun]) -> None:
    for folder in (tmp_path / "a" / "teacher", tmp_path / "a" / "teacher", tmp_path / "b" / "teacher"):
        folder.mkdir(parents=True, exist_ok=True)
        watcher = logger(folder, [])
        watcher.begin(Plan("run", steps=9, epochs=3))
        watcher.end()
    first, resumed, other = (run.arguments for run in runs)
    assert first["id"] == resumed["id"] != other["id"]
    assert (first["resume"], resumed["resume"], other["resume"]) == (None, "allow", None)
    assert first["name"] == other["name"] == "teacher"


@pytest.mark.parametrize(
    ("environment", "netrc", "mode"),
    [
        ({}, "", "offline"),
        ({"WANDB_API_KEY": "k"}, "", None),
        ({}, "machine SERVICE login user password k\n", None),
        ({}, "machine example.org login user password k\n", "offline"),
        ({"WANDB_BASE_URL": "https://example.org"}, "machine example.org login user password k\n", None),
        ({"WANDB_MODE": "disabled"}, "", None),
        ({"WANDB_MODE": "offline"}, "", None),
        ({}, "broken {", "offline"),
    ],
)
def test_a_key_means_online_and_a_mode_that_is_set_is_obeyed(
    tmp_path: Path, runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], netrc: str, mode: str | None
) -> None:
    import wandb

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "netrc").write_text(netrc.replace("SERVICE", str(urlsplit(wandb.Settings().base_url).hostname)))
    lines: list[str] = []
    watcher = logger(tmp_path, lines)
    watcher.begin(Plan("run", steps=9, epochs=3))
    watcher.end()
    assert runs[0].arguments["mode"] == mode
    assert len(lines) == (mode == "offline")


def refusing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A service that raises unless the run is kept offline."""
    import wandb

    begin = wandb.init

    def init(**arguments: Any) -> Any:
        if arguments["mode"] != "offline":
            raise error
        return begin(**arguments)

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_API_KEY", "k")


def test_a_service_that_cannot_be_reached_gets_the_run_later(tmp_path: Path, runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    refusing(monkeypatch, wandb.errors.CommError("timed out\nConsider increasing"))
    lines: list[str] = []
    train(logger(tmp_path, lines))
    (run,) = runs
    assert run.offline
    assert [step for step, values in run.logged if "step/loss" in values] == [2, 4, 6, 8]
    assert lines[0] == "warning: Weights & Biases cannot be reached, and the run is kept in its folder: timed out"
    assert lines[1].startswith("Weights & Biases: logged offline; upload with: wandb sync ")


def test_a_service_that_refuses_the_key_is_named(tmp_path: Path, runs: list[FakeRun], monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    refusing(monkeypatch, wandb.errors.AuthenticationError("the key is unknown"))
    with pytest.raises(ResourceError, match="the key is unknown") as refused:
        logger(tmp_path, []).begin(Plan("run", steps=9, epochs=3))
    assert "WANDB_MODE=offline" in refused.value.fix


@pytest.mark.filterwarnings("default")
def test_wandb_itself_keeps_the_numbers_offline_and_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library, its file read back; nobody has a key, and a look-up of any foreign host fails."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record as Entry

    resolve = socket.getaddrinfo

    def local_only(host: Any, *arguments: Any, **named: Any) -> Any:
        assert host in (None, "", "localhost", "127.0.0.1"), f"a look-up of {host}"
        return resolve(host, *arguments, **named)

    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(socket, "getaddrinfo", local_only)
    folder = tmp_path / "mine"
    folder.mkdir()
    lines: list[str] = []
    train(MetricFiles(folder), logger(folder, lines))
    wandb.teardown()  # as at the end of a process: its writer is waited for

    (line,) = lines
    directory = Path(re.fullmatch(r"Weights & Biases: logged offline; upload with: wandb sync (\S+)", line)[1])  # type: ignore[index]
    (path,) = directory.glob("*.wandb")
    rows: dict[int, dict[str, float]] = {}
    for data in entries(path):
        entry = Entry()
        entry.ParseFromString(data)
        items = {(item.key or ".".join(item.nested_key)): float(item.value_json) for item in entry.history.item if item.value_json[:1] not in '{"'}
        if "epoch/loss" in items:
            rows[int(items["_step"])] = items
    for row in table(folder):
        kept = rows.pop(int(row.pop("step")))
        assert kept["epoch"] == row.pop("epoch")
        assert {name: kept[f"epoch/{name}"] for name in row} == row
    assert rows == {}
