"""A run that names somebody's code is evaluated only when the user names it too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

import darkknowledge
from darkknowledge.errors import UsageError
from darkknowledge.runs.folder import RunFolder

OWN_DATA = """
from pathlib import Path
import torch
from darkknowledge.data import from_tensors

Path(__file__).with_suffix(".imported").touch()

def stripes(*, root, download, **options):
    images = torch.zeros(40, 1, 4, 4, dtype=torch.uint8)
    images[::2, :, ::2] = 255
    labels = torch.arange(40) % 2
    return from_tensors(images, labels, images[:8], labels[:8], class_names=("rows", "none"), **options)
"""


def test_a_run_with_ones_own_data_needs_the_module_named_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_stripes.py").write_text(OWN_DATA, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = darkknowledge.train("hinton_mlp", "own_stripes:stripes", training={"steps": 2}, out=tmp_path / "run")
    sys.modules.pop("own_stripes")
    mark = tmp_path / "own_stripes.imported"
    mark.unlink()
    with pytest.raises(UsageError, match=r"plugins=\[own_stripes\]"):
        darkknowledge.evaluate(run.path, cost=False)
    assert not mark.exists()
    (evaluation,) = darkknowledge.evaluate(run.path, cost=False, plugins=("own_stripes",))
    assert evaluation.accuracy.examples == 8


@pytest.mark.parametrize("source", ["evil_teacher:Network", {"name": "evil_teacher:Network"}])
def test_a_teacher_named_in_a_run_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object) -> None:
    (tmp_path / "evil_teacher.py").write_text('from pathlib import Path\nPath(__file__).with_suffix(".imported").touch()\n', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = darkknowledge.train("hinton_mlp", "digits", training={"steps": 1}, out=tmp_path / "run")
    config = yaml.safe_load((run.path / "config.yaml").read_text(encoding="utf-8"))
    config["teacher"] = {"source": [source], "average": "probability", "weights": None, "check": True}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    RunFolder(run.path).vouch("config.yaml")  # as a stranger who made the folder would
    with pytest.raises(UsageError, match=r"plugins=\[evil_teacher\]"):
        darkknowledge.evaluate(run.path, cost=False)
    assert not (tmp_path / "evil_teacher.imported").exists()


def test_an_augmentation_of_ones_own_is_not_imported_on_the_word_of_a_run_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
from pathlib import Path
from darkknowledge.data import Replayable

Path(__file__).with_suffix(".imported").touch()
turned = Replayable(lambda picture: picture.rotate(90), meaning="turned/1")
"""
    (tmp_path / "own_views.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = darkknowledge.train("hinton_mlp", {"name": "digits", "augment": "own_views:turned"}, training={"steps": 1}, out=tmp_path / "run")
    sys.modules.pop("own_views")
    (tmp_path / "own_views.imported").unlink()
    with pytest.raises(UsageError, match=r"plugins=\[own_views\]"):
        darkknowledge.evaluate(run.path, cost=False)
    assert not (tmp_path / "own_views.imported").exists()
    (evaluation,) = darkknowledge.evaluate(run.path, cost=False, plugins=("own_views",))
    assert evaluation.accuracy.examples == 500
