"""``train.py``: the three commands, on a tiny CIFAR-10 made here."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from darkknowledge.cli.main import guarded
from darkknowledge.runs.folder import open_run

SCRIPT = Path(__file__).parents[1] / "train.py"
TINY = [
    "model.teacher_depth=14",
    "model.student_depth=8",
    "training.steps=2",
    "training.batch_size=20",
    "training.threads=1",
    "logging.progress=false",
]
QUIET = [*TINY, "logging.wandb=false"]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def go(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The script in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Done:
        capsys.readouterr()
        return Done(guarded(lambda: script.main(words)), *capsys.readouterr())

    return run


def write_cifar10(root: Path, *, brightness: int = 0) -> None:
    """A binary archive of a hundred training and twenty test pictures: dark aeroplanes and light cars."""
    random = np.random.default_rng(0)
    root.mkdir(exist_ok=True)
    with tarfile.open(root / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name in [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]:
            labels = np.arange(20) % 2
            pixels = 60 + 120 * labels[:, None] + random.integers(0, 40, (20, 3072)) + brightness
            content = np.concatenate([labels[:, None], pixels], axis=1).astype(np.uint8).tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def config(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((path / "config.yaml").read_text())
    return found


def run_of(done: Done) -> Path:
    """The run folder that a finished command names."""
    assert done.code == 0, done.err
    (line,) = (line for line in done.out.splitlines() if line.startswith("run: "))
    return Path(line.removeprefix("run: "))


HINT = "put the file cifar-10-binary.tar.gz (MD5 c32a1d4ab5d03f1284b67883e8d87530) into {folder}/data yourself"


def test_without_a_net_the_first_command_says_which_file_to_put_where(tmp_path: Path) -> None:
    offline = {**os.environ, "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": "", "NO_PROXY": ""}
    words = [sys.executable, str(SCRIPT), "model.name=teacher", "data.download=True"]
    done = subprocess.run(words, cwd=tmp_path, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert HINT.format(folder=tmp_path) in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("run.json"))


def test_without_a_net_the_second_command_says_so_too(go: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    done = go("model.name=distill", "data.download=True")
    assert (done.code, HINT.format(folder=tmp_path) in done.err) == (3, True), done.err


def test_without_the_package_it_says_how_it_is_run(tmp_path: Path) -> None:
    words = [sys.executable, "-I", "-S", str(SCRIPT), "model.name=teacher", "data.download=True"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr == "error: this Python has no module 'darkknowledge'\n  fix: uv run python train.py model.name=teacher data.download=True\n"


def test_teacher_then_distill_then_student(go: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nowhere")
    write_cifar10(Path("data"))
    done = go("model.name=teacher", "data.download=True", *TINY)
    teacher = run_of(done)
    assert "augmentation crop_flip" in done.err
    assert "Weights & Biases: logged offline; upload with: wandb sync" in done.err
    wandb.teardown()  # as at the end of a process: its writer is waited for
    assert list(teacher.glob("wandb/offline-run-*/run-*.wandb"))
    found = config(teacher)
    recipe = {"epochs": 100, "optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "cosine"}
    assert {key: found["training"][key] for key in recipe} == recipe
    assert (found["model"]["name"], found["model"]["depth"]) == ("cifar_resnet", "14")

    done = go("model.name=distill", "data.download=True", *QUIET)
    assert f"teacher: {teacher}, finished " in done.out
    assert "objective: 0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z))" in done.err
    student = run_of(done)
    found = config(student)
    assert (found["student"]["depth"], found["teacher"]["source"]) == ("8", [str(teacher)])

    alone = run_of(go("model.name=student", "data.download=True", *QUIET))
    assert config(alone)["model"]["depth"] == "8"
    assert {json.loads((run / "run.json").read_text())["kind"] for run in (teacher, alone)} == {"train"}
    # The student alone is a finished training on the same data too, and no teacher.
    assert f"teacher: {teacher}, finished " in go("model.name=distill", *QUIET).out


def test_the_recipe_is_the_usual_one_unless_told_otherwise(script: ModuleType) -> None:
    settings = script.validate(script.Settings, script.nested([*script.DEFAULTS, "model.name=teacher"]))
    assert (settings.model.teacher_depth, settings.model.student_depth, settings.data.name) == (50, 18, "cifar10")
    assert (settings.training.batch_size, settings.training.epochs, settings.logging.wandb) == (128, 100, True)
    assert (settings.objective.temperature, settings.objective.alpha) == (4.0, 0.9)
    words = ["model.name=distill", "training.batch_size=64", "objective.temperature=2", "logging.wandb=false", "data.root='my data'"]
    settings = script.validate(script.Settings, script.nested([*script.DEFAULTS, *words]))
    assert (settings.training.batch_size, settings.training.weight_decay, settings.objective.temperature) == (64, 5e-4, 2.0)
    assert (settings.objective.alpha, settings.logging.wandb, settings.data.root) == (0.9, False, Path("my data"))


def test_the_newest_finished_teacher_of_the_same_data_is_taken(go: Callable[..., Done]) -> None:
    write_cifar10(Path("data"))
    write_cifar10(Path("other"), brightness=1)
    done = go("model.name=distill", "data.root=data", *QUIET)
    assert done.code == 2
    assert "no finished run under runs/ has trained a ResNet-14 on this data (cifar10)" in done.err
    assert "train the teacher first: python train.py model.name=teacher data.name=cifar10 data.root=data" in done.err
    assert not Path("runs").exists()

    first = run_of(go("model.name=teacher", "out=runs/z-first", *QUIET))
    copies = {name: Path("runs", name) for name in ("a-second", "unfinished", "other-data", "other-depth", "damaged")}
    for path in copies.values():
        shutil.copytree(first, path)
    late = "2031-01-01T00:00:00+0000"
    open_run(first).note(ended="2029-01-01T00:00:00+0000")
    open_run(copies["a-second"]).note(ended="2030-01-01T00:00:00+0000")
    open_run(copies["other-data"]).note(ended=late, data_fingerprint="0" * 64)
    open_run(copies["unfinished"]).note(ended=late, status="failed")
    (copies["damaged"] / "run.json").write_text("{")
    depth = copies["other-depth"] / "config.yaml"
    depth.write_text(depth.read_text().replace("'14'", "'20'"))
    open_run(copies["other-depth"]).note(ended=late)

    done = go("model.name=distill", *QUIET)
    assert "teacher: runs/a-second, finished 2030-01-01T00:00:00+0000, the newest of 2 on this data" in done.out
    assert config(run_of(done))["teacher"]["source"] == ["runs/a-second"]
    assert go("model.name=distill", "data.root=other", *QUIET).code == 2
    named = go("model.name=distill", "model.teacher=runs/z-first", *QUIET)
    assert config(run_of(named))["teacher"]["source"] == ["runs/z-first"]


def test_a_run_that_was_stopped_goes_on(go: Callable[..., Done]) -> None:
    write_cifar10(Path("data"))
    words = ["model.name=student", "out=runs/student", *QUIET]
    assert go(*words).code == 0
    assert go(*words).code == 2
    again = go(*words, "resume=true")
    assert again.code == 0
    assert "is already finished" in again.err


def test_a_student_goes_on_with_its_own_teacher_and_not_with_one_that_was_trained_since(go: Callable[..., Done]) -> None:
    write_cifar10(Path("data"))
    run_of(go("model.name=teacher", "out=runs/first", *QUIET))
    words = ["model.name=distill", "out=runs/student", *QUIET]
    assert "teacher: runs/first" in go(*words).out
    run_of(go("model.name=teacher", "out=runs/second", "training.seed=1", *QUIET))
    open_run("runs/student").note(status="preempted")
    again = go(*words, "resume=true")
    assert (again.code, "runs/second" in again.out) == (0, False), again.err
    assert config(Path("runs/student"))["teacher"]["source"] == ["runs/first"]


def test_the_way_out_that_a_message_names_is_a_word_of_the_script(go: Callable[..., Done]) -> None:
    write_cifar10(Path("data"))
    words = ["model.name=student", "out=runs/student", *QUIET]
    assert go(*words).code == 0
    open_run("runs/student").note(status="failed")
    other = [*words, "resume=true", "training.learning_rate=0.05"]
    refused = go(*other)
    assert (refused.code, "go on otherwise with resume_changes=[training.learning_rate]" in refused.err) == (2, True), refused.err
    assert go(*other, "resume_changes=[training.learning_rate]").code == 0
    assert go(*words, "resume_changes=[training.learning_rate]").code == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"ended": 5},
        {"ended": None},
        {"ended": "yesterday"},
        {"ended": "9" * 9},
        {"data_fingerprint": 3},
        {"changes": [{"settings": {"model": [0, 3]}}]},
    ],
)
def test_a_strange_run_is_nobodys_teacher(changed: dict[str, Any], go: Callable[..., Done]) -> None:
    write_cifar10(Path("data"))
    first = run_of(go("model.name=teacher", "out=runs/first", *QUIET))
    shutil.copytree(first, "runs/strange")
    open_run("runs/strange").note(**changed)
    done = go("model.name=distill", *QUIET)
    assert f"teacher: {first}, finished " in done.out, done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["model.name=techer"], 2, "model.name='techer' must be 'teacher', 'distill' or 'student'"),
        (["model.nam=teacher"], 2, "Did you mean 'name'?"),
        (["data.root=data"], 2, "model is missing"),
        (["model.name=teacher", "training.epoch=3"], 2, "Did you mean 'epochs'?"),
        (["model.name=teacher", "trainin.epochs=3"], 2, "unknown key 'trainin'. Did you mean 'training'?"),
        (["model.name=teacher", "training.epochs=0"], 2, "training.epochs=0 must be greater than or equal to 1"),
        (["model.name=teacher", "data.download=Tru"], 2, "data.download='Tru' must be a valid boolean"),
        (["model.name=teacher", "objective.temperature=nan"], 2, "objective.temperature=nan must be a finite number"),
        (["model.name=teacher", "data.root=1,2"], 2, "'data.root=1,2' is no single value"),
        (["model.name=teacher", "wandb"], 2, "'wandb' cannot be read"),
        (["model.name=teacher", "data.name=cifar"], 2, "Did you mean 'cifar10'?"),
        (["model.name=teacher"], 3, "the data folder data does not exist"),
        (["model.name=teacher", "data.name=parquet", "data.root=nowhere"], 3, "the data folder nowhere does not exist"),
    ],
)
def test_a_mistake_is_explained(words: list[str], code: int, said: str, go: Callable[..., Done], tmp_path: Path) -> None:
    done = go(*words)
    assert (done.code, said in done.err) == (code, True), done.err
    assert not list(tmp_path.iterdir())


def test_help_explains_the_commands_and_keys(go: Callable[..., Done]) -> None:
    done = go("--help")
    assert done.code == 0
    for word in ("model.name=", "data.download=True", "model.teacher", "logging.wandb", "objective.temperature", "training.epochs"):
        assert word in done.out
    assert go().code == 2
