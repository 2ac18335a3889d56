r"""How large the gradients of both terms are, and how much they vary between cases.

Nothing needs the gradient g_b of a single case with respect to all weights, which has 1.3 million numbers, only products of two of them. A linear
layer with inputs a_b and derivatives δ_b at its outputs has the gradient δ_b a_bᵀ for its weights and δ_b for its biases, and therefore

.. math:: \langle g_b, g_c \rangle = \sum_{\text{layers}} (a_b \cdot a_c + 1) (\delta_b \cdot \delta_c).

From this matrix of n cases follow, exactly, every per-case norm, the norm of the mean gradient of any resample, and the trace of the covariance.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from darkknowledge.analysis.significance import percentile_interval, resampled
from darkknowledge.errors import UsageError
from darkknowledge.objective import hard_label_gradient, soft_target_gradient

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0, 40.0, 100.0, 1000.0)
RESAMPLES = 1000
UNSEEN = 1e-9
"""A share of the expected gradient in the mean square that is not there for all that can be seen."""


class Layers:
    """One pass of ``inputs`` (n, …) through a network all of whose weights are in linear layers."""

    def __init__(self, network: nn.Module, inputs: Tensor) -> None:
        linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
        if sum(p.numel() for module in linear for p in module.parameters()) != sum(p.numel() for p in network.parameters()):
            raise UsageError("some weights are not in linear layers", why="products of per-case gradients are known in closed form for those alone")
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []
        hooks = [module.register_forward_hook(self._keep) for module in linear]
        self._logits: Tensor = network.eval().requires_grad_(True)(inputs)
        for hook in hooks:
            hook.remove()
        self._seen = [inputs @ inputs.T + 1 for inputs in self._inputs]

    @property
    def logits(self) -> Tensor:
        """(n, C), without a graph."""
        return self._logits.detach()

    def products(self, at_logits: Tensor) -> Tensor:
        """⟨g_b, g_c⟩ (n, n) of the gradients with respect to all weights; ``at_logits`` (n, C) is each case's derivative at its logits."""
        below = torch.autograd.grad(self._logits, self._outputs, at_logits.to(self._logits), retain_graph=True)
        total = torch.zeros(())
        for seen, derivative in zip(self._seen, below, strict=True):
            total = total + seen * (derivative @ derivative.T)
        return total

    def _keep(self, module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self._inputs.append(inputs[0].detach())
        self._outputs.append(output)


class Spread:
    r"""How much the gradients behind ``products`` (n, n) vary between cases.

    With M the mean of |g_b|² and S the mean of ⟨g_b, g_c⟩ over pairs b ≠ c, which estimates the squared norm of the expected gradient without the
    bias of |ḡ|², the trace of the covariance is M − S and the relative variance (M − S) / S: the number of cases in a mini-batch whose noise is as
    long as the gradient itself.

    ``share_of_cases`` is the participation ratio (Σ |g_b|²)² / (n Σ |g_b|⁴): 1 if all gradients have the same length, 1/n if all but one are 0.

    Source: the relative variance is the "simple noise scale" of McCandlish et al. (2018, arXiv:1812.06162), equation 2.9.
    """

    def __init__(self, products: Tensor) -> None:
        self.n = len(products)
        squares = products.diagonal().double()
        self.share_of_cases = float(squares.sum() ** 2 / squares.square().sum()) / self.n
        self.of_mean = float(products.sum(dtype=torch.float64).clamp_min(0).sqrt()) / self.n
        self._mean_square, self._signal = _moments(torch.ones(1, self.n), products, squares)
        drawn = [_moments(_counts(rows, self.n), products, squares) for rows in resampled(self.n, resamples=RESAMPLES, seed=0)]
        self._resampled = tuple(torch.cat(parts) for parts in zip(*drawn, strict=True))

    @property
    def trace(self) -> float:
        """Of the covariance."""
        return float(self._mean_square - self._signal)

    def relative(self) -> dict[str, float | None]:
        """The relative variance with its 95 % interval; None stands for infinity, where the expected gradient cannot be told from 0."""
        return _with_interval(_relative(self._mean_square, self._signal), _relative(*self._resampled))

    def times(self, other: Spread) -> dict[str, float | None]:
        """How many times the relative variance of ``other``, on the same cases; the resamples are paired. 0 if only the other's is infinite."""
        ours, theirs = ((_relative(each._mean_square, each._signal), _relative(*each._resampled)) for each in (self, other))
        return _with_interval(_over(ours[0], theirs[0]), _over(ours[1], theirs[1]))


def _moments(counts: Tensor, products: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of |g_b|² and of ⟨g_b, g_c⟩ over pairs of different cases, both (r,), for each row of ``counts`` (r, n): how often a case was drawn."""
    counts, n = counts.double(), products.shape[0]
    pairs = ((counts.to(products) @ products).double() * counts).sum(1) - counts.square() @ squares
    return counts @ squares / n, pairs / (n * n - counts.square().sum(1))


def _counts(rows: Tensor, n: int) -> Tensor:
    return torch.stack([torch.bincount(row, minlength=n) for row in rows])


def _relative(mean_square: Tensor, signal: Tensor) -> Tensor:
    """Infinite is written as 1 / `UNSEEN`, so that quantiles are numbers."""
    return 1 / (signal / mean_square).clamp_min(UNSEEN) - 1


def _over(ours: Tensor, theirs: Tensor) -> Tensor:
    infinite = 0.1 / UNSEEN
    ratio = torch.where(ours < infinite, ours / theirs, 1 / UNSEEN)
    return torch.where(theirs < infinite, ratio, (ours >= infinite).to(ratio))


def _with_interval(value: Tensor, resampled: Tensor) -> dict[str, float | None]:
    interval = percentile_interval(resampled, level=0.95)
    found = {"value": float(value), "low": interval.low, "high": interval.high}
    return {name: number if number < 0.1 / UNSEEN else None for name, number in found.items()}


def moment(network: nn.Module, inputs: Tensor, labels: Tensor, teacher: Tensor, *, mixed: tuple[float, float]) -> dict[str, Any]:
    """Everything about the gradients of one student on the same cases; ``mixed`` is temperature and weight of the soft term of the mixture."""
    layers = Layers(network, inputs)
    student = layers.logits
    hard = hard_label_gradient(student, labels)
    soft = {t: t**2 * soft_target_gradient(student.double(), teacher.double(), temperature=t) for t in TEMPERATURES}
    temperature, alpha = mixed
    mixture = alpha * soft[temperature] + (1 - alpha) * hard
    reference = Spread(layers.products(hard))
    return {
        "wrong": float((student.argmax(1) != labels).double().mean()),
        "logits": {"teacher": scale(teacher), "student": scale(student)},
        "hard": _term(hard, reference),
        "soft": {f"{t:g}": _term(gradient, Spread(layers.products(gradient)), reference) for t, gradient in soft.items()},
        "mixture": _term(mixture, Spread(layers.products(mixture)), reference),
    }


def _term(at_logits: Tensor, spread: Spread, reference: Spread | None = None) -> dict[str, Any]:
    """Norms, and the spread between cases. The soft term is given with T²; without it norms are over T², and the relative variance is the same."""
    found = {
        "norm_at_logits": float(at_logits.norm(dim=1).mean()),
        "norm_of_mean": spread.of_mean,
        "trace": spread.trace,
        "share_of_cases": spread.share_of_cases,
        "relative": spread.relative(),
    }
    return found if reference is None else found | {"relative_to_hard": spread.times(reference)}


def scale(logits: Tensor) -> dict[str, float]:
    """Root mean square of the logits about the mean of each row, and of those means."""
    means = logits.mean(1, keepdim=True)
    return {"spread": float((logits - means).square().mean().sqrt()), "mean": float(means.square().mean().sqrt())}
