"""The fault benches with very few cases, and each with something broken that it must find."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.__main__ import main
from benchmarks._measuring import Run
from benchmarks.faults import costs, report, resume, world
from benchmarks.faults.benches import BENCHES
from benchmarks.faults.children import KILLED, Child
from benchmarks.faults.disk import Limit, small_disk
from benchmarks.faults.flips import Flipping
from benchmarks.faults.flips_world import Artefact, Makings
from benchmarks.faults.full import full_while_training
from benchmarks.faults.kills_recording import Recordings
from benchmarks.faults.kills_training import Reference, Trainings
from benchmarks.faults.resume import Photos, stop_everywhere
from benchmarks.faults.starts import together, two_on_one_folder
from benchmarks.faults.verdicts import faults_of
from benchmarks.faults.world import World

from darkknowledge import model
from darkknowledge.training.learner import Learner


class Chosen(random.Random):
    """Moments that are not left to chance."""

    def __init__(self, aim: str, seconds: float) -> None:
        super().__init__(0)
        self.aim, self.seconds = aim, seconds

    def choice(self, aims: Any) -> Any:
        return self.aim

    def uniform(self, low: float, high: float) -> float:
        return self.seconds


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    """A training of five steps, a recording of three files, and one thread, because a forked child can't use its parent's."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for values, name, value in (
            (world.TRAINING, "epochs", 1),
            (world.TRAINING, "batch_size", 256),
            (world.RECORDING, "views", 1),
            (resume.RECIPE, "epochs", 1),
            (resume.RECIPE, "batch_size", 16),
        ):
            patch.setitem(values, name, value)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, _small: None) -> World:
    return World.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def undisturbed(place: World) -> Reference:
    return Reference.of(place, place.folder / "undisturbed")


def faults(bench: str, found: dict[str, Any]) -> list[str]:
    return faults_of(bench, {"part": found})


def break_the_rename(monkeypatch: pytest.MonkeyPatch, name: str, flag: Path) -> None:
    """Once, a file of this name appears without its end, as where it is copied from another file system, and the process dies over it."""
    renamed = Path.replace

    def copied(self: Path, target: Path) -> Path:
        if target.name != name or flag.exists():
            return renamed(self, target)
        flag.touch()
        target.write_bytes(self.read_bytes()[:-20])
        os.kill(os.getpid(), signal.SIGKILL)
        return target

    monkeypatch.setattr(Path, "replace", copied)


def test_trainings_that_are_killed_go_on(place: World, undisturbed: Reference) -> None:
    found = Trainings(place, random.Random(0), reference=undisturbed).kill(2).as_json()
    assert found["kills"] == 2
    assert found["starts judged"] >= 2
    assert faults("kills", found) == []


def test_a_run_that_is_written_in_place_is_unreadable(place: World, undisturbed: Reference, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trainings = Trainings(place, Chosen("saving", 30.0), reference=undisturbed)
    break_the_rename(monkeypatch, "run.json", tmp_path / "flag")
    found = trainings.kill(1).as_json()
    assert "run.json" in found["unreadable"][0]
    assert "part: 1 unreadable" in faults("kills", found)


def test_states_that_are_said_to_be_saved_and_are_not_are_lost(place: World, undisturbed: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings, saved = Trainings(place, Chosen("end", 0.0), reference=undisturbed), Learner.save
    monkeypatch.setattr(Learner, "save", lambda self: saved(self) if self.step < 3 else None)
    found = trainings.kill(1).as_json()
    assert found["saves back"] == {"4": 1}  # the states of steps 3, 4 and 5, and that of the epoch
    assert "part: 1 lost states" in faults("kills", found)


def test_what_killed_writers_leave_is_counted(place: World, undisturbed: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings, saved = Trainings(place, random.Random(0), reference=undisturbed), Learner.save

    def leaving(self: Learner) -> None:
        saved(self)
        assert self.checkpoint is not None
        (self.checkpoint / ".state.pt.tmp-1-00000000").touch()

    monkeypatch.setattr(Learner, "save", leaving)
    trainings.judge(trainings.once(None))
    assert trainings.seen.as_json()["leftovers"] == ["checkpoint/.state.pt.tmp-1-00000000"]


def test_recordings_that_are_killed_go_on(place: World) -> None:
    found = Recordings(place, random.Random(0)).kill(1).as_json()
    assert found["kills"] == found["recordings"] == 1
    assert faults("kills", found) == []


def test_a_set_that_is_written_in_place_is_unreadable(place: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recordings = Recordings(place, Chosen("", 30.0))
    break_the_rename(monkeypatch, "00001-of-00003.json", tmp_path / "flag")
    found = recordings.kill(1).as_json()
    assert found["unreadable"]
    assert found["phases"] == {"in the middle of a file": 1}


def test_on_a_disk_that_fills_up_a_training_exits_with_5_and_goes_on_later(place: World) -> None:
    found = full_while_training(place, 1, Chosen("", 0.5))
    assert found["exit codes"]["after room was made"] == {"0": 1}
    assert found["unreadable"] == found["not as undisturbed"] == []
    assert found["lost states"] == 0


def test_where_nothing_can_be_mounted_a_limit_on_files_stands_in_for_the_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.faults.disk.MEGABYTE", "no size")
    with small_disk(tmp_path / "disk") as disk:
        assert isinstance(disk, Limit)
        child = Child(lambda tell: signal.pause())
        disk.fill(child, 1000)
        assert resource.prlimit(child.pid, resource.RLIMIT_FSIZE)[0] == 1000
        assert child.kill() == KILLED


def test_every_flip_in_a_network_is_found_and_none_in_a_file_that_nobody_checks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "network"
    model.save(model.build("hinton_mlp", num_classes=2, input_shape=(1, 2, 2), mean=(0.5,), std=(0.5,), hidden=(2,)), folder)
    (folder / "notes.txt").write_text("read and never checked")
    (folder / "more.txt").write_text("never read")

    def read(path: Path) -> object:
        return (path / "notes.txt").read_bytes()

    flipping = Flipping([Artefact("network", folder, {"load": lambda path: str(model.load(path).spec), "read": read})], tmp_path / "scratch")
    found = flipping.flip(60, random.Random(0))
    assert {name.removeprefix("network: "): each["used"] for name, each in found.items()} == {
        **dict.fromkeys(("config.json", "manifest.json", "model.safetensors", "notes.txt"), True),
        "more.txt": False,
    }
    checked = [found[f"network: {name}"] for name in ("config.json", "manifest.json", "model.safetensors")]
    assert all(each["found"] == {"load: IntegrityError": each["flips"]} for each in checked)
    notes = found["network: notes.txt"]
    assert notes["unfound"] == notes["silently wrong"] == notes["flips"] >= 8
    told = faults_of("flips", found)
    assert told == [f"network: notes.txt: {notes['flips']} {what}" for what in ("not found", "uses that came to something else")]


def test_what_bits_are_flipped_in_can_be_made_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Makings, "compare", lambda self, out: out.mkdir())  # dk run takes seconds
    made = {artefact.name: artefact for artefact in Makings(tmp_path / "made").make()}
    assert {"model/model.safetensors", "run.json", "answers-test.safetensors"} <= made["finished run"].kinds().keys()
    assert {"manifest.json", "shards/*-of-*.arrow"} <= made["transfer set"].kinds().keys()
    assert "plan.json" in made["unfinished set"].kinds()
    (newest,) = made["stopped run"].kinds()["checkpoint/state-*-*-*.pt"]
    (before,) = made["stopped run without its newest state"].kinds()["checkpoint/state-*-*-*.pt"]
    assert newest > before
    resumed, _ = made["stopped run"].uses["resume"](made["stopped run"].folder)  # type: ignore[misc]
    assert resumed == made["finished run"].uses["resume"](made["finished run"].folder)


def test_a_run_killed_in_the_middle_ends_as_the_undisturbed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(resume.SIGNALS, "SIGTERM")
    found = dict(stop_everywhere(Photos.make(tmp_path, workers=(0,)), [3]))
    assert found == {"SIGKILL, 0 workers": {"cases": 1, "identical": 1, "refused as busy at first": 0, "others": []}}


def test_dropout_that_depends_on_where_a_run_was_stopped_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("loop", "learner"):
        monkeypatch.setattr(f"darkknowledge.training.{module}.seed_step", lambda *which: None)
    monkeypatch.delitem(resume.SIGNALS, "SIGKILL")
    found = dict(stop_everywhere(Photos.make(tmp_path, workers=(0,)), [3]))
    assert found["SIGTERM, 0 workers"]["others"] == ["step 3: another state and other files"]
    assert len(faults_of("resume", found)) == 1


def test_starts_have_folders_of_their_own_and_a_second_one_is_refused(place: World, undisturbed: Reference) -> None:
    assert faults("starts", together(place, 2)) == []
    assert faults("starts", two_on_one_folder(place, 1, random.Random(0), reference=undisturbed)) == []


def test_starts_in_folders_of_one_name_are_seen(place: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkknowledge.runs.folder.secrets.token_hex", lambda size: "00000000")
    monkeypatch.setattr("darkknowledge.runs.folder.time.strftime", lambda shape: "now")
    found = together(place, 2)
    assert found["folders"] == 1
    assert "part: 1 folders of 2 starts" in faults("starts", found)


def test_costs_are_compared(tmp_path: Path) -> None:
    size, saving = costs.saving(tmp_path, 8, repeats=1)
    checking = costs.verifying(tmp_path, pictures=256, repeats=1)
    assert size.endswith(" MB")
    assert set(saving.ratios()["torch.save"]) >= {"a saved training state"}
    assert set(checking.ratios()["load and first epoch"]) == {"transfer set", "network", "training state"}


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line, with records and a page of its own."""
    (tmp_path / "README.md").write_text(f"before\n{report.BEGIN}\nstale\n{report.END}\nafter\n")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    return lambda *words: main(["faults", *words, "--results", str(tmp_path)])


def test_the_command_line_writes_a_record_and_the_page(
    records: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def bench(run: Run, asked: Namespace, folder: Path) -> None:
        run.add("at once", {"starts": asked.starts, "folders": made, "lie there": 2, "with their own configuration": 2, "finished": 2})

    monkeypatch.setitem(BENCHES, "starts", bench)
    made = 2
    assert records("starts", "--starts", "2") == 0
    record = json.loads((tmp_path / "starts.json").read_text())
    assert record["results"]["asked"] == {"seed": 0, "starts": 2, "pairs": 20}
    assert record["environment"]["packages"]["torch"]
    assert records("report") == 0
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "stale" not in page
    assert "| at once | folders | 2 |" in page
    assert "Nothing was found that must not be." in page

    made = 1
    assert records("starts", "--starts", "2") == 1
    assert "at once: 1 folders of 2 starts" in capsys.readouterr().out


def test_the_page_of_this_project_is_the_one_of_its_records() -> None:
    text = report.README.read_text(encoding="utf-8")
    assert text.split(report.BEGIN)[1].split(report.END)[0].strip() == report.page_of(report.README.parent / "results").strip()
