from __future__ import annotations

import pytest
import torch
from torch import nn

from darkknowledge.training.optimizer import make_optimizer
from darkknowledge.training.recipe import Recipe


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 3))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_only_matrices_and_kernels_are_decayed(name: str) -> None:
    """With zero gradients nothing but the decay moves a weight."""
    torch.manual_seed(0)
    model = network()
    nn.init.normal_(model[1].bias)
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, Recipe(optimizer=name, learning_rate=0.5, weight_decay=0.1, momentum=0))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, parameter in model.named_parameters():
        factor = 1 - 0.5 * 0.1 if key in ("0.weight", "4.weight") else 1.0
        assert torch.allclose(parameter, factor * before[key], rtol=1e-6), key


def test_frozen_parameters_are_left_out() -> None:
    model = network()
    model[0].requires_grad_(False)
    optimizer = make_optimizer(model, Recipe())
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_a_network_of_biases_alone_is_optimised() -> None:
    assert len(make_optimizer(nn.LayerNorm(3), Recipe()).param_groups) == 1


def test_momentum_is_that_of_nesterov_and_the_first_beta() -> None:
    assert make_optimizer(network(), Recipe(momentum=0.8)).defaults["nesterov"] is True
    assert make_optimizer(network(), Recipe(momentum=0)).defaults["nesterov"] is False
    assert make_optimizer(network(), Recipe(optimizer="adamw", momentum=0.8)).defaults["betas"] == (0.8, 0.999)
