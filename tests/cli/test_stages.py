"""The stages from the command line: plans, grids, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cli.world import Program, tree
from darkknowledge.pipeline.list import list_runs

SHORT = ["model.hidden=[16]", "training.steps=2", "training.threads=1", "logging.progress=false"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "train training.epochs=3",
            ["train hinton_mlp(hidden=[800, 800]) on digits", "3 epochs in batches of 256, sgd at 0.1", "1 × H(y, softmax(z))"],
        ),
        ("train out=new", ["into new"]),
        ("distill teacher=runs/teacher", ["from runs/teacher", "0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z))", "under runs/"]),
        ("distill teacher=[runs/teacher,timm:resnet18] teacher.average=logit", ["the logit average of runs/teacher, timm:resnet18"]),
        ("distill teacher=runs/teacher objective=hinton data.hide_labels=true", ["1 × 4² KL(softmax(v/4) ‖ softmax(z/4))"]),
        (
            "run experiment=null seeds=3",
            ["teacher: 1 × hinton_mlp", "students: 3 pairs of hinton_mlp(hidden=[800, 800]) on digits, alone and distilled"],
        ),
        ("run experiment=null teacher=runs/teacher", ["teacher: runs/teacher"]),
        ("evaluate run=[runs/teacher,runs/ants_bees]", ["evaluate runs/teacher/model, runs/ants_bees/model on the test split"]),
        ("evaluate run=runs/teacher weights=best split=validation", ["evaluate runs/teacher/best on the validation split"]),
        ("report runs=runs/teacher", ["the page of runs/teacher", "into runs/teacher/report.html"]),
        ("report runs=[runs/teacher,runs/ants_bees]", ["the page of runs/teacher, runs/ants_bees", "runs/report.html"]),
        ("list", ["list the runs under runs"]),
    ],
)
def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(line: str, words: list[str], dk: Program, world: Path) -> None:
    before = tree(world)
    done = dk(*line.split(), "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert [word for word in words if word not in done.out] == []
    assert tree(world) == before


def test_a_dry_run_resumes_nothing(dk: Program, world: Path, tmp_path: Path) -> None:
    line = ["train", *SHORT, f"out={tmp_path / 'run'}"]
    assert dk(*line).code == 0
    before = (tmp_path / "run" / "run.json").read_text()
    assert "going on in" in dk(*line, "resume=true", "--dry-run").out
    assert "exists" in dk(*line, "--dry-run").err
    assert (tmp_path / "run" / "run.json").read_text() == before


def test_a_grid_is_checked_before_its_first_job(dk: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = dk("train", "-m", *SHORT, "out=grid", "training.learning_rate=0.1,nan")
    assert done.code == 2
    assert "training.learning_rate=nan must be a finite number" in done.err
    assert not list(tmp_path.iterdir())


def test_a_grid_runs_every_job_in_a_folder_of_its_number(dk: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = dk("train", "--multirun", *SHORT, "out=grid", "training.seed=1,2", "training.optimizer=sgd,adamw")
    assert done.code == 0, done.err
    assert done.err.count("job: ") == 4
    found = [yaml.safe_load((Path("grid") / str(index) / "config.yaml").read_text())["training"] for index in range(4)]
    assert [(each["seed"], each["optimizer"]) for each in found] == [(1, "sgd"), (1, "adamw"), (2, "sgd"), (2, "adamw")]
    assert {run.status for run in list_runs("grid")} == {"finished"}


def test_a_grid_of_networks_may_name_libraries(dk: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # In bfloat16 torch now and then makes NaN of pictures as small as these on a processor.
    words = ["training.steps=1", "training.batch_size=2", "training.threads=1", "training.precision=fp32", "logging.progress=false"]
    words += ["data.fraction=0.01", "data.validation=10"]
    done = dk("train", "-m", *words, "out=grid", "model=timm:test_resnet.r160_in1k,hinton_mlp")
    assert done.code == 0, done.err
    assert [run.network for run in list_runs("grid")] == ["timm:test_resnet.r160_in1k", "hinton_mlp"]


def test_the_whole_way_from_the_command_line(dk: Program, world: Path, tmp_path: Path) -> None:
    def go(*words: str) -> str:
        done = dk(*words)
        assert done.code == 0, done.err
        return done.out

    runs = tmp_path / "runs"
    assert f"run: {runs}/teacher" in go("train", *SHORT[1:], "model=cifar_resnet", "model.depth=20", f"out={runs}/teacher")
    learned = go("distill", "teacher=[runs/teacher,runs/untrained]", *(word.replace("model", "student") for word in SHORT), f"out={runs}/student")
    assert f"run: {runs}/student" in learned
    assert "validation accuracy" in learned
    table = go("evaluate", f"run=[{runs}/student,{runs}/teacher]")
    for word in (
        " of 500",
        "NLL",
        "ECE",
        "agrees with teacher",
        "parameters",
        "MACs",
        "file",
        "latency, PyTorch, batch 256 (1 thread)",
        f"{runs}/student",
    ):
        assert word in table
    lines = go("list", f"root={runs}").splitlines()
    (student,) = (line for line in lines if f"{runs}/student" in line)
    for word in ("distill", "finished", "digits", "hinton_mlp", "%"):
        assert word in student


def test_the_comparison_is_printed_and_kept(dk: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = dk(
        "run",
        "experiment=null",
        "seeds=2",
        "out=whole",
        "student.hidden=[16]",
        "teacher.model.hidden=[32]",
        "training.steps=20",
        "teacher.training.steps=40",
        "training.threads=1",
        "logging.progress=false",
    )
    assert done.code == 0, done.err
    for word in (
        "teacher",
        "student alone",
        "student distilled",
        "mean ± sd over 2 seeds",
        "95 % interval",
        "share of the gap",
        "McNemar",
        "run: whole",
    ):
        assert word in done.out
    kept = json.loads(Path("whole/comparison.json").read_text())
    assert len(kept["alone"]) == len(kept["distilled"]) == 2
    assert done.out.splitlines()[-1] == "page: whole/report.html"
    assert "student distilled" in Path("whole/report.html").read_text(encoding="utf-8")
    assert f"{kept['teacher']['accuracy']['errors']} " in done.out


def test_nothing_is_listed_where_nothing_lies(dk: Program, tmp_path: Path) -> None:
    done = dk("list", f"root={tmp_path}")
    assert (done.code, done.out) == (0, f"no runs under {tmp_path}\n")
