"""What a user may get wrong, in one table: each mistake has its exit code, a message that helps, no traceback, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

import darkknowledge
from cli.world import Program, tree
from darkknowledge.cli.main import main
from darkknowledge.errors import DarkKnowledgeError, IntegrityError, UsageError
from darkknowledge.runs.folder import RunFolder, lock, open_run

USAGE, DATA, INTEGRITY, RESOURCE, BUSY = 2, 3, 4, 5, 7
ABSENT_DEVICE = "cuda" if sys.platform == "darwin" else "mps"

TEACHER = "distill teacher=runs/teacher"
RECORD = "record teacher=runs/teacher out=new"
MISTAKES: list[tuple[str, int, list[str]]] = [
    # Words that are no words of ours
    ("", USAGE, ["no stage is named", "distill", "dk --help"]),
    ("tran", USAGE, ["no stage 'tran'", "Did you mean 'train'?"]),
    ("train --hlep", USAGE, ["unknown flag --hlep", "Did you mean '--help'?"]),
    ("train hinton_mlp", USAGE, ["'hinton_mlp' is no key=value", "for example: dk train model="]),
    ("train --cfg", USAGE, ["--cfg is followed by the word job, not by nothing"]),
    ("train --cfg hydra", USAGE, ["not by hydra", "--cfg job"]),
    ("train out='a", USAGE, ['"out=\'a" cannot be read', "quote a value"]),
    ("train data.classes=[1,2", USAGE, ["'data.classes=[1,2' cannot be read"]),
    ("train training.epochs==3", USAGE, ["'training.epochs==3' cannot be read"]),
    ("train training.seed=1,2", USAGE, ["names several values", "-m runs a grid", "training.seed=[1,2]"]),
    ("train -m training.seed=interval(0,1)", USAGE, ["is no grid", "training.seed=1,2,3"]),
    ("train -m training.seed=range(0,9,0)", USAGE, ["is no grid", "must not be zero"]),
    ("train -m training.seed=range(0)", USAGE, ["a grid of no jobs", "name some values"]),
    ("train -m training.seed=range(0,1e300)", USAGE, ["a grid of more than 10,000 jobs", "name fewer values"]),
    # Unknown keys
    ("run objective.temperatur=2", USAGE, ["unknown key 'objective.temperatur'", "Did you mean 'temperature'?"]),
    ("train modle=hinton_mlp", USAGE, ["unknown key 'modle'", "Did you mean 'model'?"]),
    ("train model.hiden=[3]", USAGE, ["unknown key 'model.hiden'", "Did you mean 'hidden'?"]),
    ("train training.learning_rat=1", USAGE, ["Did you mean 'learning_rate'?"]),
    ("train logging.wnadb=true", USAGE, ["Did you mean 'wandb'?"]),
    ("train +data.fractoin=0.5", USAGE, ["unknown key 'data.fractoin'", "Did you mean 'fraction'?"]),
    ("train data.root.x=1", USAGE, ["unknown key 'data.root.x'"]),
    ("train model.hidden.width=3", USAGE, ["model.hidden.width=3 cannot be applied"]),
    ("train hydra.run.dir=x", USAGE, ["unknown key 'hydra.run.dir'", "out=…"]),
    ("distill teecher=runs/teacher", USAGE, ["unknown key 'teecher'", "Did you mean 'teacher'?"]),
    ("evaluate spilt=test", USAGE, ["unknown key 'spilt'", "Did you mean 'split'?"]),
    ("list rot=runs", USAGE, ["unknown key 'rot'", "Did you mean 'root'?"]),
    # Unknown choices
    ("train model=hinton_mpl", USAGE, ["no model 'hinton_mpl'", "Did you mean 'hinton_mlp'?", "timm:NAME"]),
    ("train model.initial_std=0", USAGE, ["initial_std=0 is not above 0 and finite", "null for none"]),
    ("train model=cifar_resnet model.depth=21", USAGE, ["no residual network of depth 21", "20", "8x4"]),
    ("train model=timm:resnet_x", USAGE, ["timm has no network 'resnet_x'", "resnet"]),
    ("train model=nowhere.networks:Mine", USAGE, ["nowhere.networks cannot be imported"]),
    ("train data=mnits", USAGE, ["no data 'mnits'", "Did you mean 'mnist'?"]),
    ("train data=3", USAGE, ["data=3 cannot be applied"]),
    ("train data=nowhere.pictures:mine", USAGE, ["'nowhere.pictures:mine' cannot be found"]),
    ("train data.augment=jiter", USAGE, ["'jiter'", "Did you mean 'jitter'?"]),
    ("train data.classes=[12]", USAGE, ["no class 12"]),
    (f"{TEACHER} objective=hintn", USAGE, ["no objective 'hintn'", "Did you mean 'hinton'?"]),
    (f"{TEACHER} objective=mixture objective.terms={{soft:{{name:hintn}}}}", USAGE, ["no objective 'hintn'", "Did you mean 'hinton'?"]),
    ("run experiment=mnst", USAGE, ["no experiment 'mnst'", "Did you mean 'mnist'?"]),
    ("train training.optimizer=adam", USAGE, ["training.optimizer='adam' must be 'sgd' or 'adamw'"]),
    (f"{TEACHER} teacher.average=mean", USAGE, ["teacher.average='mean' must be 'probability' or 'logit'"]),
    ("evaluate run=runs/teacher split=train", USAGE, ["split='train' must be 'test' or 'validation'"]),
    # Values out of range
    (f"{TEACHER} objective.temperature=0", USAGE, ["objective.temperature=0 must be greater than 0"]),
    (f"{TEACHER} objective.temperature=-1", USAGE, ["objective.temperature=-1 must be greater than 0"]),
    (f"{TEACHER} objective.temperature=nan", USAGE, ["objective.temperature=nan must be a finite number"]),
    (f"{TEACHER} objective.temperature=inf", USAGE, ["objective.temperature=inf must be a finite number"]),
    (f"{TEACHER} objective.temperature=abc", USAGE, ["objective.temperature='abc' must be a valid number"]),
    (f"{TEACHER} objective.alpha=1.5", USAGE, ["objective.alpha=1.5 must be less than or equal to 1"]),
    (f"{TEACHER} objective.hard_weight=1 objective.soft_weight=1", USAGE, ["alpha is given together with", "alpha=null and both weights"]),
    ("train training.learning_rate=nan", USAGE, ["training.learning_rate=nan must be a finite number"]),
    ("train training.epochs=0", USAGE, ["training.epochs=0 must be greater than or equal to 1"]),
    ("train data.download=Tru", USAGE, ["data.download='Tru' must be a valid boolean"]),
    ("train data.fraction=2", USAGE, ["data.fraction=2 must be less than or equal to 1"]),
    ("train data.validation=1.5", USAGE, ["data.validation=1.5 must be"]),
    ("train data.validation=5000", USAGE, ["would take all of the 1297"]),
    ("train model.hidden=abc", USAGE, ["hidden='abc' is not of type tuple[int, ...]"]),
    ("train training.validate_every=0", USAGE, ["training.validate_every=0 must be greater than or equal to 1"]),
    ("train training.validate_every=null", USAGE, ["training.validate_every"]),
    ("run seeds=0", USAGE, ["seeds=0 must be greater than or equal to 1"]),
    (f"train training.device={ABSENT_DEVICE}", RESOURCE, [f"no {ABSENT_DEVICE} device", "training.device=auto"]),
    # Data
    ("train data=mnist data.root=nowhere", DATA, ["the data folder nowhere does not exist", "data.download=true"]),
    ("train data=mnist data.root=file", DATA, ["is a file and not a folder"]),
    ("train data=mnist data.root=ants_bees", DATA, ["train-images-idx3-ubyte was not found", "data.download=true"]),
    ("train data=image_folder data.root=empty_class", DATA, ["class folder 'bees' holds no pictures", "empty_class/train/bees"]),
    ("train data=image_folder data.root=corrupt", DATA, ["cannot be decoded", "corrupt/train/bees/2.png"]),
    ("train data=parquet data.root=label_7", DATA, ["label 7 of row 3", "outside 0 … 1", "label_7/train-00000-of-00001.parquet"]),
    ("train data=parquet data.root=ants_bees data.image_column=img", DATA, ["no column 'img'", "data.image_column=…"]),
    # Teachers
    ("distill", USAGE, ["no teacher is named", "teacher=runs/…"]),
    ("distill teacher=runs/teecher", USAGE, ["runs/teecher is no run folder", "Did you mean 'runs/teacher'?"]),
    ("distill teacher=hinton_mlp", USAGE, ["hinton_mlp is no run folder", "runs/teacher"]),
    ("distill teacher=runs/unfinished", USAGE, ["runs/unfinished is not finished (status: created)", "resume=true"]),
    ("distill teacher=runs/altered", INTEGRITY, ["model.safetensors is not the file that was written", "SHA-256"]),
    ("distill teacher=runs/untrained", INTEGRITY, ["the teacher's accuracy is", "guessing 10 classes gives 10.0%", "class order"]),
    ("distill teacher=runs/ants_bees", INTEGRITY, ["teacher has 2 classes, student has 10"]),
    ("distill teacher=runs/ants_bees data=parquet data.root=bees_ants", INTEGRITY, ["in another order", "class 0 is 'ants' for teacher and 'bees'"]),
    ("distill teacher=[runs/teacher,runs/ants_bees]", INTEGRITY, ["member 1 has 2 classes, member 0 has 10"]),
    (f"{TEACHER} teacher.weights=[1,2]", USAGE, ["weights [1.0, 2.0] for 1 members"]),
    (f"{TEACHER} data.hide_labels=true", USAGE, ["needs labels, and no training example shows any", "objective.alpha=1"]),
    (f"{TEACHER} objective=hard_label", USAGE, ["has no use for a teacher", "use train"]),
    # Several students
    (f"{TEACHER} students=[]", USAGE, ["students=[] names none"]),
    (f"{TEACHER} students=3", USAGE, ["students=3 must be"]),
    (f"{TEACHER} students=[{{temprature:2}}]", USAGE, ["unknown key 'students.0.temprature'", "Did you mean 'temperature'?"]),
    (f"{TEACHER} students=[{{temperature:2}},{{temperature:nan}}]", USAGE, ["students.1.temperature=nan must be a finite number"]),
    (f"{TEACHER} students=[{{name:a}},{{name:a}}]", USAGE, ["two students are called 'a'"]),
    (f"{TEACHER} students=[{{}},{{training:{{epochs:0}}}}]", USAGE, ["students.1: training.epochs=0 must be greater than or equal to 1"]),
    (f"{TEACHER} studnets=[{{temperature:2}}]", USAGE, ["unknown key 'studnets'", "Did you mean 'students'?"]),
    (f"{TEACHER} students=[{{temperature:2}}] out=runs/teacher", USAGE, ["the run folder runs/teacher exists"]),
    (f"{TEACHER} students=[{{temperature:2}}] resume=true", USAGE, ["does not say which run"]),
    ("distill students=[{temperature:2}]", USAGE, ["no teacher is named"]),
    ("distill teacher=runs/untrained students=[{temperature:2},{temperature:4}]", INTEGRITY, ["the teacher's accuracy is"]),
    (f"{TEACHER} -m objective.temperature=1,nan", USAGE, ["objective.temperature=nan must be a finite number"]),
    ("train objective=hinton", USAGE, ["needs a teacher, and there is none", "use distill"]),
    ("train data.hide_labels=true", USAGE, ["objective=hard_label needs labels"]),
    # The whole way: what would be met hours later is met at once
    ("run teacher=runs/nowhere", USAGE, ["runs/nowhere is no run folder"]),
    ("run teacher=runs/ants_bees", INTEGRITY, ["teacher has 2 classes, student has 10"]),
    ("run teacher=runs/untrained", INTEGRITY, ["the teacher's accuracy is"]),
    ("run student=cifar_resnet student.depth=21", USAGE, ["no residual network of depth 21"]),
    ("run data.hide_labels=true", USAGE, ["objective=hard_label needs labels"]),
    ("run experiment=null objective=hard_label", USAGE, ["has no use for a teacher"]),
    # Checkpoints
    ("train model.checkpoint=nowhere.pth", DATA, ["no weights at nowhere.pth"]),
    ("train model.checkpoint=corrupt.pth", INTEGRITY, ["corrupt.pth is damaged"]),
    # Run folders
    ("train out=runs/teacher", USAGE, ["the run folder runs/teacher exists", "resume=true"]),
    ("run out=runs/teacher", USAGE, ["the run folder runs/teacher exists"]),
    ("train out=file/run", RESOURCE, ["cannot write file: File exists"]),
    ("train resume=true", USAGE, ["does not say which run", "out=…"]),
    ("train out=runs/teacher resume=true", USAGE, ["has model.hidden=[16], and now it is [800, 800]", "leave out model.hidden"]),
    (f"{TEACHER} out=runs/teacher resume=true", USAGE, ["was made by train, not by distill"]),
    ("evaluate", USAGE, ["run is missing", "give run=…"]),
    ("evaluate run=nowhere", USAGE, ["nowhere is no run folder", "runs/teacher"]),
    ("evaluate run=ants_bees", USAGE, ["ants_bees is no run folder"]),
    ("evaluate run=runs/unfinished", USAGE, ["is not finished"]),
    ("evaluate run=runs/ants_bees root=bees_ants", INTEGRITY, ["the data is not what runs/ants_bees was trained on", "root=…"]),
    ("evaluate run=runs/ants_bees root=nowhere", DATA, ["the data folder nowhere does not exist"]),
    # Recording
    ("record", USAGE, ["out is missing", "give out=…"]),
    ("record out=new", USAGE, ["no teacher is named", "teacher=runs/…"]),
    ("record teacher=runs/teecher out=new", USAGE, ["runs/teecher is no run folder", "Did you mean 'runs/teacher'?"]),
    ("record teacher=runs/altered out=new", INTEGRITY, ["model.safetensors is not the file that was written"]),
    ("record teacher=runs/untrained out=new", INTEGRITY, ["the teacher's accuracy is"]),
    ("record teacher=runs/ants_bees out=new", INTEGRITY, ["teacher has 2 classes"]),
    (f"{RECORD} veiws=3", USAGE, ["unknown key 'veiws'", "Did you mean 'views'?"]),
    (f"{RECORD} views=0", USAGE, ["views=0 must be greater than or equal to 1"]),
    (f"{RECORD} shard=5/4", USAGE, ["shard='5/4': a part is written i/n with i from 1 to n, such as 2/4"]),
    (f"{RECORD} shard=0/4", USAGE, ["a part is written i/n"]),
    (f"{RECORD} shard=2", USAGE, ["shard=2: a part is written i/n"]),
    (f"{RECORD} codec=uint9", USAGE, ["codec='uint9' must be 'float16', 'float32', 'uint8' or 'topk'"]),
    (f"{RECORD} top_k=3 codec=float16", USAGE, ["top_k and temperatures belong to codec=topk, and codec=float16 keeps every class"]),
    (f"{RECORD} top_k=11", USAGE, ["k=11 of 10 classes"]),
    (f"{RECORD} codec=topk temperatures=[4,2]", USAGE, ["temperatures (4.0, 2.0)", "ascending"]),
    (f"{RECORD} batch_size=0", USAGE, ["batch_size=0 must be greater than or equal to 1"]),
    (f"{RECORD} precision=fp16", USAGE, ["precision='fp16' must be 'fp32' or 'bf16'"]),
    (f"{RECORD} device={ABSENT_DEVICE}", RESOURCE, [f"no {ABSENT_DEVICE} device", "device=auto"]),
    (f"{RECORD} data=mnits", USAGE, ["no data 'mnits'", "Did you mean 'mnist'?"]),
    ("record teacher=runs/teacher out=ants_bees", USAGE, ["ants_bees holds something else than a transfer set", "never writes among other files"]),
    ("record teacher=runs/teacher out=file", USAGE, ["file is a file, not a folder"]),
    ("record teacher=runs/teacher out=file/set", RESOURCE, ["cannot write set: Not a directory"]),
    ("record teacher=runs/teacher out=sets/whole codec=float32", INTEGRITY, ["another codec: float16, wanted is float32", "out=…"]),
    ("record teacher=runs/teacher out=sets/half batch_size=8", INTEGRITY, ["another batch_size: 256, wanted is 8", "go on with the settings"]),
    ("record teacher=runs/teacher out=sets/half data.augment=jitter", INTEGRITY, ["another transform: plain, wanted is shift"]),
    # Transfer sets
    ("distill transfer=sets/nowhere", USAGE, ["there is no folder sets/nowhere", "manifest.json"]),
    ("distill transfer=file", USAGE, ["file is a file, not the folder of a transfer set"]),
    ("distill transfer=ants_bees", USAGE, ["there is no transfer set at ants_bees"]),
    ("distill transfer=sets/half", INTEGRITY, ["sets/half is not finished: 2 of 3 shards", "record it again with the same settings"]),
    ("distill transfer=sets/whole data.augment=jitter", INTEGRITY, ["another transform: plain, wanted is shift"]),
    ("distill transfer=sets/whole data=parquet data.root=ants_bees", INTEGRITY, ["another data", "sets/whole"]),
    ("distill transfer=sets/whole transfer.mode=live", USAGE, ["transfer: a recorded set is named, and mode=live asks the teacher"]),
    ("distill transfer=sets/whole transfer.codec=uint8", USAGE, ["transfer: a recorded set is named, and codec"]),
    (f"{TEACHER} transfer.least_mass=2", USAGE, ["transfer.least_mass=2 must be less than or equal to 1"]),
    (f"{TEACHER} transfer.mode=alive", USAGE, ["transfer.mode='alive' must be 'recorded' or 'live'"]),
    (f"{TEACHER} transfer.top_k=3 transfer.codec=float16", USAGE, ["transfer: top_k and temperatures belong to codec=topk"]),
    ("transfer", USAGE, ["action is missing"]),
    ("transfer show", USAGE, ["path is missing"]),
    ("transfer shwo sets/whole", USAGE, ["action='shwo' must be 'show' or 'export'"]),
    ("transfer show sets/nowhere", USAGE, ["there is no folder sets/nowhere"]),
    ("transfer show sets/half", INTEGRITY, ["not finished: 2 of 3 shards"]),
    ("transfer show sets/whole set.parquet", USAGE, ["export is followed by the set and the file to write, show by the set alone"]),
    ("transfer export sets/whole", USAGE, ["export is followed by the set and the file to write"]),
    ("transfer export sets/whole file", USAGE, ["file exists", "an export never replaces a file"]),
    ("transfer export sets/whole nowhere/set.parquet", RESOURCE, ["cannot write set.parquet: No such file or directory"]),
    ("verify", USAGE, ["path is missing"]),
    ("verify sets/nowhere", USAGE, ["there is no folder sets/nowhere"]),
    ("verify file", USAGE, ["file is a file"]),
    ("verify sets/half", INTEGRITY, ["not finished: 2 of 3 shards"]),
    ("verify sets/altered", INTEGRITY, ["1 files of sets/altered", "shards/00001-of-00003.arrow: has another SHA-256 than was written"]),
    ("verify runs/altered", INTEGRITY, ["model.safetensors is not the file that was written"]),
    ("verify sets/whole sets/half", USAGE, ["'sets/half' is no key=value", "for example: dk verify"]),
]


@pytest.mark.parametrize(("line", "code", "words"), MISTAKES, ids=[line or "nothing" for line, *_ in MISTAKES])
def test_a_mistake_is_explained_and_leaves_nothing(line: str, code: int, words: list[str], dk: Program, world: Path) -> None:
    before = tree(world)
    done = dk(*line.split())
    assert done.code == code, done.err
    assert "error: " in done.err
    assert "Traceback" not in done.err
    assert [word for word in words if word not in done.err] == []
    assert done.out == ""
    assert tree(world) == before


# The members of an ensemble are counted when they are loaded, which a dry run does not do.
DRY = [row for row in MISTAKES if row[0].startswith(("distill", "evaluate run")) and row[1] == USAGE and "weights=[1,2]" not in row[0]]


@pytest.mark.parametrize(("line", "code", "words"), DRY, ids=[line for line, *_ in DRY])
def test_a_dry_run_meets_what_needs_no_data(line: str, code: int, words: list[str], dk: Program, world: Path) -> None:
    done = dk(*line.split(), "--dry-run")
    assert (done.code, [word for word in words if word not in done.err]) == (code, [])


Case = namedtuple("Case", ["call", "error", "words"])
PYTHON = {
    "temperature 0": Case(lambda: darkknowledge.distill("runs/teacher", temperature=0), UsageError, "temperature=0 must be greater than 0"),
    "alpha 1.5": Case(lambda: darkknowledge.distill("runs/teacher", alpha=1.5), UsageError, "alpha=1.5 must be less than or equal to 1"),
    "no such teacher": Case(lambda: darkknowledge.distill("runs/teecher"), UsageError, "Did you mean 'runs/teacher'?"),
    "no teacher": Case(lambda: darkknowledge.distill([]), UsageError, "no teacher is named"),
    "unknown network": Case(lambda: darkknowledge.train("hinton_mpl"), UsageError, "Did you mean 'hinton_mlp'?"),
    "unknown option": Case(lambda: darkknowledge.train({"name": "hinton_mlp", "hiden": [3]}), UsageError, "Did you mean 'hidden'?"),
    "unknown data": Case(lambda: darkknowledge.train(data="mnits"), UsageError, "Did you mean 'mnist'?"),
    "unknown recipe": Case(lambda: darkknowledge.train(training={"epoch": 3}), UsageError, "unknown key 'training.epoch'. Did you mean 'epochs'?"),
    "unknown key of a section": Case(lambda: darkknowledge.run(teacher={"sorce": []}), UsageError, "Did you mean 'source'?"),
    "a network of other classes": Case(lambda: darkknowledge.distill("runs/ants_bees"), IntegrityError, "teacher has 2 classes"),
    "no run to evaluate": Case(lambda: darkknowledge.evaluate([]), UsageError, "name at least one run folder"),
    "the wrong kind of thing": Case(lambda: darkknowledge.train(data=3), UsageError, "data=3 must be a valid dictionary"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", PYTHON.values(), ids=PYTHON)
def test_python_calls_get_the_same_messages(case: Case, world: Path) -> None:
    before = tree(world)
    with pytest.raises(case.error) as caught:
        case.call()
    assert case.words in str(caught.value)
    assert tree(world) == before


def test_a_full_disk_is_found_before_training(dk: Program, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(world)
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    done = dk("train", "out=new")
    assert done.code == RESOURCE
    assert "not enough space for the run: 33.6 MB needed, 0.0 MB free" in done.err
    assert tree(world) == before


def test_a_small_file_system_is_too_small_before_training(full_disk: Path, dk: Program, world: Path) -> None:
    done = dk("train", f"out={full_disk}/new")
    assert done.code == RESOURCE
    assert "not enough space for the run" in done.err
    assert not list(full_disk.iterdir())


def test_a_disk_that_is_full_to_the_last_byte_takes_no_run(full_disk: Path, dk: Program, world: Path) -> None:
    with (full_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    done = dk("train", f"out={full_disk}/new")
    assert done.code == RESOURCE
    assert "cannot write .lock: No space left on device" in done.err
    assert [path.name for path in full_disk.iterdir()] == ["filler"]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, which may read and write everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that anyone may enter, with one part that nobody may read and one that nobody may write; the others above it are open to all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        (folder / "secret").mkdir(0o000)
        (folder / "runs").mkdir(0o555)
        monkeypatch.chdir(folder)
        yield folder
        for part in (folder, folder / "secret", folder / "runs"):
            part.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("train data=mnist data.root=secret", RESOURCE, "cannot write"),
        ("train out=runs/new", RESOURCE, "cannot write new: Permission denied"),
        ("run experiment=null out=runs/new", RESOURCE, "cannot write new: Permission denied"),
        ("train data=mnist data.root=secret out={open}/new", DATA, "secret cannot be read: Permission denied"),
        ("train data=image_folder data.root=secret/deep out={open}/new", DATA, "deep cannot be read: Permission denied"),
        ("evaluate run=secret/run", RESOURCE, "Permission denied\n  where: secret/run/run.json"),
        ("distill teacher=secret/run", RESOURCE, "Permission denied"),
        ("list root=secret", 0, "no runs under secret"),
    ],
)
def test_what_may_not_be_read_or_written_is_named(line: str, code: int, words: str, dk: Program, closed: Path) -> None:
    with tempfile.TemporaryDirectory() as other:
        Path(other).chmod(0o777)
        words_of_line = line.format(open=other).split()
        dk(*words_of_line, "--dry-run")  # imports what root alone may read here
        with as_nobody():
            done = dk(*words_of_line)
        assert done.code == code, done.err
        assert words in done.err + done.out
        assert not list(Path(other).iterdir())
    assert not list((closed / "runs").iterdir())


@pytest.mark.parametrize("place", ["runs/set", "runs/deep/set"])
def test_a_closed_folder_is_found_before_the_teacher_is_loaded(
    place: str, made: Path, dk: Program, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("the teacher was loaded")

    with tempfile.TemporaryDirectory() as other:
        Path(other).chmod(0o777)
        shutil.copytree(made / "runs" / "teacher", Path(other) / "teacher")
        words = ["record", f"teacher={other}/teacher", f"out={place}"]
        dk(*words, "--dry-run")
        monkeypatch.setattr("darkknowledge.pipeline.record.load_members", refuse)
        with as_nobody():
            done = dk(*words)
    assert done.code == RESOURCE, done.err
    assert "cannot write set: Permission denied" in done.err
    assert not list((closed / "runs").iterdir())


def test_a_run_that_another_process_holds_is_busy(dk: Program, world: Path, tmp_path: Path) -> None:
    words = ["train", "model.hidden=[16]", "training.steps=1", "training.threads=1", f"out={tmp_path / 'run'}"]
    assert dk(*words).code == 0
    run = open_run(tmp_path / "run")
    run.note(status="preempted")
    with lock(run.path):
        done = dk(*words, "resume=true")
    assert done.code == BUSY, done.err
    assert f'"pid": {os.getpid()}' in done.err
    assert run.record["status"] == "preempted"


def test_a_comparison_is_not_taken_for_a_network(dk: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunFolder.create(Path("whole"), kind="run", config={})
    run.note(status="finished")
    RunFolder.create(Path("whole/alone-0"), kind="train", config={})
    for line in ("distill teacher=whole", "evaluate run=whole"):
        done = dk(*line.split())
        assert (done.code, "whole holds several networks" in done.err, "whole/alone-0" in done.err) == (USAGE, True, True), done.err


def test_a_mistake_shows_its_traceback_on_demand(world: Path) -> None:
    with pytest.raises(DarkKnowledgeError):
        main(["distill", "--debug"])


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (PermissionError(13, "Permission denied", "/some/file"), RESOURCE, "Permission denied\n  where: /some/file"),
        (MemoryError(), RESOURCE, "the memory is not enough"),
    ],
)
def test_what_the_system_raises_is_told_in_our_words(
    error: BaseException, code: int, words: str, dk: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **named: object) -> int:
        raise error

    monkeypatch.setattr("darkknowledge.cli.stages.run_jobs", fail)
    done = dk("train")
    assert (done.code, words in done.err) == (code, True)


def test_a_fault_of_ours_keeps_its_traceback(dk: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("darkknowledge.cli.stages.run_jobs", fail)
    with pytest.raises(ZeroDivisionError):
        dk("train")


def test_real_processes_end_with_the_same_codes(world: Path) -> None:
    program = str(Path(sys.executable).with_name("dk"))
    for words, code, said in ((["run", "objective.temperatur=2"], USAGE, "Did you mean 'temperature'?"), (["lits"], USAGE, "Did you mean 'list'?")):
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr
