"""The page and the main figures at Weights & Biases, without a network, and in TensorBoard."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import darkknowledge
from darkknowledge.pipeline import _sharing
from pipeline.small import STEPS, STUDENT
from training.wandb_file import entries

BOTH = {"wandb": True, "tensorboard": True}


@pytest.fixture(scope="module")
def compared(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compared") / "run"
    options: dict[str, Any] = {"teacher": {"source": str(runs / "teacher-0")}, "training": STEPS, "seeds": 1, "logging": {"progress": False}}
    return darkknowledge.run(student=STUDENT, out=out, **options).path


@pytest.mark.filterwarnings("default")
def test_without_a_key_both_keep_the_figures_and_one_the_page(compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    page = darkknowledge.make_report(compared, out=tmp_path / "page.html", logging=BOTH)
    wandb.teardown()

    shown = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert set(shown.Tags()["images"]) == {f"figures/{name}" for name in _sharing.FIGURES}
    (at_wandb,) = tmp_path.glob("wandb/offline-run-*")
    kept: dict[str, bytes] = {path.name.partition("_0_")[0]: path.read_bytes() for path in at_wandb.glob("files/media/images/figures/*.png")}
    for name in _sharing.FIGURES:
        (image,) = shown.Images(f"figures/{name}")
        pictures = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in (image.encoded_image_string, kept[name])]
        assert pictures[0].std() > 10  # something is drawn
        assert np.array_equal(*pictures)
    (log,) = at_wandb.glob("*.wandb")
    sent = [record.artifact for record in map(Record.FromString, entries(log)) if record.HasField("artifact")]
    reports = [artefact for artefact in sent if artefact.type == "report"]
    assert [[entry.path for entry in artefact.manifest.contents] for artefact in reports] == [[page.name]]
    assert reports[0].manifest.contents[0].size == page.stat().st_size


def test_a_service_that_fails_costs_nobody_the_page(compared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from darkknowledge.pipeline.report import report_from
    from darkknowledge.pipeline.settings import LoggingSettings, ReportSettings

    def broken(self: object) -> None:
        raise OSError("no space <b>left</b>")

    monkeypatch.setattr(_sharing, "FIGURES", ())
    monkeypatch.setattr("darkknowledge.training.tensorboard_logger.TensorboardLogger.open", broken)
    lines: list[str] = []
    settings = ReportSettings(runs=(compared,), out=tmp_path / "page.html", logging=LoggingSettings(tensorboard=True))
    assert report_from(settings, report=lines.append).is_file()
    assert lines[-1:] == ["warning: TensorBoard has no report: no space <b>left</b>"]


def test_members_of_a_teacher_that_keep_no_answers_cost_no_figure(
    compared: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {}
    monkeypatch.setattr(_sharing, "figure_from", lambda settings, report: drawn.setdefault(settings.name, list(settings.run)))
    students = [compared / "alone-0", compared / "distilled-0"]
    _sharing._figures([runs / "teacher-0"] * 6 + students, tmp_path, pytest.fail)
    assert drawn.pop("curves") == [runs / "teacher-0"] * 6
    assert drawn == dict.fromkeys(("reliability", "dark_knowledge", "sample"), students)


def test_a_figure_that_cannot_be_drawn_is_told_and_left_out(runs: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    assert list(_sharing._figures([runs / "teacher-0"], tmp_path, lines.append)) == ["curves"]
    assert [line.partition(":")[0] for line in lines] == [f"no figure {name}" for name in ("reliability", "dark_knowledge", "sample")]
