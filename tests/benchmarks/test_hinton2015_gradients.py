"""The gradients of the MNIST experiments, beside autograd one case at a time and beside the definitions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from benchmarks.hinton2015.gradients_measuring import Layers, Spread, moment
from benchmarks.hinton2015.gradients_section import constant_from, section, verdict
from torch import Tensor, nn

from darkknowledge.errors import UsageError
from darkknowledge.objective import hard_label_gradient, soft_target_gradient
from darkknowledge.report.figure.forms import approximations

CASES = 24


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 4)).double()


@pytest.fixture
def cases() -> tuple[Tensor, Tensor, Tensor]:
    """Pictures, labels, and a teacher's logits."""
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(CASES, 1, 2, 3, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(4, (CASES,), generator=generator), 3 * torch.randn(CASES, 4, generator=generator, dtype=torch.float64)


def one_by_one(network: nn.Module, inputs: Tensor, labels: Tensor, teacher: Tensor, temperature: float | None) -> Tensor:
    """The gradient of each case, (n, weights), from its loss and by autograd."""
    rows = []
    for case in range(len(inputs)):
        logits = network(inputs[case : case + 1])
        if temperature is None:
            loss = F.cross_entropy(logits, labels[case : case + 1])
        else:
            target = torch.softmax(teacher[case : case + 1] / temperature, -1)
            loss = -(target * torch.log_softmax(logits / temperature, -1)).sum()
        rows.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(network.parameters()))]))
    return torch.stack(rows)


@pytest.mark.parametrize("temperature", [None, 1.0, 20.0])
def test_products_are_those_of_per_case_gradients_by_autograd(network: nn.Module, cases: tuple[Tensor, ...], temperature: float | None) -> None:
    inputs, labels, teacher = cases
    layers = Layers(network, inputs)
    student = layers.logits
    at_logits = hard_label_gradient(student, labels) if temperature is None else soft_target_gradient(student, teacher, temperature=temperature)
    found = layers.products(at_logits)
    gradients = one_by_one(network, inputs, labels, teacher, temperature)
    torch.testing.assert_close(found.diagonal().sqrt(), gradients.norm(dim=1))
    torch.testing.assert_close(found, gradients @ gradients.T)


def test_the_trace_is_that_of_the_covariance_matrix_and_the_mean_that_of_the_gradients(network: nn.Module, cases: tuple[Tensor, ...]) -> None:
    inputs, labels, teacher = cases
    gradients = one_by_one(network, inputs, labels, teacher, None) + 0.2  # a mean that is more than noise
    spread = Spread(gradients @ gradients.T)
    trace = torch.cov(gradients.T).trace()
    assert spread.trace == pytest.approx(float(trace))
    assert spread.of_mean == pytest.approx(float(gradients.mean(0).norm()))
    # |mean|² holds trace / n of noise, which the estimate of the signal must not.
    signal = float(gradients.mean(0).square().sum() - trace / CASES)
    assert spread.relative()["value"] == pytest.approx(float(trace) / signal)


def test_the_interval_of_the_relative_variance_holds_the_true_one_about_as_often_as_it_says() -> None:
    mean, dimensions = 0.5, 40
    held = 0
    for seed in range(60):
        gradients = torch.randn(200, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        gradients[:, 0] += mean * dimensions**0.5
        found = Spread(gradients @ gradients.T).relative()
        low, high = found["low"], found["high"]
        assert low is not None
        assert high is not None
        held += low <= 1 / mean**2 <= high
    assert 51 <= held <= 60


def test_the_share_of_cases_is_1_if_all_gradients_are_as_long_and_counts_those_that_are_there() -> None:
    gradients = torch.cat([torch.eye(5), torch.zeros(15, 5)]).double()
    assert Spread(gradients @ gradients.T).share_of_cases == pytest.approx(0.25)
    assert Spread(gradients[:5] @ gradients[:5].T).share_of_cases == pytest.approx(1)


def test_gradients_that_cancel_have_no_finite_relative_variance() -> None:
    gradients = torch.cat([torch.eye(10), -torch.eye(10)]).double()
    cancelling = Spread(gradients @ gradients.T)
    assert cancelling.relative()["high"] is None
    alike = 1 + 0.1 * torch.randn(20, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert Spread(alike @ alike.T).times(cancelling)["value"] == 0
    assert cancelling.times(Spread(alike @ alike.T))["value"] is None


def test_a_spread_beside_itself_is_once_its_own_and_a_scale_does_not_matter() -> None:
    gradients = 1 + torch.randn(50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    products = gradients @ gradients.T
    assert Spread(400**2 * products).times(Spread(products)) == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})


def test_weights_outside_linear_layers_are_refused() -> None:
    with pytest.raises(UsageError, match="not in linear layers"):
        Layers(nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.LayerNorm(4)), torch.ones(2, 4))


