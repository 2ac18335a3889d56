"""Distill with Lightning's own Trainer: `DistillationModule` is a LightningModule like any other.

A teacher knows the handwritten digits. A small student has 1,297 pictures, of which one in ten is labelled: trained alone it can use only those,
while the teacher's answers tell it something about every picture. Run it with ``python examples/lightning_trainer.py``; it takes seconds and needs
the extra ``darkknowledge[trainer]``.
"""

from __future__ import annotations

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from darkknowledge import DistillationModule, Frozen, Mixture, Recipe
from darkknowledge.contract import IGNORED, Examples
from darkknowledge.data import load
from darkknowledge.objective import HardLabel
from darkknowledge.objective.distillation import distillation

RECIPE = Recipe(optimizer="adamw", learning_rate=0.01)
"""Optimizer and schedule; how long and on what is the Trainer's business."""


def pairs(examples: Examples, *, labelled_only: bool = False) -> TensorDataset:
    """A split as a data set of pairs: a picture (1, 8, 8) in [0, 1] and its label."""
    batch = next(examples.batches(torch.arange(len(examples)), batch_size=len(examples), views=None))
    kept = batch.labels != IGNORED if labelled_only else slice(None)
    return TensorDataset(batch.inputs[kept], batch.labels[kept])


def network(width: int) -> nn.Module:
    """Logits (B, 10) of pictures (B, 1, 8, 8)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def train(module: DistillationModule, data: TensorDataset, *, steps: int = 400) -> None:
    """A plain Trainer without the files that it would write."""
    trainer = lightning.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data, batch_size=64, shuffle=True))


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    """Share of the pictures whose largest logit is that of the label."""
    inputs, labels = data.tensors
    return (model.eval()(inputs).argmax(-1) == labels).float().mean().item()


def main() -> dict[str, float]:
    """Train the three networks; print and return their accuracy on the test pictures."""
    torch.manual_seed(0)
    data = load("digits", validation=0, labelled=0.1)
    teacher, alone, distilled = network(256), network(16), network(16)
    distilled.load_state_dict(alone.state_dict())  # the same start for both students
    labels = Mixture({"hard": (HardLabel(), 1.0)})

    train(DistillationModule(teacher, labels, recipe=RECIPE), pairs(load("digits", validation=0).train))
    train(DistillationModule(alone, labels, recipe=RECIPE), pairs(data.train, labelled_only=True))
    objective = distillation(temperature=4.0, alpha=0.9)
    train(DistillationModule(distilled, objective, teacher=Frozen(teacher, data.class_names), recipe=RECIPE), pairs(data.train))

    test = pairs(data.open_test())
    models = {"teacher": teacher, "student alone": alone, "student distilled": distilled}
    result = {name: accuracy(model, test) for name, model in models.items()}
    for name, value in result.items():
        print(f"{name:18} test accuracy {value:.1%}")
    return result


if __name__ == "__main__":
    main()
