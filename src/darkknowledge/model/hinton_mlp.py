"""The multilayer perceptron of the MNIST experiments: rectified linear units, dropout, and a bound on incoming weights.

Source: Hinton, Vinyals & Dean (2015, arXiv:1503.02531), section 3: two hidden layers of 1200 units with dropout and weight constraints as the
teacher, of 800 units as the student. The constraint is that of Hinton et al. (2012, arXiv:1207.0580), section "Training neural networks" and A.1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from darkknowledge.errors import UsageError
from darkknowledge.model._dropout import Dropout
from darkknowledge.model._network import Preprocessing, Request


def build(
    request: Request,
    *,
    hidden: tuple[int, ...] = (800, 800),
    input_dropout: float = 0.0,
    hidden_dropout: float = 0.0,
    max_norm: float | None = None,
    initial_std: float | None = None,
) -> tuple[nn.Module, Preprocessing]:
    """A `HintonMLP` for the data, which sees inputs at the data's size and with the data's mean and standard deviation."""
    body = HintonMLP(
        math.prod(request.input_shape),
        request.num_classes,
        hidden=hidden,
        input_dropout=input_dropout,
        hidden_dropout=hidden_dropout,
        max_norm=max_norm,
        initial_std=initial_std,
    )
    _, height, width = request.input_shape
    return body, request.preprocessing(channels=request.input_shape[0], size=(height, width))


class HintonMLP(nn.Module):
    r"""Flattened inputs, ``hidden`` layers of rectified linear units, and linear logits.

    Weights start as :math:`N(0, 2/\text{fan in})` before a rectifier and :math:`N(0, 1/\text{fan in})` before the logits, which keeps the scale of
    the signal at any depth (He et al., 2015, arXiv:1502.01852, equation 10), or at ``initial_std`` in every layer; biases start at zero.

    Args:
        inputs: values per example after flattening.
        num_classes: logits per example.
        hidden: units of each hidden layer; empty gives softmax regression.
        input_dropout: probability that an input is dropped in training (0.2 in the paper's teacher).
        hidden_dropout: probability that a hidden unit is dropped in training (0.5 in the paper's teacher).
        max_norm: upper bound on the Euclidean norm of each unit's incoming weights, held by `project_`; ``None`` leaves them free.
        initial_std: standard deviation of every initial weight (0.01 in the 2012 paper); ``None`` is that of He et al.

    Raises:
        UsageError: an empty layer, a probability outside [0, 1), or a bound or standard deviation that is not positive.
    """

    def __init__(
        self,
        inputs: int,
        num_classes: int,
        *,
        hidden: tuple[int, ...] = (800, 800),
        input_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        max_norm: float | None = None,
        initial_std: float | None = None,
    ) -> None:
        super().__init__()
        _check(hidden, {"input_dropout": input_dropout, "hidden_dropout": hidden_dropout}, {"max_norm": max_norm, "initial_std": initial_std})
        self.max_norm = max_norm
        layers: list[nn.Module] = [nn.Flatten()]
        width, dropout = inputs, input_dropout
        for units in hidden:
            layers += [*_dropout(dropout), _linear(width, units, std=initial_std or math.sqrt(2 / width)), nn.ReLU()]
            width, dropout = units, hidden_dropout
        layers += [*_dropout(dropout), _linear(width, num_classes, std=initial_std or math.sqrt(1 / width))]
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, num_classes) of normalised inputs (B, …)."""
        return self.layers(inputs)  # type: ignore[no-any-return]

    @torch.no_grad()
    def project_(self) -> None:
        """Scale down the incoming weights of every unit (a row of its layer's matrix) whose norm exceeds ``max_norm``."""
        if self.max_norm is not None:
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    layer.weight.renorm_(p=2, dim=0, maxnorm=self.max_norm)


def _linear(inputs: int, outputs: int, *, std: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=std)
    nn.init.zeros_(layer.bias)
    return layer


def _dropout(probability: float) -> list[nn.Module]:
    return [Dropout(probability)] if probability else []


def _check(hidden: tuple[int, ...], dropout: dict[str, float], positive: dict[str, float | None]) -> None:
    if any(units < 1 for units in hidden):
        raise UsageError(f"hidden={hidden} has a layer without units", where="hinton_mlp", fix="give positive widths, for example hidden=[800,800]")
    for name, probability in dropout.items():
        if not 0 <= probability < 1:
            raise UsageError(f"{name}={probability} is no probability of dropping", where="hinton_mlp", fix="give a number in [0, 1)")
    for name, value in positive.items():
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name}={value} is not above 0 and finite", where="hinton_mlp", fix="give a number above 0, or null for none")
