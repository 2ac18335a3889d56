"""Distill a regression network that answers with a mean and a variance.

The data are noisy, and noisier on the right. A teacher learns both from many examples. A small student that sees few of them learns better from
the teacher's mean and variance at unlabelled places than from its own measurements. Run it with ``python examples/regression.py``; it takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from darkknowledge.objective.gaussian_kl import gaussian_kl


def measure(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places x (count, 1) and what is measured there, y (count, 1)."""
    x = 4 * torch.rand(count, 1, generator=generator) - 2
    noise = 0.05 + 0.15 * (x + 2)
    return x, torch.sin(3 * x) + noise * torch.randn(count, 1, generator=generator)


def network(width: int) -> nn.Module:
    """One input; two outputs, the mean and the logarithm of the variance."""
    return nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))


def negative_log_likelihood(answer: Tensor, y: Tensor) -> Tensor:
    """Mean over the examples, in nats."""
    mean, log_variance = answer.chunk(2, dim=1)
    return nn.functional.gaussian_nll_loss(mean, y, log_variance.exp(), full=True)


def train(model: nn.Module, loss: Callable[[], Tensor], steps: int = 300) -> None:
    """Full-batch Adam with a rate that falls to 0."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        schedule.step()


def main() -> dict[str, float]:
    """Train the three networks, print and return their negative log-likelihood on new measurements."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    many, few, new = measure(2000, generator), measure(100, generator), measure(5000, generator)
    teacher, alone, distilled = network(64), network(16), network(16)
    distilled.load_state_dict(alone.state_dict())  # the same start for both students

    train(teacher, lambda: negative_log_likelihood(teacher(many[0]), many[1]))
    train(alone, lambda: negative_log_likelihood(alone(few[0]), few[1]))

    places = torch.linspace(-2, 2, 500)[:, None]  # the transfer set needs no measurements
    with torch.no_grad():
        target = teacher(places).chunk(2, dim=1)
    train(distilled, lambda: gaussian_kl(*distilled(places).chunk(2, dim=1), *target).mean())

    with torch.no_grad():
        models = {"teacher": teacher, "student alone": alone, "student distilled": distilled}
        result = {name: float(negative_log_likelihood(model(new[0]), new[1])) for name, model in models.items()}
    for name, value in result.items():
        print(f"{name:18} held-out negative log-likelihood {value:7.3f} nats")
    return result


if __name__ == "__main__":
    main()
