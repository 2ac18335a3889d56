import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from darkknowledge.errors import DataError, IntegrityError
from darkknowledge.model import Network, build, save

DATA = {"input_shape": (1, 8, 8), "mean": [0.3], "std": [0.4]}


def resnet(num_classes: int = 10, **arguments: object) -> Network:
    return build("cifar_resnet", num_classes=num_classes, **DATA, **arguments)


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """Of a network whose batch statistics are not the initial ones."""
    network = resnet()
    network(torch.rand(4, 1, 8, 8))
    return network.body.state_dict()


def written(weights: object, path: Path) -> Path:
    torch.save(weights, path)
    return path


def equal(network: Network, weights: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in network.body.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "backbone.", "student.", "module._orig_mod.net."])
def test_a_prefix_common_to_all_names_is_stripped(weights: dict[str, Tensor], prefix: str, tmp_path: Path) -> None:
    renamed = {f"{prefix}{name}": value for name, value in weights.items()}
    assert equal(resnet(checkpoint=written(renamed, tmp_path / "w.pth")), weights)


@pytest.mark.parametrize("nest", ["state_dict", "model", "model_state", "weights of the net"])
def test_nested_state_dicts_are_found(weights: dict[str, Tensor], nest: str, tmp_path: Path) -> None:
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    whole = {"epoch": 3, nest: weights, "optimizer": optimizer}
    assert equal(resnet(checkpoint=written(whole, tmp_path / "w.pth.tar")), weights)


def test_a_best_accuracy_kept_as_tensor_beside_the_state_dict_does_no_harm(weights: dict[str, Tensor], tmp_path: Path) -> None:
    assert equal(resnet(checkpoint=written({"best": torch.tensor(0.9), "state_dict": weights}, tmp_path / "w.pt")), weights)


