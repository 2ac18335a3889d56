import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from darkknowledge.errors import IntegrityError, ResourceError, UsageError
from darkknowledge.model import Network, build, fingerprint, load, save
from darkknowledge.runs.files import Written, write_manifest

DATA = {"num_classes": 3, "input_shape": (3, 16, 16), "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "class_names": ["ant", "bee", "cat"]}


def trained_a_little(name: str, **options: object) -> Network:
    """With batch statistics that are not the initial ones."""
    network = build(name, **DATA, **options)
    network(torch.rand(8, 3, 16, 16))
    return network


@pytest.mark.parametrize(
    ("name", "options"), [("cifar_resnet", {"depth": 20}), ("hinton_mlp", {"hidden": [9, 7], "max_norm": 3.87, "input_dropout": 0.2})]
)
def test_a_network_returns_from_disk_bit_by_bit(name: str, options: dict[str, object], tmp_path: Path) -> None:
    network, inputs = trained_a_little(name, **options), torch.rand(4, 3, 16, 16)
    save(network, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.spec == network.spec
    assert again.preprocessing == network.preprocessing
    assert list(again.body.state_dict()) == list(network.body.state_dict())
    assert all(torch.equal(value, network.body.state_dict()[key]) for key, value in again.body.state_dict().items())
    assert not again.training
    assert torch.equal(again(inputs), network.eval()(inputs))
    assert fingerprint(again) == fingerprint(network)


def test_batch_statistics_survive(tmp_path: Path) -> None:
    network = trained_a_little("cifar_resnet")
    assert network.body.bn1.running_mean.abs().max() > 0
    save(network, tmp_path)
    again = load(tmp_path).body.bn1
    assert torch.equal(again.running_mean, network.body.bn1.running_mean)
    assert torch.equal(again.running_var, network.body.bn1.running_var)
    assert again.num_batches_tracked == 1


def test_the_folder_has_the_shape_of_the_hub(tmp_path: Path) -> None:
    network = trained_a_little("hinton_mlp", hidden=[9])
    save(network, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "manifest.json", "model.safetensors"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["network"] == {
        "name": "hinton_mlp",
        "num_classes": 3,
        "input_shape": [3, 16, 16],
        "class_names": ["ant", "bee", "cat"],
        "options": {"hidden": [9]},
    }
    assert config["preprocessing"] == {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "size": [16, 16]}
    assert config["parameters"] == 768 * 9 + 9 + 27 + 3
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert sorted(file.keys()) == sorted(network.body.state_dict())


def test_loading_does_not_move_the_random_state(tmp_path: Path) -> None:
    save(trained_a_little("hinton_mlp"), tmp_path)
    before = torch.get_rng_state()
    load(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_flipped_bit_is_detected(name: str, tmp_path: Path) -> None:
    save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(IntegrityError, match=name):
        load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "manifest.json"])
def test_a_missing_file_is_detected(name: str, tmp_path: Path) -> None:
    save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IntegrityError, match=name):
        load(tmp_path)


def rewrite(folder: Path, **network: object) -> None:
    """Change the configuration and sign the folder again, as someone with bad intentions would."""
    config = json.loads((folder / "config.json").read_text())
    config["network"] |= network
    (folder / "config.json").write_text(json.dumps(config))
    write_manifest(folder, {name: Written.of(folder / name) for name in ("config.json", "model.safetensors")})


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path)
    rewrite(tmp_path, options={"hidden": [8]})
    with pytest.raises(IntegrityError, match=r"layers\.1\.weight \(9, 768\) instead of \(8, 768\)"):
        load(tmp_path)


@pytest.mark.parametrize("change", [{"options": None}, {"input_shape": 3}, {"class_names": 3}, {"num_classes": "many"}])
def test_a_configuration_that_describes_nothing_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path)
    rewrite(tmp_path, **change)
    with pytest.raises(IntegrityError, match=r"config\.json does not describe a network"):
        load(tmp_path)


def test_a_module_named_by_a_file_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harmful.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path / "model")
    rewrite(tmp_path / "model", name="harmful:Class")
    with pytest.raises(UsageError, match=r"plugins=\[harmful\]"):
        load(tmp_path / "model")
    with pytest.raises(UsageError, match=r"plugins=\[harmful\]"):
        load(tmp_path / "model", plugins=["harm", "harmful.more"])


def test_saving_again_replaces_the_network(tmp_path: Path) -> None:
    save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path)
    second = trained_a_little("cifar_resnet")
    save(second, str(tmp_path))
    assert fingerprint(load(str(tmp_path))) == fingerprint(second)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write"):
        save(trained_a_little("hinton_mlp", hidden=[9]), tmp_path / "file" / "model")


def test_the_fingerprint_tells_weights_classes_and_preprocessing_apart() -> None:
    network = trained_a_little("cifar_resnet")
    prints = [fingerprint(network), fingerprint(Network(network.body, network.preprocessing, network.spec))]
    assert prints[0] == prints[1]
    renamed = build("cifar_resnet", **(DATA | {"class_names": ["bee", "ant", "cat"]}))
    renamed.body.load_state_dict(network.body.state_dict())
    shifted = build("cifar_resnet", **(DATA | {"mean": [0.5, 0.4, 0.31]}))
    shifted.body.load_state_dict(network.body.state_dict())
    prints += [fingerprint(renamed), fingerprint(shifted)]
    with torch.no_grad():
        network.body.bn1.running_mean[0] += 1e-7
    prints.append(fingerprint(network))
    assert len(set(prints)) == 4


def test_half_precision_weights_have_a_fingerprint_and_are_kept(tmp_path: Path) -> None:
    network = trained_a_little("hinton_mlp", hidden=[9])
    network.body.to(torch.bfloat16)
    save(network, tmp_path)
    assert torch.equal(load(tmp_path).body.layers[1].weight, network.body.layers[1].weight.float())
    assert len(fingerprint(network)) == 64
