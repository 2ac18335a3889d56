"""The two optimizers, with weight decay on weights only, and how one goes back to a saved state."""

from __future__ import annotations

import math
from typing import Any

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


def load_moments(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take over the numbers for each weight, and the last rate; how the optimizer works with them is the recipe's business.

    Raises:
        ValueError: they are those of other weights, or the rate is none.
    """
    own = [{name: value for name, value in group.items() if name not in ("params", "lr")} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, values in zip(optimizer.param_groups, own, strict=True):
        group.update(values)
        if not 0 <= float(group["lr"]) < math.inf:
            raise ValueError(f"its learning rate is {group['lr']}")
    for weight, moments in optimizer.state.items():
        if any(moment is not None and moment.shape not in ((), weight.shape) for moment in moments.values()):
            raise ValueError("its moments are those of other weights")
