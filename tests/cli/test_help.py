"""What the program says of itself."""

from __future__ import annotations

import re

import pytest
import yaml

from cli.world import Program
from darkknowledge import __version__
from darkknowledge.cli.help import CONF, STAGES


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_stage_and_every_exit_code(flag: str, dk: Program) -> None:
    done = dk(flag)
    assert (done.code, done.err) == (0, "")
    for stage in STAGES.values():
        assert f"  {stage.name} " in done.out
        assert stage.summary in done.out
    for code in (0, 2, 3, 4, 5, 6, 7, 130, 143):
        assert re.search(rf"\b{code}\b", done.out)


@pytest.mark.parametrize("stage", STAGES)
def test_the_help_of_a_stage_lists_its_keys_and_choices(stage: str, dk: Program) -> None:
    done = dk(stage, "--help")
    assert (done.code, done.err) == (0, "")
    keys = yaml.safe_load((CONF / f"{stage}.yaml").read_text(encoding="utf-8"))
    for key in set(keys) - {"defaults"}:
        assert re.search(rf"^ +{key}:", done.out, re.MULTILINE), key
    for choice in STAGES[stage].choices:
        group = "model" if choice in ("student", "teacher.model") else choice
        (line,) = (line for line in done.out.splitlines() if line.startswith(f"  {choice} "))
        files = {path.stem for path in (CONF / group).glob("*.yaml") if not path.stem.startswith("_")}
        assert {word.partition(":")[0] for word in line.split(choice, 1)[1].replace(",", "").split()} == {
            "package.module" if name == "plugin" else name for name in files
        }


@pytest.mark.parametrize("stage", STAGES)
def test_the_example_of_a_stage_is_accepted(stage: str, dk: Program) -> None:
    done = dk(*STAGES[stage].example.split(), "--cfg", "job")
    assert done.code == 0, done.err
    assert STAGES[stage].example in dk(stage, "--help").out


def test_every_key_of_the_defaults_is_explained_in_the_yaml() -> None:
    """Whoever reads ``dk STAGE --help`` reads these comments."""
    stages = [CONF / f"{stage}.yaml" for stage in STAGES]
    for path in stages:
        assert path.read_text(encoding="utf-8").startswith(f"# dk {path.stem}: "), path


def test_version(dk: Program) -> None:
    assert dk("--version").out == f"darkknowledge {__version__}\n"
    assert dk("train", "--version").code == 0
