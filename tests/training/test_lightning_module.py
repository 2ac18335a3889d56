from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from darkknowledge import record
from darkknowledge.contract import IGNORED, Batch
from darkknowledge.data import from_tensors
from darkknowledge.errors import UsageError
from darkknowledge.model import Network, build
from darkknowledge.objective import DistillationLoss
from darkknowledge.teacher import Ensemble, Frozen
from darkknowledge.training import DistillationModule, Recipe, fit
from darkknowledge.training.lightning_module import as_batch
from darkknowledge.training.schedule import learning_rate
from darkknowledge.transfer import RecordedTeacher
from training.small import Answers, Bounded, CrossEntropy, mlp, points, same, weights

# What Lightning remarks about loaders, loggers and its own dependencies is its users' concern.
pytestmark = pytest.mark.filterwarnings("ignore")

RECIPE = Recipe(learning_rate=0.2, warmup=0.5)
TRAIN, VALIDATION = points(40), points(15, seed=1)


def loader(examples: Any, *, batch_size: int = 8) -> Any:
    return DataLoader(TensorDataset(examples.inputs, examples.labels), batch_size=batch_size, shuffle=False)


def trainer(**options: Any) -> lightning.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return lightning.Trainer(**{"max_epochs": 2, "accelerator": "cpu", **quiet, **options})


