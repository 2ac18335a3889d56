"""torchvision and timm; nothing here touches the network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from darkknowledge.errors import IntegrityError, ResourceError, UsageError
from darkknowledge.model import Preprocessing, build, fingerprint, load, save

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
COLOUR = {"num_classes": 7, "input_shape": (3, 32, 32), "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
GREY = {"num_classes": 7, "input_shape": (1, 28, 28), "mean": [0.13], "std": [0.31]}


@pytest.mark.parametrize("data", [COLOUR, GREY])
@pytest.mark.parametrize(
    "name",
    [
        "torchvision:resnet18",
        "torchvision:mobilenet_v3_small",
        "torchvision:squeezenet1_1",
        "timm:resnet10t",
        "timm:test_efficientnet",
        "timm:test_vit",
    ],
)
def test_the_head_has_one_output_per_class_of_the_data(name: str, data: dict[str, object]) -> None:
    network = build(name, **data).eval()
    assert network(torch.rand(2, *data["input_shape"])).shape == (2, 7)


def test_without_pretrained_weights_the_data_s_own_preprocessing_holds() -> None:
    assert build("torchvision:resnet18", **COLOUR).preprocessing == Preprocessing((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    assert build("torchvision:resnet18", **GREY).preprocessing == Preprocessing((0.13,) * 3, (0.31,) * 3)
    assert build("timm:resnet10t", **GREY).preprocessing == Preprocessing((0.13,), (0.31,))


def test_a_network_of_one_size_sees_that_size_or_is_built_for_another() -> None:
    assert build("timm:test_vit", **COLOUR).preprocessing.size == (160, 160)
    small = build("timm:test_vit", **COLOUR, size=32)
    assert small.preprocessing.size == (32, 32)
    assert small.body.pos_embed.shape[1] - 1 == (32 // 16) ** 2


def test_a_chosen_size_resizes_any_other_network() -> None:
    assert build("torchvision:densenet121", **GREY, size=32).preprocessing.size == (32, 32)
    with pytest.raises(UsageError, match="larger size"):
        build("torchvision:densenet121", **GREY)


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v3_small", "timm:test_vit"])
def test_a_library_s_network_returns_from_disk(name: str, tmp_path: Path) -> None:
    network = build(name, **COLOUR)
    save(network, tmp_path)
    assert fingerprint(load(tmp_path)) == fingerprint(network)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Weights of a whole MobileNet for 1000 classes, where torchvision keeps those it has downloaded."""
    from torchvision import models

    weights = models.MobileNet_V3_Small_Weights.DEFAULT
    state = models.mobilenet_v3_small().state_dict()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(state, tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2])
    return state


def test_pretrained_torchvision_keeps_all_but_the_head_and_sees_what_it_was_trained_on(cached: dict[str, torch.Tensor], tmp_path: Path) -> None:
    network = build("torchvision:mobilenet_v3_small", **GREY, pretrained=True)
    assert network.preprocessing == Preprocessing(**IMAGENET, size=(224, 224))
    for name, value in network.body.state_dict().items():
        assert torch.equal(value, cached[name]) != name.startswith("classifier.3"), name
    whole = build("torchvision:mobilenet_v3_small", **(COLOUR | {"num_classes": 1000}), pretrained=True)
    assert torch.equal(whole.body.classifier[3].weight, cached["classifier.3.weight"])
    save(network, tmp_path / "model")
    (tmp_path / "hub").rename(tmp_path / "gone")
    assert fingerprint(load(tmp_path / "model")) == fingerprint(network), "loading needs no pretrained weights"


def test_pretrained_weights_can_come_from_a_file_without_a_download(cached: dict[str, torch.Tensor], tmp_path: Path) -> None:
    (tmp_path / "hub").rename(tmp_path / "here")
    [file] = (tmp_path / "here" / "checkpoints").iterdir()
    lines: list[str] = []
    network = build("torchvision:mobilenet_v3_small", **COLOUR, pretrained=True, checkpoint=file, head="replace", report=lines.append)
    assert network.preprocessing == Preprocessing(**IMAGENET, size=(224, 224))
    assert torch.equal(network.body.features[0][0].weight, cached["features.0.0.weight"])
    assert "classifier.3.weight" in lines[0]
    with pytest.raises(IntegrityError, match=r"classifier\.3\.weight \(1000, 1024\) instead of \(7, 1024\)"):
        build("torchvision:mobilenet_v3_small", **COLOUR, pretrained=True, checkpoint=file)


def test_old_names_of_densenet_weights_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    from torchvision import models

    state = models.densenet121().state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value for name, value in state.items()}
    assert set(old) != set(state)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(old, tmp_path / "hub" / "checkpoints" / models.DenseNet121_Weights.DEFAULT.url.rpartition("/")[2])
    network = build("torchvision:densenet121", **COLOUR, pretrained=True, size=32)
    assert network.preprocessing.size == (32, 32)
    assert torch.equal(network.body.features.denseblock1.denselayer1.conv1.weight, state["features.denseblock1.denselayer1.conv1.weight"])


def test_pretrained_torchvision_without_a_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(ResourceError, match=r"checkpoint=resnet18-.*\.pth"):
        build("torchvision:resnet18", **COLOUR, pretrained=True)


def test_pretrained_timm_without_a_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ResourceError, match="checkpoint=FILE"):
        build("timm:test_resnet", **COLOUR, pretrained=True)


def test_pretrained_timm_sees_what_it_was_trained_on(tmp_path: Path) -> None:
    import timm

    state = timm.create_model("test_vit").state_dict()
    torch.save(state, tmp_path / "w.pth")
    network = build("timm:test_vit", **GREY, pretrained=True, checkpoint=tmp_path / "w.pth", head="replace", report=lambda line: None)
    assert network.preprocessing == Preprocessing((0.5,) * 3, (0.5,) * 3, (160, 160))
    assert torch.equal(network.body.patch_embed.proj.weight, state["patch_embed.proj.weight"])
    assert isinstance(network.body.head, nn.Linear)
    assert network.body.head.out_features == 7


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("torchvision:resnet19", {}, "Did you mean 'resnet18'"),
        ("torchvision:fasterrcnn_resnet50_fpn", {}, "no classifier"),
        ("torchvision:resnet18", {"pretrained": "yes"}, "pretrained='yes' is not of type bool"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "no option 'weights'"),
        ("torchvision:vit_b_16", {"pretrained": True, "size": 32}, "224×224 only"),
        ("torchvision:vit_b_16", {"size": 30}, "cannot be built for size 30"),
        ("timm:resnt18", {}, "resnet18"),
        ("timm:resnet18.nowhere", {}, r"resnet18\.a1_in1k"),
        ("timm:hf-hub:someone/something", {"pretrained": True}, "no network"),
        ("timm:resnet10t", {"size": 0}, "from 1 to 4096"),
        ("timm:test_vit", {"size": 0}, "size=0"),
        ("torchvision:resnet18", {"size": 0}, "from 1 to 4096"),
        ("torchvision:vit_b_32", {"size": -1}, "size -1"),
    ],
)
def test_a_mistake_gets_a_clear_message(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, **COLOUR, **options)


def test_torchvision_refuses_pictures_of_two_channels() -> None:
    with pytest.raises(UsageError, match="not of 2"):
        build("torchvision:resnet18", num_classes=7, input_shape=(2, 32, 32), mean=[0.5] * 2, std=[0.5] * 2)
