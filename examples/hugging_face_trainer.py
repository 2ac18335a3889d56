"""Distill with Hugging Face's Trainer: `DistillationLoss` in ``compute_loss``, no callback and nothing of ours besides.

A teacher knows the handwritten digits. A small student has 1,297 pictures, of which one in ten is labelled: trained alone it can use only those,
while the teacher's answers tell it something about every picture. Run it with ``python examples/hugging_face_trainer.py``; it takes seconds and
needs ``transformers`` and ``accelerate``, but no network.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

from darkknowledge import DistillationLoss
from darkknowledge.contract import IGNORED, Examples
from darkknowledge.data import load


class Classifier(nn.Module):
    """A network as the Trainer calls it: by the names of the columns, for a dictionary."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.body(inputs)
        return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


class DistillationTrainer(Trainer):
    """A Trainer whose loss listens to a teacher."""

    def __init__(self, *, teacher: nn.Module, loss: DistillationLoss, **options: Any) -> None:
        super().__init__(**options)
        self.teacher, self.loss = teacher.to(self.args.device).eval(), loss

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        student = model(inputs["inputs"])
        with torch.no_grad():
            teacher = self.teacher(inputs["inputs"])
        loss = self.loss(student["logits"], teacher["logits"], inputs["labels"])
        return (loss, student) if return_outputs else loss


def rows(examples: Examples, *, labelled_only: bool = False) -> list[dict[str, Tensor]]:
    """A split as a list of rows: a picture (1, 8, 8) in [0, 1] and its label."""
    found = examples.batches(torch.arange(len(examples)), batch_size=1, views=None)
    return [{"inputs": row.inputs[0], "labels": row.labels[0]} for row in found if not labelled_only or row.labels[0] != IGNORED]


def main() -> dict[str, float]:
    """Train the three networks; print and return their accuracy on the test pictures."""
    torch.manual_seed(0)
    data = load("digits", validation=0, labelled=0.1)
    teacher, alone, distilled = Classifier(256), Classifier(16), Classifier(16)
    distilled.load_state_dict(alone.state_dict())  # the same start for both students
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=400,
            per_device_train_batch_size=64,
            learning_rate=0.01,
            lr_scheduler_type="cosine",
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        Trainer(model=teacher, args=arguments, train_dataset=rows(load("digits", validation=0).train)).train()
        Trainer(model=alone, args=arguments, train_dataset=rows(data.train, labelled_only=True)).train()
        loss = DistillationLoss(temperature=4.0, alpha=0.9)
        DistillationTrainer(teacher=teacher, loss=loss, model=distilled, args=arguments, train_dataset=rows(data.train)).train()

    test = next(data.open_test().batches(torch.arange(500), batch_size=500, views=None))
    models = {"teacher": teacher, "student alone": alone, "student distilled": distilled}
    result = {name: (model.eval()(test.inputs)["logits"].argmax(-1) == test.labels).float().mean().item() for name, model in models.items()}
    for name, accuracy in result.items():
        print(f"{name:18} test accuracy {accuracy:.1%}")
    return result


if __name__ == "__main__":
    main()
