"""Choices by name, and the room's own order."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

import darkknowledge.objective as room
from darkknowledge.contract import Output
from darkknowledge.errors import UsageError
from darkknowledge.objective import CHOICES, HardLabel, Mixture, build

FILES = sorted(Path(room.__file__).parent.glob("*.py"))
LOGITS, LABELS = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
OPTIONS: dict[str, dict[str, Any]] = {"mixture": {"terms": {"soft": {"name": "hinton"}}}}


def test_every_public_file_is_a_choice_but_the_one_for_regression() -> None:
    public = {file.stem for file in FILES if not file.stem.startswith("_")}
    assert public == set(CHOICES) | {"gaussian_kl"}
    assert all(spelling.startswith(f"darkknowledge.objective.{name}:") for name, spelling in CHOICES.items())


@pytest.mark.parametrize("name", CHOICES)
def test_every_choice_becomes_an_objective(name: str) -> None:
    objective = build(name, **OPTIONS.get(name, {}))
    loss = objective.loss(LOGITS, Output.single(LOGITS), LABELS, epoch=0.0)
    torch.testing.assert_close(loss.total, torch.stack(list(loss.terms.values())).sum())
    assert set(objective.counts(LABELS)) == set(loss.terms)
    assert objective.needs <= {"teacher", "labels"}
    assert objective.formula()


@pytest.mark.parametrize(("name", "term"), [("hinton", "soft"), ("logit_matching", "soft"), ("hard_label", "hard")])
def test_a_single_term_is_called_soft_or_hard(name: str, term: str) -> None:
    assert set(build(name).loss(LOGITS, Output.single(LOGITS), LABELS, epoch=0.0).terms) == {term}


def test_a_mixture_is_made_from_plain_data_with_schedules() -> None:
    weight = {"name": "linear", "start": 1, "end": 0, "epochs": 5}
    terms = {"kl": {"name": "hinton", "temperature": 3, "weight": weight}, "labels": {"name": "hard_label", "label_smoothing": 0.1}}
    assert build("mixture", terms=terms).formula() == "(1 → 0 in 5 epochs) × 3² KL(softmax(v/3) ‖ softmax(z/3)) + 1 × H(0.9·y + 0.1/C, softmax(z))"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hintn", {}, r"no objective 'hintn'(.|\n)*Did you mean 'hinton'"),
        ("hinton", {"temprature": 4}, r"no option 'temprature'(.|\n)*Did you mean 'temperature'"),
        ("logit_matching", {"temperature": 4}, "takes no options"),
        ("hinton", {"temperature": 0}, "temperature=0"),
        ("distillation", {"alpha": 1.5}, "alpha=1.5"),
        ("mixture", {}, "terms"),
        ("mixture", {"terms": 3}, "no mapping"),
        ("mixture", {"terms": {"soft": {"temperature": 2}}}, "'soft' has no name"),
        ("mixture", {"terms": {"soft": {"name": "distillation"}}}, "no single term"),
        ("mixture", {"terms": {"soft": {"name": "hinton", "tau": 3}}}, "no option 'tau'"),
        ("mixture", {"terms": {"soft": {"name": "hinton", "weight": -1}}}, "weight=-1"),
        ("no_such_package.losses:Mine", {}, "cannot be imported"),
        ("darkknowledge.objective.hinton:Nothing", {}, "cannot be imported"),
        (":Nothing", {}, "cannot be imported"),
        ("fractions:Fraction", {}, "neither a Term nor an Objective"),
        ("math:pi", {}, "no class or function"),
    ],
)
def test_mistakes_are_refused_with_what_was_meant(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, **options)


def test_a_users_own_term_and_objective_are_spelled_with_their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_losses.py").write_text(
        textwrap.dedent("""
        from darkknowledge.objective import Mixture, Hinton, LogitMatching

        class Matching(LogitMatching):
            def __init__(self, scale=1.0):
                super().__init__()
                self.scale = scale

            def per_example(self, student, teacher, labels):
                return self.scale * super().per_example(student, teacher, labels)

        def pair(temperature=2.0):
            return Mixture({"a": (Hinton(temperature), 1.0), "b": (Matching(), 1.0)})
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    student, teacher = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    mine = build("my_losses:Matching", scale=2.0).loss(student, Output.single(teacher), LABELS, epoch=0.0)
    torch.testing.assert_close(mine.total, 2 * build("logit_matching").loss(student, Output.single(teacher), LABELS, epoch=0.0).total)
    assert build("my_losses:pair", temperature=3).formula().startswith("1 × 3² KL")
    with pytest.raises(UsageError, match="no option 'sacle'"):
        build("my_losses:Matching", sacle=2.0)


def test_parameters_that_nothing_would_train_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "learned_losses.py").write_text(
        textwrap.dedent("""
        import torch
        from darkknowledge.objective import LogitMatching, Mixture

        class Term(LogitMatching):
            def __init__(self, frozen=False):
                super().__init__()
                self.projection = torch.nn.Linear(3, 3).requires_grad_(not frozen)

        class Objective(torch.nn.Module):
            needs = frozenset({"teacher"})

            def __init__(self, frozen=False):
                super().__init__()
                self.projection = torch.nn.Linear(3, 3).requires_grad_(not frozen)
                self.mixture = Mixture({"match": (LogitMatching(), 1.0)})
                self.counts, self.formula = self.mixture.counts, self.mixture.formula

            def loss(self, student, teacher, labels, *, epoch, counts=None):
                return self.mixture.loss(self.projection(student), teacher, labels, epoch=epoch, counts=counts)
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("learned_losses:Term", "learned_losses:Objective"):
        with pytest.raises(UsageError, match=f"{name} has parameters to train"):
            build(name)
        assert build(name, frozen=True).needs == {"teacher"}
    with pytest.raises(UsageError, match="learned_losses:Term has parameters to train"):
        build("mixture", terms={"mine": {"name": "learned_losses:Term"}})


def test_listing_the_choices_imports_no_torch() -> None:
    code = "import sys; from darkknowledge.objective import CHOICES; assert 'hinton' in CHOICES; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    assert set(dir(room)) == set(room.__all__)
    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        room.nothing  # noqa: B018
    assert isinstance(build("hard_label"), Mixture)
    assert HardLabel is importlib.import_module("darkknowledge.objective.hard_label").HardLabel


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_examples_in_the_docstrings_are_right(file: Path) -> None:
    module = importlib.import_module("darkknowledge.objective" if file.stem == "__init__" else f"darkknowledge.objective.{file.stem}")
    assert doctest.testmod(module).failed == 0
