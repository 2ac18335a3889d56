"""The package as a user gets it: built, unpacked elsewhere, run from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "darkknowledge"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("darkknowledge-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, which for pure Python is what installing it means."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_whole_package_and_nothing_else(installed: Path) -> None:
    def inside(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    assert inside(installed / "darkknowledge") == inside(SOURCE)
    assert {"py.typed", "conf/run.yaml", "conf/data/_options.yaml"} <= inside(installed / "darkknowledge")
    assert sorted(path.name.partition("-")[0] for path in installed.iterdir()) == ["darkknowledge", "darkknowledge"]


def test_the_wheel_brings_its_programs_and_its_licence(installed: Path) -> None:
    (facts,) = installed.glob("*.dist-info")
    programs = (facts / "entry_points.txt").read_text()
    assert "dk = darkknowledge.cli.main:main" in programs
    assert "darkknowledge = darkknowledge.cli.main:main" in programs
    assert "Apache License" in (facts / "licenses" / "LICENSE").read_text()
    assert "Name: darkknowledge" in (facts / "METADATA").read_text()


RUN = """
import sys
sys.modules["torchmetrics"] = None  # no dependency of ours, so a user may not have it
import darkknowledge
from darkknowledge.analysis.cost import measure_cost
from darkknowledge.cli.main import main
measure_cost.__kwdefaults__["seconds"] = 0.01  # networks are timed for a moment, as in tests/conftest.py
print(darkknowledge.__file__)
code = main(sys.argv[1:])
print(*sys.modules)
sys.exit(code)
"""
UNUSED = {"lightning", "pytorch_lightning", "wandb", "timm", "torchvision", "sklearn", "scipy", "tensorboard", "transformers"}


def test_the_program_runs_from_the_wheel_and_imports_what_it_uses(installed: Path, tmp_path: Path) -> None:
    words = ["run", "seeds=1", "training.steps=20", "teacher.training.steps=60", "teacher.members=1", "out=whole", "logging.progress=false"]
    # PYTHONPATH comes before an editable install of the repository.
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", RUN, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[0]).is_relative_to(installed)
    assert "student distilled" in done.stdout
    assert (tmp_path / "whole" / "comparison.json").is_file()
    imported = set(done.stdout.splitlines()[-1].split())
    assert {"torch", "lightning_fabric"} <= imported
    assert imported & UNUSED == set()
