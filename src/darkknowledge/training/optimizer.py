"""The two optimizers, with weight decay on weights only."""

from __future__ import annotations

import torch
from torch import nn

from darkknowledge.training.recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe, *, fused: bool = True) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW.

    Biases and the gains of normalisation layers, whose tensors have fewer than two dimensions, are not decayed (He et al. 2019, arXiv 1812.01187,
    section 3.1). ``fused`` takes the step in one kernel, which costs a small network a good deal less.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), fused=fused)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=fused)
