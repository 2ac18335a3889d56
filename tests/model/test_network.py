import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from darkknowledge.errors import UsageError
from darkknowledge.model import Network, NetworkSpec, Preprocessing, build

RGB = {"num_classes": 5, "input_shape": (3, 8, 8), "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


def viewer(preprocessing: Preprocessing) -> Network:
    return Network(nn.Identity(), preprocessing, NetworkSpec("viewer", 1, (3, 8, 8), ("a",)))


def test_the_body_sees_inputs_minus_mean_over_std() -> None:
    inputs = torch.rand(4, 3, 8, 8)
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])
    expected = (inputs.double().numpy() - mean[None, :, None, None]) / std[None, :, None, None]
    seen = viewer(Preprocessing(tuple(mean), tuple(std))).view(inputs)
    np.testing.assert_allclose(seen.numpy(), expected, rtol=0, atol=2e-6)


def test_grey_inputs_are_repeated_in_each_channel_of_a_colour_network() -> None:
    network = viewer(Preprocessing((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)))
    grey = torch.rand(2, 1, 8, 8)
    assert torch.equal(network.view(grey), network.view(grey.repeat(1, 3, 1, 1)))


def test_a_teacher_with_another_mean_std_and_size_gets_its_own_view_of_the_same_batch() -> None:
    inputs = torch.rand(2, 3, 8, 8)
    student = viewer(Preprocessing((0.5,) * 3, (0.5,) * 3))
    teacher = viewer(Preprocessing((0.1,) * 3, (0.2,) * 3, (4, 6)))
    resized = F.interpolate(inputs, size=(4, 6), mode="bilinear", antialias=True)
    torch.testing.assert_close(teacher(inputs), (resized - 0.1) / 0.2)
    torch.testing.assert_close(student(inputs), (inputs - 0.5) / 0.5)


def test_inputs_of_the_expected_size_are_not_resized() -> None:
    inputs = torch.rand(2, 3, 8, 8)
    preprocessing = ((0.5,) * 3, (0.5,) * 3)
    assert torch.equal(viewer(Preprocessing(*preprocessing, (8, 8)))(inputs), viewer(Preprocessing(*preprocessing))(inputs))


def test_pictures_in_sixteen_bits_are_resized_too() -> None:
    inputs = torch.rand(2, 3, 8, 8).bfloat16()
    view = viewer(Preprocessing((0.5,) * 3, (0.5,) * 3, (4, 6)))
    assert torch.equal(view(inputs), view(inputs.float()))


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = torch.zeros(1, 1, 16, 16)
    stripes[..., ::2] = 1
    seen = viewer(Preprocessing((0.0,), (1.0,), (4, 4)))(stripes)
    assert (seen - 0.5).abs().max() < 0.1


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 2, 8, 8), (2, 3 * 8 * 8)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="expects inputs of shape"):
        viewer(Preprocessing((0.5,) * 3, (0.5,) * 3))(torch.rand(shape))


def test_colour_inputs_of_a_grey_network_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\(batch, 1, height, width\)"):
        viewer(Preprocessing((0.5,), (0.5,)))(torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize(
    ("mean", "std", "size"),
    [((0.5,), (0.5, 0.5), None), ((), (), None), ((0.5,), (0.0,), None), ((float("nan"),), (1.0,), None), ((0.5,), (1.0,), (0, 8))],
)
def test_an_impossible_preprocessing_is_refused(mean: tuple[float, ...], std: tuple[float, ...], size: tuple[int, int] | None) -> None:
    with pytest.raises(UsageError):
        Preprocessing(mean, std, size)


def test_normalisation_is_no_weight_and_moves_with_the_network() -> None:
    network = build("hinton_mlp", **RGB)
    assert not any("scale" in name or "shift" in name for name in network.state_dict())
    assert network.to(torch.float64).scale.dtype == torch.float64


def test_projecting_a_network_without_bounds_changes_nothing() -> None:
    network = build("cifar_resnet", **RGB)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.project_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_specification_survives_json_and_its_lists_become_tuples() -> None:
    spec = NetworkSpec("hinton_mlp", 2, (1, 8, 8), ("cat", "dog"), {"hidden": [16, 8], "max_norm": None})
    assert spec.options == {"hidden": (16, 8), "max_norm": None}
    assert NetworkSpec.from_dict(spec.to_dict()) == spec


def test_an_option_that_cannot_be_recorded_is_named() -> None:
    with pytest.raises(UsageError, match="option 'activation'"):
        NetworkSpec("mine", 1, (1, 2, 2), ("a",), {"activation": nn.ReLU()})


@pytest.mark.parametrize(("num_classes", "shape", "names"), [(0, (1, 2, 2), ()), (2, (1, 0, 2), ("a", "b")), (2, (1, 2, 2), ("a",))])
def test_an_impossible_specification_is_refused(num_classes: int, shape: tuple[int, int, int], names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        NetworkSpec("mine", num_classes, shape, names)
