import pytest
import torch
from torch import nn

from darkknowledge.errors import UsageError
from darkknowledge.model import build
from darkknowledge.model.cifar_resnet import LAYOUTS, cifar_resnet

# Counts of the networks of RepDistiller (20 … 32x4) and of the usual small-stem ImageNet networks (18, 34, 50), for CIFAR-100.
PUBLISHED = {
    "20": 278_324,
    "32": 472_756,
    "44": 667_188,
    "56": 861_620,
    "110": 1_736_564,
    "8x4": 1_233_540,
    "32x4": 7_433_860,
    "18": 11_220_132,
    "34": 21_328_292,
    "50": 23_705_252,
}


def data(channels: int = 3, size: int = 32, num_classes: int = 10) -> dict[str, object]:
    return {"num_classes": num_classes, "input_shape": (channels, size, size), "mean": [0.5] * channels, "std": [0.25] * channels}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_every_depth_has_its_published_number_of_parameters() -> None:
    assert {depth: parameters(cifar_resnet(3, 100, depth=depth)) for depth in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize("depth", [8, 14, 20, 110])
def test_a_thin_network_has_the_parameters_that_its_layers_add_up_to(depth: int) -> None:
    """Section 4.2 of the paper, counted by hand: a stem, 2n convolutions in each of three stages, two shortcuts, a linear layer."""
    blocks = (depth - 2) // 6

    def stage(inputs: int, channels: int) -> int:
        convolutions = 9 * inputs * channels + (2 * blocks - 1) * 9 * channels**2 + 2 * blocks * 2 * channels
        return convolutions + (inputs * channels + 2 * channels if inputs != channels else 0)

    by_hand = 27 * 16 + 32 + stage(16, 16) + stage(16, 32) + stage(32, 64) + 65 * 100
    assert parameters(cifar_resnet(3, 100, depth=depth)) == by_hand


def test_every_depth_is_one_of_these() -> None:
    assert set(LAYOUTS) == set(PUBLISHED) | {"8", "14"}


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_ten_classes_round_to_the_table_of_the_paper(depth: int, millions: float) -> None:
    # He et al. (2016), table 6. The 1×1 shortcuts add 2752 parameters to the paper's, which moves 0.464 to 0.467 and 0.853 to 0.856.
    count = parameters(cifar_resnet(3, 10, depth=depth)) - 2752
    assert round(count / 1e6, 1 if depth == 110 else 2) == millions


def test_depth_counts_the_layers_with_weights_on_the_main_path() -> None:
    for depth in ("20", "110", "8x4", "18", "34", "50"):
        body = cifar_resnet(3, 10, depth=depth)
        layers = [name for name, module in body.named_modules() if isinstance(module, nn.Conv2d | nn.Linear) and "downsample" not in name]
        assert len(layers) == int(depth.removesuffix("x4"))


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (1, 8)])
@pytest.mark.parametrize("depth", [20, "8x4", "18"])
def test_small_pictures_of_one_or_three_channels_give_logits(depth: int | str, channels: int, size: int) -> None:
    network = build("cifar_resnet", **data(channels, size), depth=depth)
    assert network(torch.rand(2, channels, size, size)).shape == (2, 10)


@pytest.mark.parametrize(("depth", "shape"), [("20", (64, 8, 8)), ("8x4", (256, 8, 8)), ("18", (512, 4, 4))])
def test_features_shrink_by_two_from_stage_to_stage(depth: str, shape: tuple[int, ...]) -> None:
    body = cifar_resnet(3, 10, depth=depth)
    features = body[:-3](torch.rand(1, 3, 32, 32))
    assert features.shape[1:] == shape


@pytest.mark.parametrize("depth", ["18", "50"])
def test_logits_equal_those_of_torchvision_with_the_small_stem(depth: str) -> None:
    from torchvision import models

    torch.manual_seed(0)
    reference = models.get_model(f"resnet{depth}", num_classes=10)
    reference.conv1, reference.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    body = cifar_resnet(3, 10, depth=depth)
    reference.load_state_dict(body.state_dict())
    inputs = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(body(inputs), reference(inputs))


def test_convolutions_start_at_the_scale_of_their_outputs() -> None:
    torch.manual_seed(0)
    conv = cifar_resnet(3, 10, depth="18").get_submodule("layer3.0.conv1")
    assert conv.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("depth", [21, "8x2", "resnet20"])
def test_an_unknown_depth_names_the_choices(depth: int | str) -> None:
    with pytest.raises(UsageError, match="32x4"):
        build("cifar_resnet", **data(), depth=depth)
