"""The figures, read back from what they draw, beside NumPy."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from darkknowledge.errors import DataError, ResourceError
from darkknowledge.report.figure import CHOICES, softmax
from darkknowledge.report.figure._moving import BARS, softmax_svg
from darkknowledge.report.figure._sample import LONGEST, Sample
from darkknowledge.report.figure._style import as_power, canvas, save
from darkknowledge.report.figure.curves import curves
from darkknowledge.report.figure.dark_knowledge import dark_knowledge, mean_soft_targets
from darkknowledge.report.figure.forms import approximations, bare, forms, slope
from darkknowledge.report.figure.gradient import gradient
from darkknowledge.report.figure.norms import AT_LOGITS, norms, norms_at_logits
from darkknowledge.report.figure.reliability import reliability
from darkknowledge.report.figure.sample import sample
from darkknowledge.report.figure.temperature import temperature

LOGITS = torch.tensor([9.0, 7.0, 4.5, 2.0, -3.0])
NAMES = ("dog", "wolf", "cat", "cow", "car")


def softmax_of(logits: Tensor, temperature: float) -> np.ndarray:
    """The definition."""
    exponents = logits.double().numpy() / temperature
    powers = np.exp(exponents - exponents.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


@pytest.fixture
def example() -> Sample:
    return Sample(NAMES, {"teacher": LOGITS}, 0, torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def answers() -> tuple[Tensor, Tensor, Tensor]:
    """A student's and a teacher's logits, and labels."""
    student, teacher = 3 * torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return student, teacher, (teacher + torch.randn(300, 5, generator=torch.Generator().manual_seed(1))).argmax(1)


def test_the_moving_bars_are_as_long_as_the_probabilities_at_both_ends(example: Sample) -> None:
    text = softmax_svg(example, temperatures=(0.5, 50.0))
    for place in range(len(NAMES)):
        moves = re.search(rf"@keyframes b{place}\{{(.*?\}})\}}", text)
        assert moves
        found = [float(value) for value in re.findall(r"translateX\((-?[\d.]+)px\)", moves[1])]
        for position, end in ((0, 0.5), (-1, 50.0)):
            assert found[position] / BARS + 1 == pytest.approx(softmax_of(LOGITS, end)[place], abs=0.001)


def test_nothing_moves_for_who_asked_for_less_motion(example: Sample) -> None:
    text = softmax_svg(example)
    still, moving = text.split("@media (prefers-reduced-motion:no-preference)")
    assert "animation" in moving
    assert "animation" not in still
    assert "<animate" not in text
    assert "animation" not in moving.split("</style>")[1]


def test_the_picture_that_moves_asks_for_nothing_and_runs_nothing() -> None:
    hostile = ("</text><script>alert(1)</script>", "<img onerror=x>", "a\0b\x1b[2J", "\u202egnp", "x" * 10_000)
    text = softmax_svg(Sample(hostile, {"teacher": LOGITS}, 1))
    root = ElementTree.fromstring(text)
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "text", "path", "polyline", "g", "clipPath"}
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on") or name.endswith("href")]
    assert max(len(element.text or "") for element in root.iter("{http://www.w3.org/2000/svg}text")) <= LONGEST


def test_the_gif_goes_to_the_end_and_back(example: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "STEPS", 2)
    found = Image.open(io.BytesIO(softmax.softmax_gif(example, temperatures=(1.0, 20.0))))
    assert found.n_frames == 4
    assert found.info["loop"] == 0
    shades = []
    for frame in range(4):
        found.seek(frame)
        shades.append(np.asarray(found.convert("L"), dtype=float))
    assert np.abs(shades[0] - shades[2]).max() > 100
    np.testing.assert_array_equal(shades[1], shades[3])


def widths(figure: Figure) -> list[list[float]]:
    return [[bar.get_width() for bar in panel.patches] for panel in figure.axes if panel.patches]


def test_the_still_softmax_shows_the_middle_of_the_range(example: Sample) -> None:
    figure = softmax.softmax(example, temperatures=(1.0, 16.0))
    np.testing.assert_allclose(widths(figure)[0], softmax_of(LOGITS, 4.0), atol=1e-6)


def test_the_bars_of_a_sample_are_its_soft_targets(example: Sample) -> None:
    other = Sample(NAMES, {"teacher": LOGITS, "student": LOGITS / 2}, 0, example.picture)
    found = widths(sample(other, temperatures=[1.0, 4.0]))
    wanted = [softmax_of(logits, t) for logits in (LOGITS, LOGITS / 2) for t in (1.0, 4.0)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_of_many_classes_the_likeliest_are_shown() -> None:
    logits = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    indices, names = Sample([f"class {place}" for place in range(1000)], {"teacher": logits}).shown()
    assert indices == sorted(logits.argsort(descending=True)[:10].tolist())
    assert names[0] == f"class {indices[0]}"


def test_the_bars_of_a_gradient_are_what_autograd_finds(example: Sample) -> None:
    student = torch.tensor([1.0, 2.0, 0.0, -1.0, 0.5], requires_grad=True)
    figure = gradient(Sample(NAMES, {"student": student.detach(), "teacher": LOGITS}, 3), temperatures=[4.0])
    hard, soft = ([bar.get_height() for bar in panel.patches] for panel in figure.axes)
    (wanted,) = torch.autograd.grad(F.cross_entropy(student[None], torch.tensor([3])), student)
    np.testing.assert_allclose(hard, wanted, atol=1e-6)
    loss = 16 * F.kl_div((student / 4).log_softmax(0), (LOGITS / 4).softmax(0), reduction="sum")
    np.testing.assert_allclose(soft, torch.autograd.grad(loss, student)[0], atol=1e-6)


def test_the_lines_of_the_norms_are_those_of_autograd_with_the_factor_and_without(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = answers
    figure = norms({AT_LOGITS: [norms_at_logits("student", student, teacher, labels, temperatures=(1.0, 5.0))]})
    with_factor, without, hard = (np.asarray(line.get_ydata(), dtype=float) for line in figure.axes[0].lines)
    z = student.clone().requires_grad_()
    loss = 25 * F.kl_div((z / 5).log_softmax(1), (teacher / 5).softmax(1), reduction="sum")
    wanted = torch.autograd.grad(loss, z)[0].norm(dim=1).mean()
    assert with_factor[1] == pytest.approx(float(wanted))
    np.testing.assert_allclose(with_factor, without * np.array([1, 25]))
    wanted = torch.autograd.grad(F.cross_entropy(z, labels, reduction="sum"), z)[0].norm(dim=1).mean()
    assert hard[0] == pytest.approx(float(wanted))


def test_a_power_law_has_its_exponent_as_slope() -> None:
    temperatures = [1.0, 100.0, 300.0, 1000.0, 10_000.0]
    assert slope(temperatures, [1.0] + [5 * t**-1.5 for t in temperatures[1:]]) == pytest.approx(-1.5)
    assert np.isnan(slope([1.0, 10.0], [1.0, 0.1]))


def test_the_approximations_fall_as_one_over_the_temperature_but_for_means_that_are_not_0() -> None:
    student, teacher = 3 * torch.randn(2, 500, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = approximations(student, teacher)
    for name, value in found.slopes.items():
        keeps = name in ("equation 4, logits as they are", "equation 4, teacher's logits + 10")
        assert value == pytest.approx(0 if keeps else -1, abs=0.05), name
    # Against the gradient of the loss itself, and the share of the gap that its mean makes up.
    gap = student - teacher
    wanted = (gap.mean(1, keepdim=True) * torch.ones(10)).norm() / (gap - gap.mean(1, keepdim=True)).norm()
    assert found.errors["equation 4, logits as they are"][-1] == pytest.approx(float(wanted), rel=0.01)
    torch.testing.assert_close(bare(student, teacher, 2.0), gap / 40)
    drawn = [line.get_ydata() for line in forms(found).axes[0].lines]
    np.testing.assert_array_equal(drawn, list(found.errors.values()))


def test_the_matrix_is_the_mean_soft_target_of_each_class_without_its_diagonal(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    _, teacher, labels = answers
    labels[:7] = -100
    known = (labels >= 0).numpy()
    soft = softmax_of(teacher, 4.0)[known]
    wanted = np.stack([soft[labels.numpy()[known] == label].mean(0) for label in range(5)])
    np.testing.assert_allclose(mean_soft_targets(teacher, labels, temperature=4.0), wanted)
    (image,) = dark_knowledge({"teacher": (teacher, labels)}, NAMES).axes[0].images
    np.fill_diagonal(wanted, np.nan)
    np.testing.assert_allclose(np.ma.filled(image.get_array(), np.nan), wanted)


def test_a_matrix_needs_a_label(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    with pytest.raises(DataError, match="no example is labelled"):
        dark_knowledge({"teacher": (answers[1], torch.full((300,), -100))}, NAMES)


def test_the_points_of_a_reliability_diagram_weigh_up_to_the_accuracy(answers: tuple[Tensor, Tensor, Tensor]) -> None:
    _, teacher, labels = answers
    upper, lower = reliability({"teacher": (teacher, labels)}).axes
    points, shares = np.asarray(upper.collections[1].get_offsets()), [bar.get_height() for bar in lower.patches]
    assert np.dot(points[:, 1], shares) == pytest.approx(float((teacher.argmax(1) == labels).double().mean()))
    assert np.dot(points[:, 0], shares) == pytest.approx(float(softmax_of(teacher, 1.0).max(1).mean()))


def test_the_curves_are_the_epochs_of_the_metrics() -> None:
    epochs = [{"kind": "epoch", "epoch": n, "loss": 3 / n, "soft": 2 / n, "hard": 1 / n, "validation_accuracy": 0.5} for n in (1, 2)]
    odd = {"kind": "epoch", "epoch": "third", "soft": 1, "hard": None, "word": "a", "validation_nll": [1]}
    terms, accuracy, nll = curves({"student": [{"kind": "step", "epoch": 0.5, "soft": 9.0}, *epochs, odd]}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in terms.lines} == {"soft": [2, 1], "hard": [1, 0.5]}
    assert list(accuracy.lines[0].get_ydata()) == [0.5, 0.5]
    assert [text.get_text() for text in nll.texts] == ["not measured"]


def test_errors_against_temperature_are_means_over_seeds_with_a_t_interval() -> None:
    figure = temperature({"small": {4.0: [2.0, 3.0], 1.0: [3.0]}})
    bars = figure.axes[0].containers[0]
    np.testing.assert_allclose(bars.lines[0].get_xydata(), [(1, 3), (4, 2.5)])
    (low, high) = bars.lines[2][0].get_segments()[1][:, 1]
    assert high - 2.5 == pytest.approx(12.706 * np.std([2, 3], ddof=1) / np.sqrt(2), rel=1e-3)
    assert 2.5 - low == pytest.approx(high - 2.5)
    assert figure.axes[0].get_ylim()[0] == 0, "no fewer errors than none"


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_equal_figures_are_equal_files_and_any_class_name_is_a_text(kind: str, tmp_path: Path) -> None:
    found = Sample(("$\\frac$", "$a$", "猫", "<b>", "&"), {"teacher": LOGITS}, 0)
    for name in "ab":
        save(sample(found, temperatures=[4.0]), tmp_path / f"{name}.{kind}")
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert (tmp_path / f"a.{kind}").read_bytes()[:4] == {"svg": b"<?xm", "pdf": b"%PDF", "png": b"\x89PNG"}[kind]


def test_powers_of_ten_are_plain_near_1() -> None:
    assert [as_power(value) for value in (1e-12, 0.001, 0.01, 1.0, 1e4, 1e5)] == ["10⁻¹²", "10⁻³", "0.01", "1", "10,000", "10⁵"]


def test_without_matplotlib_a_line_says_what_to_install(example: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ResourceError, match=re.escape('pip install "darkknowledge[figures]"')):
        sample(example)
    assert softmax_svg(example)


def test_a_public_file_is_a_figure_under_its_own_name() -> None:
    folder = Path(softmax.__file__).parent
    assert {path.stem for path in folder.glob("[!_]*.py")} == set(CHOICES)
    assert canvas(1, 1).axes == []
