"""The usual objective of distillation: a soft term at a temperature and a hard term at temperature 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darkknowledge.contract import IGNORED, Dense
from darkknowledge.errors import UsageError
from darkknowledge.objective._checks import check_fraction, check_weight
from darkknowledge.objective._evaluation import Compile
from darkknowledge.objective.hard_label import HardLabel
from darkknowledge.objective.hinton import Hinton
from darkknowledge.objective.mixture import Mixture


def distillation(
    temperature: float = 2.0,
    alpha: float | None = None,
    *,
    hard_weight: float | None = None,
    soft_weight: float | None = None,
    compile: Compile = "auto",
) -> Mixture:
    """The `Mixture` of the terms "soft" (`Hinton`) and "hard" (`HardLabel`); arguments and errors as `DistillationLoss`.

    >>> distillation(temperature=4, alpha=0.9).formula()
    '0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z))'
    """
    soft, hard = _weights(alpha, soft_weight, hard_weight)
    return Mixture({"soft": (Hinton(temperature), soft), "hard": (HardLabel(), hard)}, compile=compile)


class DistillationLoss(nn.Module):
    r"""The weighted average of the soft term and the hard term, for any training loop.

    .. math:: L = \alpha \, T^2 \, \mathrm{KL}(\operatorname{softmax}(v/T) \,\|\, \operatorname{softmax}(z/T))
              + (1 - \alpha) \, H(y, \operatorname{softmax}(z))

    α is always the weight of the *soft* term. Each term is the mean over the examples that count for it: the soft one over all, the hard one
    over those with a label, so a label of `darkknowledge.contract.IGNORED` (−100) leaves an example its soft target.

    Args:
        temperature: T of the soft term, finite and above 0. The hard term has temperature 1, and so has the student when it is used.
        alpha: α in [0, 1]; 0.5 unless the two weights are given.
        hard_weight: with ``soft_weight`` the free form: weights that need not sum to 1, in place of ``alpha``.
        soft_weight: see ``hard_weight``.
        compile: ``on`` compiles the closed form in which value and gradient are computed (seconds at the first call, later two to ten times faster),
            ``off`` never does, and ``auto`` does after so many logits that it would have paid.

    Value and gradient are computed at once, in float32 or wider, and the backward pass scales the gradient; a second derivative is that of the terms.

    Raises:
        UsageError: a value out of its range, ``alpha`` together with the free form, or half of the free form.

    >>> import torch
    >>> loss = DistillationLoss(temperature=2.0, alpha=0.5)
    >>> student, teacher = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[4.0, 1.0, -1.0]])
    >>> loss(student, teacher, torch.tensor([0]))
    tensor(0.5010)
    >>> loss(student, teacher)  # no labels: α times the soft term
    tensor(0.2972)

    Source: Hinton, Vinyals & Dean (2015), section 2: "a weighted average of two different objective functions".
    """

    def __init__(
        self,
        temperature: float = 2.0,
        alpha: float | None = None,
        *,
        hard_weight: float | None = None,
        soft_weight: float | None = None,
        compile: Compile = "auto",
    ) -> None:
        super().__init__()
        self.mixture = distillation(temperature, alpha, hard_weight=hard_weight, soft_weight=soft_weight, compile=compile)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """The loss, a scalar to call ``backward`` on.

        Args:
            student: logits z (B, C); the only argument that receives a gradient.
            teacher: logits v (B, C).
            labels: class indices (B,), or shares (B, C) of mixed pictures, or None for an unlabelled batch: then the hard term is 0 and the soft
                term keeps its weight.

        Raises:
            UsageError: shapes or dtypes that do not fit, or (on the CPU) a label that is no class.
        """
        if labels is None:
            labels = torch.full((len(student),), IGNORED, device=student.device)
        return self.mixture.loss(student, Dense(teacher), labels, epoch=0.0).total

    def extra_repr(self) -> str:
        """What ``print`` shows between the brackets."""
        return self.mixture.formula()


def _weights(alpha: float | None, soft_weight: float | None, hard_weight: float | None) -> tuple[float, float]:
    if soft_weight is None and hard_weight is None:
        alpha = check_fraction("alpha", 0.5 if alpha is None else alpha)
        return alpha, 1 - alpha
    if alpha is not None:
        raise UsageError("alpha is given together with soft_weight or hard_weight", fix="give alpha, or alpha=null and both weights")
    if soft_weight is None or hard_weight is None:
        missing = "soft_weight" if soft_weight is None else "hard_weight"
        raise UsageError(f"{missing} is missing", why="the free form has two weights and guesses none", fix=f"give {missing} too, or alpha alone")
    return check_weight("soft_weight", soft_weight), check_weight("hard_weight", hard_weight)
