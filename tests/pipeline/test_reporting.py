"""What a stage says on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from darkknowledge.cli.main import main
from darkknowledge.pipeline._reporting import reporter
from darkknowledge.runs.folder import RunFolder

WIPE = "\x1b[2J"


def test_a_line_is_shown_as_it_is_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    reporter()(f"parquet:one: [bold]36[/bold]{WIPE} " + "x" * 300)
    assert capsys.readouterr().err == "parquet:one: [bold]36[/bold]\N{REPLACEMENT CHARACTER}[2J " + "x" * 300 + "\n"


def test_what_lies_in_a_run_of_somebody_else_commands_no_terminal(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outer = shutil.copytree(runs / "teacher-0", tmp_path / "run:one:")
    shutil.copytree(runs / "teacher-0", outer / f"inner{WIPE}")
    RunFolder(outer).change({"teacher": (None, {"source": [f"/nowhere{WIPE}"]})})
    for line in (["verify", str(outer)], ["evaluate", f"run='{outer}'", "cost=false"], ["list", f"root='{tmp_path}'"]):
        assert main(line) == 0
        said = "".join(capsys.readouterr())
        assert "\x1b" not in said
        assert "run:one:" in said.replace("\n", "")