class Values(lightning.Callback):
    """Every value that is logged at a step, the learning rate, and whether anything else was put in training mode."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.terms: list[dict[str, float]] = []
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.terms.append({name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("train/")})
        self.losses.append(outputs["loss"].item())


def test_a_plain_trainer_distills() -> None:
    teacher_network, student, values = mlp(seed=3, dropout=0.5, norm=True), mlp(norm=True), Values()
    before = weights(teacher_network)
    teacher, objective = Frozen(teacher_network, ("a", "b", "c")), DistillationLoss(temperature=3, alpha=0.9).mixture
    module = DistillationModule(student, objective, teacher=teacher, recipe=Recipe(learning_rate=0.5))
    trainer(callbacks=[values], max_epochs=10).fit(module, loader(TRAIN), loader(VALIDATION))
    soft = [terms["train/soft"] for terms in values.terms]
    assert sum(soft[-5:]) < 0.5 * sum(soft[:5])
    assert sum(values.losses[-5:]) < sum(values.losses[:5])
    for terms in values.terms:
        assert set(terms) == {"train/loss", "train/soft", "train/hard"}
        assert terms["train/soft"] + terms["train/hard"] == pytest.approx(terms["train/loss"], rel=1e-5)
    assert [terms["train/loss"] for terms in values.terms] == pytest.approx(values.losses)
    assert same(weights(teacher_network), before)
    assert not any(layer.training for layer in teacher_network.modules())


def test_the_validation_scores_are_those_of_the_student() -> None:
    module = DistillationModule(mlp(), CrossEntropy())
    done = trainer()
    done.fit(module, loader(TRAIN), loader(VALIDATION, batch_size=4))
    with torch.no_grad():
        log_p = module.student.eval()(VALIDATION.inputs).log_softmax(-1)
    assert done.callback_metrics["validation/accuracy"].item() == pytest.approx((log_p.argmax(-1) == VALIDATION.labels).float().mean().item())
    assert done.callback_metrics["validation/nll"].item() == pytest.approx(-log_p[torch.arange(15), VALIDATION.labels].mean().item(), rel=1e-5)


def test_the_teacher_is_outside_the_module_and_its_checkpoint(tmp_path: Path) -> None:
    student = mlp()
    module = DistillationModule(student, DistillationLoss().mixture, teacher=Frozen(mlp(seed=3), ("a", "b", "c")), recipe=RECIPE)
    done = trainer()
    done.fit(module, loader(TRAIN))
    done.save_checkpoint(tmp_path / "all.ckpt")
    saved = torch.load(tmp_path / "all.ckpt", weights_only=True)
    names = {f"student.{name}" for name in student.state_dict()}
    assert set(module.state_dict()) == set(saved["state_dict"]) == names
    (optimizer,) = saved["optimizer_states"]
    assert sum(len(group["params"]) for group in optimizer["param_groups"]) == len(list(student.parameters()))
    assert len(list(module.parameters())) == len(list(student.parameters()))


def test_the_teacher_sees_what_the_student_sees() -> None:
    student, shown = mlp(), []
    student[0].register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0].clone()))
    teacher = Answers(mlp(seed=3))
    trainer(max_epochs=1).fit(DistillationModule(student, DistillationLoss().mixture, teacher=teacher), loader(TRAIN))
    assert len(shown) == 5
    assert same(shown, teacher.shown)


@pytest.mark.parametrize(
    ("options", "steps", "per_epoch"),
    [
        ({"max_epochs": 4}, 20, 5),
        ({"max_epochs": 4, "accumulate_grad_batches": 2}, 12, 3),
        ({"max_epochs": 4, "limit_train_batches": 3}, 12, 3),
        ({"max_epochs": 4, "max_steps": 7}, 7, 5),
        ({"max_epochs": -1, "max_steps": 7}, 7, 5),
    ],
)
def test_the_rate_and_the_objective_follow_the_time_in_epochs(options: dict[str, Any], steps: int, per_epoch: int) -> None:
    values, objective = Values(), CrossEntropy()
    trainer(callbacks=[values], **options).fit(DistillationModule(mlp(), objective, recipe=RECIPE), loader(TRAIN))
    pieces = options.get("accumulate_grad_batches", 1)
    expected = [learning_rate(RECIPE, epoch=step / per_epoch, epochs=steps / per_epoch) for step in range(steps)]
    first_of_each_step = [index for index in range(len(values.rates)) if index % 5 % pieces == 0] if pieces > 1 else range(steps)
    assert [values.rates[index] for index in first_of_each_step] == pytest.approx(expected)
    assert [objective.seen[index][1] for index in first_of_each_step] == pytest.approx([step / per_epoch for step in range(steps)])


def test_a_trainer_that_does_not_say_how_long_it_trains_is_refused() -> None:
    with pytest.raises(UsageError, match="how long it trains"):
        trainer(max_epochs=-1).fit(DistillationModule(mlp(), CrossEntropy()), loader(TRAIN))


def test_the_bound_on_the_weights_holds_as_in_our_own_loop() -> None:
    student = Bounded()
    trainer().fit(DistillationModule(student, CrossEntropy(), recipe=RECIPE.model_copy(update={"learning_rate": 2.0})), loader(TRAIN))
    largest = [layer.weight.norm(dim=1).max().item() for layer in student.body if isinstance(layer, nn.Linear)]
    assert max(largest) == pytest.approx(0.9, abs=1e-5)


def test_gradients_can_be_clipped_in_mixed_precision() -> None:
    student = mlp()
    before = weights(student)
    options = {"precision": "bf16-mixed", "gradient_clip_val": 0.01, "max_steps": 1}
    trainer(**options).fit(
        DistillationModule(student, CrossEntropy(), recipe=RECIPE.model_copy(update={"momentum": 0.0, "warmup": 0})), loader(TRAIN)
    )
    moved = torch.cat([(tensor - before[name]).flatten() for name, tensor in student.state_dict().items()]).norm()
    assert moved.item() == pytest.approx(0.2 * 0.01, rel=1e-2)


class ByIds(Answers):
    """A teacher that looks its answers up; it notes the ids."""

    needs_ids = True

    def __init__(self) -> None:
        super().__init__(mlp(seed=3))
        self.asked: list[int] = []

    def __call__(self, batch: Batch) -> Any:
        self.asked += batch.ids.tolist()
        return super().__call__(batch)


@pytest.mark.parametrize("of", [lambda teacher: teacher, lambda teacher: Ensemble([Frozen(mlp(), ("a", "b", "c")), teacher])])
def test_a_teacher_that_answers_by_id_is_never_asked_about_a_pair(of: Callable[[ByIds], Any]) -> None:
    teacher = ByIds()
    module = DistillationModule(mlp(), DistillationLoss().mixture, teacher=of(teacher))
    with pytest.raises(UsageError, match="does not say which examples these are"):
        trainer().fit(module, loader(TRAIN))
    assert teacher.asked == []
    batches = list(TRAIN.batches(torch.arange(40), batch_size=8, views=None))
    trainer(max_epochs=1).fit(module, DataLoader(batches, batch_size=None), loader(VALIDATION))  # type: ignore[arg-type]
    assert teacher.asked == TRAIN.ids.tolist()


def test_a_recorded_teacher_stands_in_for_a_live_one_and_refuses_pairs(tmp_path: Path) -> None:
    pictures, labels = torch.randint(256, (24, 3, 4, 4), dtype=torch.uint8), torch.arange(24) % 3
    data = from_tensors(pictures, labels, class_names=["a", "b", "c"], validation=0)
    live = Frozen(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)), data.class_names)
    transfer_set = record(live, data, tmp_path / "set", codec="float32", check=False, progress=False)
    assert transfer_set is not None
    batches = list(data.train.batches(torch.arange(24), batch_size=8, views=None))
    losses = []
    for teacher in (live, RecordedTeacher(transfer_set), RecordedTeacher(transfer_set.load())):
        torch.manual_seed(0)
        values, student = Values(), nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
        module = DistillationModule(student, DistillationLoss().mixture, teacher=teacher, recipe=RECIPE)
        trainer(callbacks=[values]).fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
        losses.append(values.losses)
        if teacher is not live:
            with pytest.raises(UsageError, match="does not say which examples these are"):
                trainer().fit(module, DataLoader(TensorDataset(batches[0].inputs, batches[0].labels)))
    assert losses[1] == losses[2] == pytest.approx(losses[0], rel=1e-5)


def test_a_pair_gets_whole_numbers_for_ids_also_where_labels_are_shares() -> None:
    for labels in (torch.tensor([0, 2]), torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])):
        batch = as_batch((torch.zeros(2, 2), labels))
        assert same(batch.ids, torch.tensor([-1, -1]))
        assert batch.labels is labels


def test_batches_of_the_contract_keep_their_ids() -> None:
    seen: list[Tensor] = []

    class Listening(Answers):
        def __call__(self, batch: Batch) -> Any:
            seen.append(batch.ids)
            return super().__call__(batch)

    module = DistillationModule(mlp(), DistillationLoss().mixture, teacher=Listening(mlp(seed=3)))
    batches = list(TRAIN.batches(torch.arange(40), batch_size=8, views=None))
    trainer(max_epochs=1).fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    assert torch.cat(seen).tolist() == TRAIN.ids.tolist()


def test_validation_counts_the_labelled_alone_and_each_once() -> None:
    """Ragged batches, one of them without any label: the values are those of all labelled examples together."""
    labels = VALIDATION.labels.clone()
    labels[:4], labels[9] = IGNORED, IGNORED
    network = mlp()
    batches = DataLoader(TensorDataset(VALIDATION.inputs, labels), batch_size=4)
    [found] = trainer().validate(DistillationModule(network, CrossEntropy()), batches, verbose=False)
    known = labels != IGNORED
    with torch.no_grad():
        logits = network.eval()(VALIDATION.inputs[known])
    assert found["validation/accuracy"] == pytest.approx((logits.argmax(-1) == labels[known]).double().mean().item())
    assert found["validation/nll"] == pytest.approx(nn.functional.cross_entropy(logits, labels[known]).item(), rel=1e-5)


def test_an_objective_with_parameters_that_nothing_would_train_is_refused() -> None:
    class Learned(CrossEntropy, nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.seen, self.scale = [], nn.Parameter(torch.ones(()))

    with pytest.raises(UsageError, match="the objective has parameters to train"):
        DistillationModule(mlp(), Learned())
    with pytest.raises(UsageError, match="the objective has parameters to train"):
        fit(mlp(), Learned(), TRAIN, RECIPE)
    assert DistillationModule(mlp(), Learned().requires_grad_(False)).objective.needs == CrossEntropy().needs


def network() -> Network:
    """One that normalises what it sees, as those of `darkknowledge.model` do."""
    return build("hinton_mlp", num_classes=3, input_shape=(1, 2, 2), mean=(0.5,), std=(0.25,), hidden=[4])


def pictures(count: int = 12) -> Tensor:
    return torch.rand(count, 1, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["training", "validation"])
@pytest.mark.parametrize(
    ("change", "range"),
    [
        (lambda inputs: inputs * 255, r"float32 from \d"),
        (lambda inputs: (inputs - 0.5) / 0.25, "float32 from -"),
        (lambda inputs: (inputs * 255).to(torch.uint8), "uint8"),
    ],
)
@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_pictures_in_another_range_are_refused_where_a_network_normalises_them(whose: str, change: Any, range: str, kind: str) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    student, teacher = (network(), plain) if whose == "student" else (plain, network())
    module = DistillationModule(student, DistillationLoss().mixture, teacher=Frozen(teacher, ("a", "b", "c")))
    good, bad = (DataLoader(TensorDataset(shown, torch.arange(12) % 3), batch_size=4) for shown in (pictures(), change(pictures())))
    with pytest.raises(UsageError, match=rf"{range}[\s\S]*must be floating-point numbers in \[0, 1\][\s\S]*the {kind} batches"):
        trainer(num_sanity_val_steps=0).fit(module, *((bad, good) if kind == "training" else (good, bad)))
    trainer().fit(DistillationModule(network(), DistillationLoss().mixture, teacher=Frozen(plain, ("a", "b", "c"))), good, good)


def test_networks_that_say_nothing_of_their_inputs_may_be_shown_any() -> None:
    student = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    shown = DataLoader(TensorDataset(pictures() * 255, torch.arange(12) % 3), batch_size=4)
    trainer(max_epochs=1).fit(DistillationModule(student, CrossEntropy()), shown, shown)