def test_the_old_format_of_pytorch_is_read(weights: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(weights, tmp_path / "w.bin", _use_new_zipfile_serialization=False)
    assert equal(resnet(checkpoint=tmp_path / "w.bin"), weights)


def test_safetensors_and_a_saved_network_are_read(weights: dict[str, Tensor], tmp_path: Path) -> None:
    save_file({f"module.{name}": value for name, value in weights.items()}, tmp_path / "w.safetensors")
    network = resnet(checkpoint=tmp_path / "w.safetensors")
    assert equal(network, weights)
    save(network, tmp_path / "saved")
    assert equal(resnet(checkpoint=str(tmp_path / "saved")), weights)


def test_entries_outside_the_prefix_are_left_aside_and_said(weights: dict[str, Tensor], tmp_path: Path) -> None:
    whole = {f"model.{name}": value for name, value in weights.items()} | {"criterion.weight": torch.ones(10)}
    lines: list[str] = []
    assert equal(resnet(checkpoint=written(whole, tmp_path / "w.ckpt"), report=lines.append), weights)
    assert len(lines) == 1
    assert "1 entries outside 'model.'" in lines[0]


def test_the_network_with_fewest_names_left_over_is_taken_from_a_file_with_two(weights: dict[str, Tensor], tmp_path: Path) -> None:
    larger = resnet(depth=32).body.state_dict()
    both = {f"student.{name}": value for name, value in weights.items()} | {f"teacher.{name}": value for name, value in larger.items()}
    path = written(both, tmp_path / "w.ckpt")
    assert equal(resnet(checkpoint=path, report=lambda line: None), weights)
    assert equal(resnet(depth=32, checkpoint=path, report=lambda line: None), larger)


def test_two_networks_that_fit_equally_well_are_refused(weights: dict[str, Tensor], tmp_path: Path) -> None:
    both = {f"{who}.{name}": value for name, value in weights.items() for who in ("student", "teacher")}
    with pytest.raises(IntegrityError, match=r"student\., teacher\."):
        resnet(checkpoint=written(both, tmp_path / "w.ckpt"))


def test_a_network_is_found_beside_another_in_a_file_that_keeps_both(weights: dict[str, Tensor], tmp_path: Path) -> None:
    whole = {"epoch": 3, "student": weights, "teacher": resnet(depth=32).body.state_dict()}
    assert equal(resnet(checkpoint=written(whole, tmp_path / "w.pth"), report=lambda line: None), weights)


def test_counters_that_old_files_lack_are_not_missed(weights: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    network = resnet(checkpoint=written(old, tmp_path / "w.pth"))
    assert torch.equal(network.body.state_dict()["bn1.running_mean"], weights["bn1.running_mean"])


def test_missing_unexpected_and_misshapen_weights_are_all_listed(weights: dict[str, Tensor], tmp_path: Path) -> None:
    wrong = {name: value for name, value in weights.items() if name != "bn1.weight"}
    wrong |= {"layer9.weight": torch.ones(2), "fc.weight": torch.ones(100, 64)}
    with pytest.raises(IntegrityError) as caught:
        resnet(checkpoint=written(wrong, tmp_path / "w.pth"))
    message = str(caught.value)
    assert "missing: bn1.weight;" in message
    assert "unexpected: layer9.weight;" in message
    assert "fc.weight (100, 64) instead of (10, 64)" in message
    assert str(tmp_path / "w.pth") in message


def test_long_lists_of_mismatches_are_cut(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"and \d+ more"):
        resnet(checkpoint=written(resnet(depth=56).body.state_dict(), tmp_path / "w.pth"))


def test_another_class_count_is_refused_unless_the_head_may_be_replaced(weights: dict[str, Tensor], tmp_path: Path) -> None:
    path, lines = written(weights, tmp_path / "w.pth"), []
    with pytest.raises(IntegrityError, match="head=replace"):
        resnet(num_classes=7, checkpoint=path)
    torch.manual_seed(3)
    fresh = resnet(num_classes=7).body.state_dict()
    torch.manual_seed(3)
    warm = resnet(num_classes=7, checkpoint=path, head="replace", report=lines.append).body.state_dict()
    for name, value in warm.items():
        assert torch.equal(value, fresh[name] if name.startswith("fc.") else weights[name]), name
    assert len(lines) == 1
    assert "fc.weight, fc.bias" in lines[0]


def test_replacing_the_head_keeps_one_that_fits(weights: dict[str, Tensor], tmp_path: Path) -> None:
    lines: list[str] = []
    assert equal(resnet(checkpoint=written(weights, tmp_path / "w.pth"), head="replace", report=lines.append), weights)
    assert lines == []


def test_replacing_the_head_forgives_nothing_else(weights: dict[str, Tensor], tmp_path: Path) -> None:
    wrong = weights | {"conv1.weight": torch.ones(16, 3, 3, 3)}
    with pytest.raises(IntegrityError, match=r"conv1\.weight"):
        resnet(num_classes=7, checkpoint=written(wrong, tmp_path / "w.pth"), head="replace")


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.sentinel}",)


@pytest.mark.parametrize("form", ["zip", "old", "plain"])
def test_a_pickle_with_code_is_refused_and_the_code_does_not_run(form: str, tmp_path: Path) -> None:
    sentinel, path = tmp_path / "sentinel", tmp_path / "w.pth"
    harmful = {"fc.weight": torch.ones(2), "more": Malicious(sentinel)}
    if form == "plain":
        path.write_bytes(pickle.dumps(harmful["more"], protocol=2))
    else:
        torch.save(harmful, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(IntegrityError, match="not only weights") as caught:
        resnet(checkpoint=path)
    assert "weights_only" not in str(caught.value)
    assert not sentinel.exists()
    pickle.loads(pickle.dumps(harmful["more"]))
    assert sentinel.exists(), "the test must use an object that runs its code"


def test_a_pickle_of_another_protocol_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Malicious(tmp_path / "sentinel"), protocol=5))
    with pytest.raises(IntegrityError, match=r"w\.pth"):
        resnet(checkpoint=tmp_path / "w.pth")
    assert not (tmp_path / "sentinel").exists()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="not only weights"):
        resnet(checkpoint=written(nn.Linear(2, 2), tmp_path / "w.pth"))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_a_damaged_file_is_refused(weights: dict[str, Tensor], name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("pth"):
        torch.save(weights, path)
    else:
        save_file(weights, path)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "garbage": b"no weights " * 50, "empty": b""}[damage])
    with pytest.raises(IntegrityError, match=name):
        resnet(checkpoint=path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [torch.ones(2)], torch.ones(2)])
def test_a_file_without_named_weights_is_refused(content: object, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="no weights by name"):
        resnet(checkpoint=written(content, tmp_path / "w.pth"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.pth"):
        resnet(checkpoint=tmp_path / "nowhere.pth")
