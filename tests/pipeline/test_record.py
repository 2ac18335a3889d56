"""Going on with a recording: where anything is another, nothing is written and the first difference is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import darkknowledge
from darkknowledge import Dataset, Frozen, TransferSet
from darkknowledge.cli.main import main
from darkknowledge.data import from_tensors, load
from darkknowledge.errors import IntegrityError
from darkknowledge.model import load as load_model

JITTER = {"name": "digits", "augment": "jitter"}
STATES = ("unfinished", "finished")
Put = Callable[[str], Path]


def record(teacher: Any, out: Path, data: Any = JITTER, **options: Any) -> TransferSet | None:
    settings = {"views": 2, "batch_size": 100, "shard_rows": 800, "device": "cpu", "progress": False}
    return darkknowledge.record(teacher, data, out, **(settings | options))


@pytest.fixture(scope="module")
def recorded(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recording, once with half of its shards and once with all."""
    folder = tmp_path_factory.mktemp("recorded")
    assert record(runs / "teacher-0", folder / "unfinished", shard="1/2") is None
    assert record(runs / "teacher-0", folder / "finished") is not None
    return folder


@pytest.fixture
def put(recorded: Path, tmp_path: Path) -> Put:
    """``put(state)``: a copy of one of them."""
    return lambda state: shutil.copytree(recorded / state, tmp_path / "set")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(field: str, teacher: Any, out: Path, data: Any = JITTER, **options: Any) -> str:
    """What is said against going on; ``out`` must be left as it was."""
    before = content(out)
    with pytest.raises(IntegrityError, match=f"the transfer set has another {field}") as caught:
        record(teacher, out, data, **options)
    assert content(out) == before
    return str(caught.value)


def made_of(
    data: Dataset, *, images: torch.Tensor | None = None, labels: torch.Tensor | None = None, names: tuple[str, ...] | None = None
) -> Dataset:
    """The same data set handed over as tensors, with something changed."""
    train: Any = data.train
    images, labels = (train.images if images is None else images), (train.labels if labels is None else labels)
    return from_tensors(images, labels, class_names=names or data.class_names, validation=0, augment="jitter")


@pytest.mark.parametrize("state", STATES)
def test_the_same_settings_go_on_or_find_the_set_finished(state: str, put: Put, recorded: Path, runs: Path) -> None:
    out = put(state)
    assert record(runs / "teacher-0", out) is not None
    assert content(out) == content(recorded / "finished")


@pytest.mark.parametrize("state", STATES)
def test_another_teacher_is_refused(state: str, put: Put, runs: Path) -> None:
    out = put(state)
    message = refused(r"teacher\[0\]", runs / "teacher-1", out)
    assert all(darkknowledge.model.fingerprint(load_model(runs / name / "model"))[:60] in message for name in ("teacher-0", "teacher-1"))


@pytest.mark.parametrize("state", STATES)
def test_one_changed_weight_makes_another_teacher(state: str, put: Put, runs: Path) -> None:
    network = load_model(runs / "teacher-0" / "model")
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 1e-6
    refused(r"teacher\[0\]", network, put(state))


@pytest.mark.parametrize("state", STATES)
def test_an_ensemble_in_the_place_of_its_member_is_refused(state: str, put: Put, runs: Path) -> None:
    refused("teacher", [runs / "teacher-0", runs / "teacher-1"], put(state))


@pytest.mark.parametrize("part", ["1/2", None])
@pytest.mark.parametrize(("change", "field"), [({"average": "logit"}, "average"), ({"weights": [0.75, 0.25]}, r"weights\[0\]")])
def test_an_ensemble_averaged_otherwise_is_refused(part: str | None, change: dict[str, Any], field: str, runs: Path, tmp_path: Path) -> None:
    both = [runs / "teacher-0", runs / "teacher-1"]
    record(both, tmp_path / "set", shard=part)
    refused(field, both, tmp_path / "set", **change)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", [{"augment": "crop_flip"}, {"augment_seed": 1}, {"mix": "mixup"}, {"mix": "cutmix"}])
def test_another_transform_is_refused(state: str, change: dict[str, Any], put: Put, runs: Path) -> None:
    message = refused("transform", runs / "teacher-0", put(state), JITTER | change)
    assert "shift/1(2) seed=0" in message


def test_another_share_of_the_mixing_is_another_transform(runs: Path, tmp_path: Path) -> None:
    mixed = JITTER | {"mix": "mixup"}
    record(runs / "teacher-0", tmp_path / "set", mixed)
    refused("transform", runs / "teacher-0", tmp_path / "set", mixed | {"mix_alpha": 0.5})


@pytest.mark.parametrize("state", STATES)
def test_another_order_of_the_classes_is_refused(state: str, put: Put, runs: Path) -> None:
    data = load("digits")
    names = (*data.class_names[:-2], data.class_names[-1], data.class_names[-2])
    teacher = Frozen(load_model(runs / "teacher-0" / "model"), names)
    message = refused(r"class_names\[8\]", teacher, put(state), made_of(data, names=names))
    assert "8, wanted is 9" in message
    assert "the wrong class" in message