def test_with_the_squared_temperature_the_soft_term_is_nearly_constant_where_it_is_high(network: nn.Module, cases: tuple[Tensor, ...]) -> None:
    inputs, labels, teacher = cases
    found = moment(network, inputs, labels, teacher, mixed=(20.0, 0.9))
    norms = {float(t): term["norm_at_logits"] for t, term in found["soft"].items()}
    matching = (lambda gap: (gap - gap.mean(1, keepdim=True)) / 4)(network(inputs).detach() - teacher).norm(dim=1).mean()
    assert norms[1000.0] == pytest.approx(float(matching), rel=0.01)
    assert norms[40.0] == pytest.approx(norms[1000.0], rel=0.1)
    assert constant_from(norms) <= 40


def test_the_mixture_is_that_of_the_loss(network: nn.Module, cases: tuple[Tensor, ...]) -> None:
    inputs, labels, teacher = cases
    gradients = 0.9 * 400 * one_by_one(network, inputs, labels, teacher, 20.0) + 0.1 * one_by_one(network, inputs, labels, teacher, None)
    found = moment(network, inputs, labels, teacher, mixed=(20.0, 0.9))["mixture"]
    assert found["trace"] == pytest.approx(float(torch.cov(gradients.T).trace()))
    assert found["norm_of_mean"] == pytest.approx(float(gradients.mean(0).norm()))


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        ({"low": 0.2, "high": 0.9}, "less"),
        ({"low": 1.1, "high": None}, "more"),
        ({"low": None, "high": None}, "more"),
        ({"low": 0.9, "high": 1.1}, "no difference that can be told"),
    ],
)
def test_a_difference_is_claimed_only_if_the_whole_interval_says_so(ratio: dict[str, float | None], said: str) -> None:
    assert verdict(ratio) == said


@pytest.fixture
def record(network: nn.Module, cases: tuple[Tensor, ...]) -> dict[str, Any]:
    """As it is written, of a tiny network."""
    inputs, labels, teacher = cases
    at = moment(network, inputs, labels, teacher, mixed=(20.0, 0.9))
    moments = [{"name": name, **at} for name in ("initial weights", "after one epoch")]
    found = asdict(approximations(network(inputs).detach(), teacher))
    return {"cases": CASES, "teacher": {"spread": 3.0, "mean": 0.1}, "temperature": 20.0, "alpha": 0.9, "moments": moments, "forms": found}


def test_the_section_is_empty_without_a_record_and_whole_with_one(tmp_path: Path, record: dict[str, Any]) -> None:
    assert section(tmp_path) == ""
    (tmp_path / "gradients.json").write_text(json.dumps(record, allow_nan=False))
    found = section(tmp_path)
    assert found.count("![") == 3
    for table in (part for part in found.split("\n\n") if part.startswith("|")):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "nan" not in found


def test_the_same_record_gives_the_same_figures(tmp_path: Path, record: dict[str, Any]) -> None:
    from benchmarks.hinton2015.gradients_figures import draw

    (tmp_path / "again").mkdir()
    for one, two in zip(draw(record, tmp_path), draw(record, tmp_path / "again"), strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.stat().st_size < 200_000
