import math

import numpy as np
import pytest
import torch
from torch import nn

from darkknowledge.errors import UsageError
from darkknowledge.model import Network, build
from darkknowledge.model.hinton_mlp import HintonMLP

MNIST = {"num_classes": 10, "input_shape": (1, 28, 28), "mean": [0.1307], "std": [0.3081]}


def mlp(**options: object) -> Network:
    return build("hinton_mlp", **MNIST, **options)


def linears(network: Network) -> list[nn.Linear]:
    return [module for module in network.modules() if isinstance(module, nn.Linear)]


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [((800, 800), 1_276_810), ((1200, 1200), 2_395_210), ((), 7_850), ((30,), 784 * 30 + 30 + 300 + 10), ((4, 3, 2), 3_140 + 15 + 8 + 30)],
)
def test_parameters_are_counted_by_hand(hidden: tuple[int, ...], expected: int) -> None:
    network = mlp(hidden=hidden)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    assert network(torch.rand(3, 1, 28, 28)).shape == (3, 10)


def test_it_computes_rectified_affine_maps() -> None:
    network = mlp(hidden=(7, 5), input_dropout=0.2, hidden_dropout=0.5).eval()
    inputs = torch.rand(3, 1, 28, 28)
    signal = (inputs.double().numpy().reshape(3, -1) - 0.1307) / 0.3081
    layers = [(layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in linears(network)]
    for weight, bias in layers[:-1]:
        signal = np.maximum(signal @ weight.T + bias, 0)
    np.testing.assert_allclose(network(inputs).detach().numpy(), signal @ layers[-1][0].T + layers[-1][1], rtol=1e-4, atol=1e-4)


def test_dropout_stands_before_every_layer_of_the_paper_and_only_there() -> None:
    layers = [type(layer).__name__ for layer in mlp(hidden=(8, 8), input_dropout=0.2, hidden_dropout=0.5).body.layers]
    assert layers == ["Flatten", "Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]
    assert [layer.p for layer in mlp(input_dropout=0.2, hidden_dropout=0.5).modules() if isinstance(layer, nn.Dropout)] == [0.2, 0.5, 0.5]
    assert not any(isinstance(layer, nn.Dropout) for layer in mlp().modules())


def test_dropout_works_in_training_and_rests_in_evaluation() -> None:
    network, inputs = mlp(hidden=(64,), hidden_dropout=0.5), torch.rand(2, 1, 28, 28)
    assert not torch.equal(network(inputs), network(inputs))
    network.eval()
    assert torch.equal(network(inputs), network(inputs))


def test_initial_weights_have_the_documented_scale_and_biases_are_zero() -> None:
    torch.manual_seed(0)
    first, second, last = linears(mlp(hidden=(1000, 1000)))
    assert first.weight.std().item() == pytest.approx(math.sqrt(2 / 784), rel=0.01)
    assert second.weight.std().item() == pytest.approx(math.sqrt(2 / 1000), rel=0.01)
    assert last.weight.std().item() == pytest.approx(math.sqrt(1 / 1000), rel=0.05)
    assert all(layer.bias.abs().max() == 0 for layer in (first, second, last))


def test_one_standard_deviation_may_be_given_for_all_initial_weights() -> None:
    torch.manual_seed(0)
    layers = linears(mlp(hidden=(1000, 1000), initial_std=0.01))
    for layer, slack in zip(layers, (0.01, 0.01, 0.05), strict=True):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=slack)
        assert layer.weight.mean().abs() < 5e-4
        assert layer.bias.abs().max() == 0


def test_the_same_seed_gives_the_same_initial_weights_but_for_their_scale() -> None:
    found = []
    for std in (None, 0.01, 2.0):
        torch.manual_seed(3)
        found.append([layer.weight for layer in linears(mlp(hidden=(30, 20), initial_std=std))])
    for usual, small, large, fan_in, gain in zip(*found, (784, 30, 20), (2, 2, 1), strict=True):
        torch.testing.assert_close(small * math.sqrt(gain / fan_in) / 0.01, usual, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(small * 200, large, rtol=1e-5, atol=1e-8)


def test_projection_scales_long_rows_down_to_the_bound_and_leaves_short_ones() -> None:
    network = mlp(hidden=(20, 20), max_norm=1.4)
    before = [layer.weight.detach().double().numpy() for layer in linears(network)]
    lengths = [np.linalg.norm(weight, axis=1, keepdims=True) for weight in before]
    assert min(length.min() for length in lengths) < 1.4 < max(length.max() for length in lengths), "the test must see rows of both kinds"
    network.project_()
    for layer, weight, length in zip(linears(network), before, lengths, strict=True):
        np.testing.assert_allclose(layer.weight.detach().numpy(), weight * np.minimum(1, 1.4 / length), rtol=1e-6, atol=1e-7)
        assert layer.weight.requires_grad


def test_projection_without_a_bound_changes_nothing() -> None:
    network = mlp(hidden=(20,))
    before = [layer.weight.clone() for layer in linears(network)]
    network.project_()
    assert all(torch.equal(layer.weight, weight) for layer, weight in zip(linears(network), before, strict=True))


def test_inputs_of_another_size_are_resized_to_the_layer_it_was_built_with() -> None:
    assert mlp(hidden=(8,))(torch.rand(2, 1, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"hidden": [800, 0]}, "hidden"),
        ({"hidden": 800}, "hidden"),
        ({"hidden": [8.5]}, "hidden"),
        ({"input_dropout": 1.0}, "input_dropout"),
        ({"hidden_dropout": -0.1}, "hidden_dropout"),
        ({"hidden_dropout": "half"}, "hidden_dropout"),
        ({"max_norm": 0}, "max_norm"),
        ({"max_norm": float("nan")}, "max_norm"),
        ({"max_norm": True}, "max_norm"),
        ({"initial_std": 0}, r"initial_std=0 is not above 0[\s\S]*null for none"),
        ({"initial_std": -1}, r"initial_std=-1 is not above 0"),
        ({"initial_std": float("nan")}, "initial_std=nan"),
        ({"initial_std": float("inf")}, "initial_std=inf"),
        ({"initial_std": "small"}, "initial_std='small'"),
        ({"widths": [8]}, "widths"),
    ],
)
def test_a_mistaken_option_is_named(options: dict[str, object], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        mlp(**options)


@pytest.mark.parametrize("name", ["max_norm", "initial_std"])
@pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf])
def test_the_class_itself_says_what_is_wrong_with_a_bound_or_a_scale(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name}={value} is not above 0 and finite") as refused:
        HintonMLP(4, 2, **{name: value})
    assert refused.value.fix == "give a number above 0, or null for none"