@pytest.mark.parametrize("state", STATES)
def test_a_teacher_of_another_order_of_classes_than_the_data_is_refused(state: str, put: Put, runs: Path, tmp_path: Path) -> None:
    data, out = load("digits"), put(state)
    other = made_of(data, names=(data.class_names[1], data.class_names[0], *data.class_names[2:]))
    before = content(out)
    for folder in (out, tmp_path / "new"):
        with pytest.raises(IntegrityError, match="the same classes in another order"):
            record(runs / "teacher-0", folder, other)
    assert content(out) == before
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", ["a pixel", "a label", "the order"])
def test_other_data_are_refused(state: str, change: str, put: Put, runs: Path) -> None:
    data = load("digits")
    train: Any = data.train
    images, labels = train.images.clone(), train.labels.clone()
    if change == "a pixel":
        images[3, 0, 4, 4] ^= 1
    elif change == "a label":
        labels[3] = (labels[3] + 1) % 10
    else:
        images, labels = images.flip(0), labels.flip(0)
    refused("data", runs / "teacher-0", put(state), made_of(data, images=images, labels=labels))


@pytest.mark.parametrize("change", ["a pixel", "a label"])
def test_one_changed_example_of_ones_own_tensors_is_refused(change: str, runs: Path, tmp_path: Path) -> None:
    data = load("digits")
    train: Any = data.train
    record(runs / "teacher-0", tmp_path / "set", made_of(data), shard="1/2")
    images, labels = train.images.clone(), train.labels.clone()
    if change == "a pixel":
        images[3, 0, 4, 4] ^= 1
    else:
        labels[3] = (labels[3] + 1) % 10
    refused("data", runs / "teacher-0", tmp_path / "set", made_of(data, images=images, labels=labels))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", [{"codec": "float32"}, {"codec": "uint8"}, {"codec": "topk", "top_k": 5}])
def test_another_codec_is_refused(state: str, change: dict[str, Any], put: Put, runs: Path) -> None:
    message = refused("codec", runs / "teacher-0", put(state), **change)
    assert f"float16, wanted is {change['codec']}" in message


@pytest.mark.parametrize("state", STATES)
def test_another_number_of_views_is_refused(state: str, put: Put, runs: Path) -> None:
    assert "2, wanted is 3" in refused("views", runs / "teacher-0", put(state), views=3)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("change", [{"fraction": 0.5}, {"without": ["3"]}])
def test_other_rows_are_refused(state: str, change: dict[str, Any], put: Put, runs: Path) -> None:
    refused("rows", runs / "teacher-0", put(state), JITTER | change)


@pytest.mark.parametrize("state", STATES)
def test_as_many_rows_of_other_examples_are_refused(state: str, put: Put, runs: Path) -> None:
    message = refused("keys", runs / "teacher-0", put(state), JITTER | {"split_seed": 1})
    assert "other examples or views" in message


@pytest.mark.parametrize(
    ("change", "field"), [({"batch_size": 50}, "batch_size"), ({"precision": "bf16"}, "precision"), ({"shard_rows": 400}, "shard_rows")]
)
def test_what_changes_the_bytes_is_refused_while_shards_are_missing_and_welcome_afterwards(
    change: dict[str, Any], field: str, put: Put, recorded: Path, runs: Path, tmp_path: Path
) -> None:
    out = put("unfinished")
    refused(field, runs / "teacher-0", out, **change)
    finished = shutil.copytree(recorded / "finished", tmp_path / "finished")
    assert record(runs / "teacher-0", finished, **change) is not None
    assert content(finished) == content(recorded / "finished")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["teacher=TEACHERS/teacher-1"], "teacher"),
        (["data.augment=crop_flip"], "transform"),
        (["views=4"], "views"),
        (["codec=uint8"], "codec"),
    ],
)
def test_the_command_says_what_differs_and_what_to_do_and_exits_4(
    state: str, words: list[str], field: str, put: Put, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = put(state)
    before = content(out)
    usual = ["teacher=TEACHERS/teacher-0", "data.augment=jitter", "views=2", "batch_size=100", "shard_rows=800", "progress=false", f"out={out}"]
    line = [word.replace("TEACHERS", str(runs)) for word in usual if word.split("=")[0] not in {other.split("=")[0] for other in words}]
    assert main(["record", *line, *(word.replace("TEACHERS", str(runs)) for word in words)]) == 4
    error = capsys.readouterr().err
    assert f"error: the transfer set has another {field}" in error
    assert str(out) in error
    assert "fix: " in error
    assert "Traceback" not in error
    assert content(out) == before


def test_a_teacher_near_chance_is_refused_also_where_there_is_no_validation(tmp_path: Path) -> None:
    data = darkknowledge.data.load("digits", validation=0)
    novice = darkknowledge.model.build("hinton_mlp", num_classes=10, input_shape=(1, 8, 8), mean=[0.3], std=[0.4], hidden=[4])
    with pytest.raises(IntegrityError, match=r"accuracy is \d+\.\d% on 1,?297 labelled examples; guessing 10 classes"):
        darkknowledge.record(novice, data, tmp_path / "set", progress=False)
    assert not (tmp_path / "set").exists()
    assert darkknowledge.record(novice, data, tmp_path / "set", check=False, progress=False) is not None
