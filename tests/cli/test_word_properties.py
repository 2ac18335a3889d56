"""Whatever words stand behind ``dk``, it ends with a documented code and says why, without a traceback."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from darkknowledge.cli import stages
from darkknowledge.cli.compose import compose
from darkknowledge.cli.grammar import expand
from darkknowledge.cli.help import STAGES
from darkknowledge.cli.main import FLAGS, main
from darkknowledge.errors import DarkKnowledgeError

CODES = {0, *(kind.exit_code for kind in DarkKnowledgeError.__subclasses__())} - {1}


def keys_of(values: dict[str, Any], above: str = "") -> list[str]:
    """Every key, with its sections before it."""
    inner = [key for name, value in values.items() if isinstance(value, dict) for key in keys_of(value, f"{above}{name}.")]
    return [f"{above}{name}" for name in values] + inner


KEYS = {stage: keys_of(compose(stage, expand(stage, []), complete=False)) for stage in STAGES}
ODD_KEYS = (
    "",
    ".",
    "a.",
    ".a",
    "a b",
    "hydra.run.dir",
    "_target_",
    "+",
    "++x",
    "~",
    "model@student",
    "data@",
    "é",
    "$x",
    "a-b",
    "a/b",
    "defaults",
    "?",
)
PREFIXES = st.sampled_from(("", "", "", "", "+", "++", "~"))

SAID = st.sampled_from(
    (
        *("1", "0", "-1", "1.5", "1e400", "nan", "inf", "null", "true", "Tru", "???", "", "''", "'", '"', "\\", "\\'", "a b", "9" * 5000),
        *("[]", "[1,2", "[1,,2]", "{}", "{a:1}", "{a:{b:[1]}}", "{a", "[[[[[[1]]]]]]", "{1:2}", "{_target_:os.system}", "{name:hinton_mlp}"),
        *(
            "1,2",
            "a,b",
            ",",
            "range(3)",
            "range(0)",
            "range(1e9)",
            "choice(1,2)",
            "glob(*)",
            "glob(**)",
            "sort(3,1)",
            "shuffle(1,2)",
            "interval(0,1)",
        ),
        *("int(1)", "float(x)", "str(1)", "json_str(x)", "nosuch(1)", "extend_list(1)", "tag(a,1)", "${data.name}", "${nowhere}", "${oc.env:HOME}"),
        *("${", "${}", "${a:b}", "${out}", "\\${out}", "${hydra:run.dir}", "${oc.decode:'1'}", "${oc.create:{a:1}}", "${oc.select:x,1}"),
        *("hinton_mlp", "cifar_resnet", "timm:nothing", "timm:", ":x", "nowhere.module:Thing", "math:pi", "digits", "mnist", "parquet", "mixture"),
        *(
            "../x",
            "/",
            ".",
            "~",
            "/dev/null",
            "a/../../b",
            "a" * 300,
            "\x00",
            "\x1b[2J",
            "\udcff",
            "é",
            "日本",
            "\u2028",
            "a=b",
            "a:b:c",
            "#",
            "%",
            "@",
        ),
    )
)
VALUES = SAID | st.text(max_size=6) | st.lists(SAID, min_size=1, max_size=3).map(",".join)
FLAG = st.sampled_from((*(set(FLAGS) - {"--debug"}), "--cfg", "-c", "job", "--nothing", "-", "--", "--help=1", "-mm"))


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A stage, overrides with keys that it mostly has, and some flags."""
    stage = draw(st.sampled_from(sorted(STAGES)))
    words = [stage] if draw(st.integers(0, 19)) else draw(st.lists(st.text(max_size=5), max_size=1))
    for _ in range(draw(st.integers(0, 3))):
        key = draw(st.sampled_from(KEYS[stage]) if draw(st.integers(0, 4)) else st.sampled_from(ODD_KEYS) | st.text(max_size=4))
        words.append(f"{draw(PREFIXES)}{key}{draw(st.sampled_from(('=', '=', '=', '=', '=', '=', '', '==', ':=')))}{draw(VALUES)}")
    flags = draw(st.sampled_from(([], ["--dry-run"], ["--dry-run"], ["-m"], ["--cfg", "job"])))
    return [*words, *flags, *([] if draw(st.integers(0, 4)) else [draw(FLAG)])]


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and stages that do nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "STAGES", dict.fromkeys(STAGES, lambda settings, console: None))
    monkeypatch.setattr(stages, "_distill_grid", lambda grid, console: None)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.mark.usefixtures("idle")
def test_any_words_end_with_a_documented_code_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(commands())
    def check(words: list[str]) -> None:
        code = main(words)
        said = capsys.readouterr()
        assert code in CODES
        assert "Traceback" not in said.out + said.err
        assert (code == 0) == (not said.err.startswith("error: "))
        assert code == 0 or re.search(r"error: .*\w", said.err)
        assert "\x1b" not in said.err

    check()
