from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from darkknowledge.contract import Batch
from darkknowledge.errors import IntegrityError
from darkknowledge.teacher import Frozen

CLASSES = ("a", "b", "c")


def batch(examples: int = 32, *, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(examples, 4, generator=generator)
    return Batch(torch.arange(examples), inputs, torch.randint(3, (examples,), generator=generator))


def with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def with_dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))


class Pair(nn.Module):
    """A careless wrapper that registers the teacher's network beside the student."""

    def __init__(self, student: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.student = student
        self.network = network


@pytest.mark.parametrize("build", [with_batch_norm, with_dropout])
def test_a_teacher_is_bit_identical_after_training_in_a_wrapper_that_puts_it_in_train_mode(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    network, student = build(), nn.Linear(4, 3)
    teacher = Frozen(network, CLASSES)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start, answer = student.weight.clone(), teacher(batch()).logits()
    pair = Pair(student, network)
    optimizer = torch.optim.SGD(pair.parameters(), lr=0.1, weight_decay=0.1)
    for step in range(5):
        pair.train()
        pair.requires_grad_(True)
        target = teacher(batch(seed=step)).logits().softmax(-1)
        nn.functional.cross_entropy(student(batch(seed=step).inputs), target).backward()
        optimizer.step()
    assert not student.weight.equal(start)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert teacher(batch()).logits().equal(answer)


@pytest.mark.parametrize("build", [with_batch_norm, with_dropout])
def test_two_passes_are_identical_and_do_not_depend_on_the_rest_of_the_batch(build: Callable[[], nn.Module]) -> None:
    network = build()
    network.train()
    teacher = Frozen(network, CLASSES)
    first = teacher(batch()).logits()
    network.train()
    assert teacher(batch()).logits().equal(first)
    pieces = torch.cat([teacher(piece).logits() for piece in batch().split(3)])
    torch.testing.assert_close(pieces, first)


def test_the_answer_has_no_graph_but_can_be_saved_for_a_backward_pass() -> None:
    answer = Frozen(with_batch_norm(), CLASSES)(batch()).logits()
    assert not answer.requires_grad
    weight = torch.ones(3, requires_grad=True)
    (weight * answer).sum().backward()
    assert weight.grad is not None


def test_the_network_wants_no_gradient() -> None:
    network = with_dropout()
    Frozen(network, CLASSES)
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())


def test_a_student_that_holds_its_teacher_neither_counts_nor_saves_it() -> None:
    student = nn.Linear(4, 3)
    names = list(student.state_dict())
    student.teacher = Frozen(with_batch_norm(), CLASSES)
    assert list(student.state_dict()) == names
    assert len(list(student.modules())) == 1
    assert len(list(student.parameters())) == 2


def test_moving_a_teacher_moves_its_network() -> None:
    teacher = Frozen(with_batch_norm(), CLASSES)
    assert teacher.to("meta") is teacher
    assert teacher(batch().to("meta")).members.device.type == "meta"
    assert teacher.networks[0][0].weight.device.type == "meta"


def test_class_names_and_repr() -> None:
    teacher = Frozen(with_batch_norm(), ["a", "b", "c"])
    assert teacher.class_names == CLASSES
    assert repr(teacher) == "Frozen(Sequential, classes=3)"


class Answers(nn.Module):
    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, inputs: Tensor) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.zeros(32, 4), r"answers \(32, 4\) for 32 examples of 3 classes"),
        (torch.zeros(31, 3), r"answers \(31, 3\) for 32"),
        (torch.zeros(32, 3, 7, 7), r"\(32, 3, 7, 7\)"),
        ({"logits": torch.zeros(32, 3)}, "answers dict"),
    ],
)
def test_an_answer_that_is_no_logits_is_refused(answer: object, message: str) -> None:
    with pytest.raises(IntegrityError, match=message):
        Frozen(Answers(answer), CLASSES)(batch())
